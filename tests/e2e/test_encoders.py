"""Unlike workers: an order goes only to one that has the job's encoder and its runtime."""

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import av
import pytest
from sqlalchemy import create_engine, text

from farm import processes
from farm.media.encoding.holding import runs_here
from farm.settings import load_settings
from tests.conftest import ClipMaker
from tests.e2e.conftest import Farm, assert_exact

pytestmark = pytest.mark.e2e


class Workers:
    """A coordinator, and workers each started with encoders of its own hidden."""

    def __init__(self, farm: Farm, broker: str) -> None:
        farm.env |= {"FARM_BROKER_URL": broker, "FARM_TESTING": "true"}
        self._farm = farm
        self._running = [self._spawn("coordinator", "-m", "farm", "coordinator")]

    def _spawn(self, name: str, *words: str, **env: str) -> "subprocess.Popen[bytes]":
        folder = self._farm.home / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / f"{name}.log").open("ab") as out:
            return subprocess.Popen([sys.executable, *words], env={**self._farm.env, **env}, stdout=out, stderr=out)

    def start(self, device: str, hidden: str = "", runtime: str = "auto") -> None:
        """A worker that has every encoder of this machine except ``hidden``, and these runtimes."""
        able = {"FARM_HIDDEN_ENCODERS": hidden, "FARM_CPU_RUNTIME": runtime}
        self._running.append(self._spawn(f"worker-{device}", "-m", "workers.process", device, **able))
        self._farm.wait_until(lambda: any(w["name"].startswith(device) for w in self.alive()), f"worker {device}")

    def alive(self) -> list[dict[str, str]]:
        return [w for w in self._farm.json("status")["workers"] if w["alive"]]

    def took(self, job: str = "") -> dict[str, set[str]]:
        """For each stage of a job (of all jobs), the devices whose workers completed chunks of it."""
        engine = create_engine(load_settings(home=self._farm.home).sql_url)
        query = "SELECT chunks.stage, attempts.worker FROM attempts JOIN chunks ON chunks.id = attempts.chunk_id"
        found: dict[str, set[str]] = {}
        with engine.connect() as connection:
            chosen = text(f"{query} WHERE attempts.status = 'done' AND chunks.job_id LIKE :job")
            for stage, worker in connection.execute(chosen, {"job": job or "%"}):
                found.setdefault(stage, set()).add(worker.partition("@")[0])
        engine.dispose()
        return found

    def close(self) -> None:
        processes.stop(self._running, grace=20)


@pytest.fixture
def workers(farm: Farm, shared_redis: str) -> Iterator[Workers]:
    started = Workers(farm, shared_redis)
    yield started
    started.close()


def test_an_order_goes_to_the_worker_that_has_the_encoder(
    farm: Farm, workers: Workers, make_clip: ClipMaker, tmp_path: Path
) -> None:
    source, out = make_clip(seconds=6, size=(320, 180), fps=25, gop=25), tmp_path / "out.mp4"
    workers.start("cpu0", hidden="libx265")
    workers.start("cpu1")
    farm.run("submit", source, "-o", out, "--codec", "hevc", "--chunk-seconds", 1)
    took = workers.took()
    assert took["redact"] == {"cpu1"}
    assert took["detect"] == {"cpu0", "cpu1"}  # both work where no encoder is needed
    with av.open(str(out)) as written:
        assert written.streams.video[0].codec_context.name == "hevc"
    assert_exact(source, out)


@pytest.mark.skipif(find_spec("openvino") is None, reason="the extra blurfarm[openvino] is not installed")
@pytest.mark.slow
def test_each_runtime_of_a_job_has_its_own_workers_and_detections(
    farm: Farm, workers: Workers, clip: Path, tmp_path: Path
) -> None:
    workers.start("cpu0", runtime="onnxruntime")
    refused = farm.run("submit", clip, "-o", tmp_path / "no.mp4", "--runtime", "openvino", code=2).stderr
    line = 'error: --runtime: no worker can use "openvino"; choose onnxruntime-f32, or start a worker that can\n'
    assert refused == line
    workers.start("cpu1", runtime="openvino")
    for runtime, device in (("openvino", "cpu1"), ("onnxruntime", "cpu0")):
        words = ("--runtime", runtime, "--chunk-seconds", "500ms")
        row = farm.json("submit", clip, "-o", tmp_path / f"{runtime}.mp4", *words)
        detect = next(stage for stage in row["stages"] if stage["stage"] == "detect")
        assert detect["chunks"] > 2
        assert detect["chunks_reused"] == 0
        assert workers.took(row["id"])["detect"] == {device}


@pytest.mark.slow
def test_what_no_live_worker_has_is_refused_at_submission(
    farm: Farm, workers: Workers, clip: Path, tmp_path: Path
) -> None:
    workers.start("cpu0", hidden="libx265")
    said = farm.run("submit", clip, "-o", tmp_path / "out.mp4", "--codec", "hevc", code=2)
    assert said.stderr.startswith("error: ")
    assert len(said.stderr.splitlines()) == 1
    assert "libx265" in said.stderr
    assert list(tmp_path.glob("*.mp4")) == []
    assert farm.json("list") == []


@pytest.mark.parametrize("words", [("--encoder", "libx265"), ("--codec", "x265"), ("--runtime", "openvino")])
def test_what_this_machine_does_not_have_is_refused_before_any_work(
    farm: Farm, clip: Path, tmp_path: Path, words: tuple[str, str]
) -> None:
    """Without a running farm, the workers' own program is asked what it will be able to do."""
    farm.env |= {"FARM_TESTING": "true", "FARM_HIDDEN_ENCODERS": "libx265", "FARM_CPU_RUNTIME": "onnxruntime"}
    said = farm.run("submit", clip, "-o", tmp_path / "out.mp4", *words, code=2)
    assert len(said.stderr.splitlines()) == 1
    assert "no worker" in said.stderr
    assert farm.json("list") == []


@pytest.mark.skipif(runs_here("hevc_nvenc"), reason="this machine has the encoder")
@pytest.mark.slow
def test_an_encoder_without_its_hardware_is_refused_by_a_running_farm(farm: Farm, clip: Path, tmp_path: Path) -> None:
    farm.up()
    said = farm.run("submit", clip, "-o", tmp_path / "out.mp4", "--encoder", "hevc_nvenc", code=2)
    assert 'no worker has "hevc_nvenc"' in said.stderr
    assert farm.json("list") == []


@pytest.mark.faults
def test_without_a_live_worker_a_job_waits_for_one_that_has_the_encoder(
    farm: Farm, workers: Workers, clip: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.mp4"
    farm.run("submit", clip, "-o", out, "--codec", "hevc", "--runtime", "onnxruntime-f32", "--detach")
    workers.start("cpu0", hidden="libx265")
    said = "no live worker has the encoder libx265"
    farm.wait_until(lambda: any(said in event["text"] for event in farm.job()["events"]), "a job that waits")
    assert farm.job()["status"] == "redacting"
    workers.start("cpu1")
    farm.run("watch", farm.job()["id"])
    assert workers.took()["redact"] == {"cpu1"}
    assert_exact(clip, out)
