"""On a machine with an NVIDIA GPU and onnxruntime-gpu: detection, pinning, mixed farms, kills (make gpu)."""

import subprocess
from pathlib import Path

import cv2
import numpy as np
import psutil
import pytest

from farm.demo.clip import photograph
from farm.domain.detectors import DetectOptions
from farm.domain.runtimes import RUNTIMES, needs_gpu
from tests.e2e.conftest import Farm, assert_exact, farm, frames_of
from workers.capabilities import find
from workers.device import list_gpus
from workers.vision.detectors.base import Detector
from workers.vision.detectors.centerface import CenterFace
from workers.vision.detectors.combined import create_detector
from workers.vision.device import Device, gpu_families

__all__ = ["farm"]  # a fixture

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not list_gpus(), reason="the driver lists no GPU"),
    pytest.mark.skipif(
        list_gpus() > 0 and not gpu_families(), reason="neither onnxruntime-gpu nor PyTorch with CUDA is installed"
    ),
]
GPU, CPU = Device("cuda", 0), Device("cpu", 0)


def detector(runtime: str, weights: Path) -> Detector:
    device = GPU if needs_gpu(runtime) else CPU
    options = DetectOptions(runtime=runtime)
    return create_detector(options, device, threads=1, weights=lambda name: weights / f"{name}.onnx")


@pytest.mark.parametrize("runtime", [name for name in RUNTIMES if needs_gpu(name)])
def test_a_gpu_finds_what_a_cpu_finds(runtime: str, weights: Path, photograph_file: Path) -> None:
    if runtime not in find([GPU], "auto").runtimes:
        pytest.skip(f"this GPU has no {runtime}")
    scene = np.full((720, 960, 3), 90, np.uint8)
    scene[100:612, 200:712] = photograph(photograph_file)[:, :, ::-1]
    found = []
    for name in (runtime, "onnxruntime-f32"):
        one = detector(name, weights)
        picture = cv2.resize(scene, one.picture_size(960, 720), interpolation=cv2.INTER_AREA).astype(np.uint8)
        found.append(one.detect([picture], (960, 720))[0])
    on_gpu, on_cpu = found
    assert len(on_gpu) == len(on_cpu) == 1
    assert on_gpu[0].score == pytest.approx(on_cpu[0].score, abs=0.02)
    for mine, other in zip(
        (*on_gpu[0].box.centre, on_gpu[0].box.w), (*on_cpu[0].box.centre, on_cpu[0].box.w), strict=True
    ):
        assert mine == pytest.approx(other, abs=2)


def test_a_video_is_redacted_on_the_gpu_and_the_process_is_pinned_to_it(farm: Farm, clip: Path, tmp_path: Path) -> None:
    farm.env |= {"FARM_DEVICES": "cuda:0"}
    process = farm.spawn("up", "--no-flower")
    farm.wait_until(lambda: any(w["alive"] for w in farm.json("status")["workers"]), "a worker", process)
    (pid,) = farm.worker_pids()
    assert psutil.Process(pid).environ()["CUDA_VISIBLE_DEVICES"] == "0"
    facts = farm.json("submit", clip, "-o", tmp_path / "gpu.mp4")
    assert needs_gpu(facts["options"]["detect"]["runtime"])
    assert facts["frames_with_faces"] == len(frames_of(clip))
    assert_exact(clip, tmp_path / "gpu.mp4")
    held = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
    assert int(subprocess.run(held, capture_output=True, text=True, check=True).stdout.split()[0]) > 0


def test_a_mixed_farm_gives_detection_to_those_that_have_the_runtime(farm: Farm, clip: Path, tmp_path: Path) -> None:
    farm.env |= {"FARM_DEVICES": "cuda:0,cpu:1"}
    process = farm.spawn("up", "--no-flower")
    farm.wait_until(lambda: sum(w["alive"] for w in farm.json("status")["workers"]) == 2, "two workers", process)
    for runtime in ("cuda", "onnxruntime"):
        done = farm.json("submit", clip, "-o", tmp_path / f"{runtime}.mp4", "--runtime", runtime)
        assert done["status"] == "done"
    tracks = {(row["faces"], row["frames_with_faces"]) for row in farm.json("list")}
    assert tracks == {(1, len(frames_of(clip)))}


def test_a_killed_gpu_worker_is_replaced_and_the_output_is_exact(farm: Farm, make_clip: object, tmp_path: Path) -> None:
    assert callable(make_clip)
    source = make_clip(seconds=20, size=(1280, 720), fps=25, gop=25)
    farm.env |= {"FARM_DEVICES": "cuda:0"}
    process = farm.spawn("up", "--no-flower")
    farm.wait_until(lambda: any(w["alive"] for w in farm.json("status")["workers"]), "a worker", process)
    farm.run("submit", source, "-o", tmp_path / "out.mp4", "--detach", "--chunk-seconds", "2")
    farm.wait_until(lambda: farm.chunks_done("detect") > 0, "a chunk", process)
    (pid,) = farm.worker_pids()
    for child in psutil.Process(pid).children(recursive=True):
        child.kill()
    psutil.Process(pid).kill()
    farm.wait_until(lambda: farm.job()["status"] == "done", "the job", process)
    assert_exact(source, tmp_path / "out.mp4")


def test_a_full_gpu_halves_its_batches_and_finds_the_same(
    weights: Path, photograph_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch takes the memory")
    if not torch.cuda.is_available():
        pytest.skip("this PyTorch has no CUDA")
    picture = cv2.resize(photograph(photograph_file)[:, :, ::-1], (1280, 1280)).astype(np.uint8)
    runtime = find([GPU], "auto").runtimes[0]
    network = CenterFace((weights / "centerface.onnx").read_bytes(), GPU, 1, runtime)
    alone = network.find([picture], 0.5)
    free, _ = torch.cuda.mem_get_info(0)
    held = torch.empty(max(0, free - (1 << 30)), dtype=torch.uint8, device="cuda:0")  # leaves one GiB
    full = CenterFace((weights / "centerface.onnx").read_bytes(), GPU, 1, runtime)
    full._session.batch_size = 128  # pictures alone take more
    found = full.find([picture] * 4, 0.5)
    del held
    assert "at a time from now on" in caplog.text
    for boxes in found:
        assert boxes == pytest.approx(alone[0], abs=1)


def test_a_gpu_that_is_not_there_and_an_encoder_it_does_not_have_are_refused(
    farm: Farm, clip: Path, tmp_path: Path
) -> None:
    line = farm.run("submit", clip, "-o", tmp_path / "x.mp4", "--devices", f"cuda:{list_gpus()}", code=7).stderr
    assert line.startswith(f"error: cuda:{list_gpus()} is not there")
    if "h264_nvenc" not in find([GPU], "auto").encoders:
        line = farm.run("submit", clip, "-o", tmp_path / "x.mp4", "--devices", "cuda:0", "--encoder", "h264_nvenc",
                        code=2).stderr  # fmt: skip
        assert 'no worker has "h264_nvenc"' in line
    assert not list(tmp_path.glob("x.*"))
