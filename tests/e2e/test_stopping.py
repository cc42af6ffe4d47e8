"""Cancel and stop in the middle of a long chunk: how soon it ends, and that nothing is lost or counted as a failure."""

import signal
import subprocess
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import psutil
import pytest
from sqlalchemy import create_engine, text

from farm.settings import load_settings
from tests.conftest import ClipMaker
from tests.e2e.conftest import Farm, assert_exact

pytestmark = [pytest.mark.e2e, pytest.mark.faults]
Process = subprocess.Popen[str]


@pytest.fixture(scope="module")
def source(make_clip: ClipMaker) -> Path:
    return make_clip(seconds=8, size=(640, 360), fps=25, gop=25)


def attempts(farm: Farm) -> list[tuple[str, str | None, str | None]]:
    """Status, cause and reason of all attempts, in order."""
    engine = create_engine(load_settings(home=farm.home).sql_url)
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT status, cause, reason FROM attempts ORDER BY id")).all()
    engine.dispose()
    return [(status, cause, reason) for status, cause, reason in rows]


def child_of(farm: Farm) -> psutil.Process:
    """The process that does the work of the only worker."""
    (pid,) = (w["pid"] for w in farm.json("workers") if w["alive"])
    return max(psutil.Process(pid).children(), key=lambda p: p.memory_info().rss)


def begin(farm: Farm, broker: str, source: Path, out: Path, size: int = 2560) -> Process:
    """A coordinator and a worker of a networked farm, in the middle of a long chunk. ``size``: of detection."""
    farm.env |= {"FARM_BROKER_URL": broker, "FARM_DEVICES": "cpu:1"}
    farm.spawn("coordinator")
    worker = farm.spawn("worker")
    farm.wait_until(lambda: any(w["alive"] for w in farm.json("workers")), "a worker", worker)
    farm.run("submit", source, "-o", out, "--chunk-seconds", 60, "--look-every", 1, "--detect-size", size, "--detach")
    farm.wait_until(lambda: bool(farm.json("workers")[0]["frames_per_second"]), "frames", worker)
    (row,) = farm.json("workers")
    assert (row["state"], row["stage"], row["chunk"]) == ("busy", "detect", 1)
    return worker


def end(farm: Farm, source: Path, out: Path) -> None:
    """Another worker does the job; what was stopped is no failure of it."""
    farm.spawn("worker")
    job = farm.job()["id"]
    farm.run("watch", job)
    assert_exact(source, out)
    assert farm.job()["failures"] == 0


def test_cancel_reaches_a_running_chunk(
    farm: Farm, shared_redis: str, source: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    farm.env["FARM_PROGRESS_SECONDS"] = "10"
    begin(farm, shared_redis, source, tmp_path / "out.mp4")
    child = child_of(farm)
    job = farm.job()["id"]
    farm.run("cancel", job)
    log = farm.home / "logs" / "worker-cpu0.log"
    farm.wait_until(lambda: "stopped by the coordinator" in log.read_text(), "an end", seconds=30)
    told = farm.json("logs", job, 1)
    (cancelled,) = (e["at"] for e in told if e["kind"] == "attempt" and e["after"] == "cancelled")
    (stopped,) = (e["at"] for e in told if e["text"] == "stopped by the coordinator")
    took = (datetime.fromisoformat(stopped) - datetime.fromisoformat(cancelled)).total_seconds()
    assert took < 10
    record_property("seconds", took)
    assert child.is_running()
    assert farm.json("workers")[0]["state"] == "idle"
    assert [row[0] for row in attempts(farm)] == ["cancelled"]


@pytest.mark.parametrize("how", ["the notice", "twice", "deaf"])
def test_a_worker_that_has_to_stop_gives_its_chunk_back(
    farm: Farm, shared_redis: str, source: Path, tmp_path: Path, how: str
) -> None:
    out = tmp_path / "out.mp4"
    farm.env["FARM_DRAIN_SECONDS"] = "600" if how == "twice" else "4"
    worker = begin(farm, shared_redis, source, out)
    child = child_of(farm)
    if how == "deaf":
        child.suspend()
    began = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    if how == "twice":
        farm.wait_until(lambda: farm.json("workers")[0]["state"] == "draining", "a draining worker", seconds=10)
        time.sleep(2)
        assert child.is_running()
        began = time.monotonic()
        worker.send_signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    took = time.monotonic() - began
    assert took < {"the notice": 10, "twice": 6, "deaf": 14}[how]
    assert not child.is_running()
    farm.wait_until(lambda: not farm.json("workers")[0]["alive"], "a goodbye", seconds=5)
    (attempt,) = attempts(farm)
    assert attempt[:2] == ("given_back", None)
    assert "its worker stops" in (attempt[2] or "")
    del farm.env["FARM_DRAIN_SECONDS"]
    end(farm, source, out)


def test_a_worker_that_drains_finishes_its_chunk(farm: Farm, shared_redis: str, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    worker = begin(farm, shared_redis, source, out, size=1280)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(200) == 0
    farm.wait_until(lambda: not farm.json("workers")[0]["alive"], "a goodbye", seconds=5)
    assert attempts(farm) == [("done", None, None)]
    end(farm, source, out)
