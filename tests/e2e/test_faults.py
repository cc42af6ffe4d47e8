"""Kill processes and empty Redis in the middle of a job: it ends with a verified output, and no chunk is done twice."""

import subprocess
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from sqlalchemy import create_engine, text

from farm.settings import load_settings
from tests.conftest import ClipMaker
from tests.e2e.conftest import SLOWLY, Farm, assert_exact

pytestmark = [pytest.mark.e2e, pytest.mark.faults]


@pytest.fixture(scope="module")
def long_clip(make_clip: ClipMaker) -> Path:
    return make_clip(seconds=16, size=(640, 360), fps=25, gop=25)


def begin(farm: Farm, source: Path, out: Path) -> "subprocess.Popen[str]":
    """Start a farm and a job, and wait until some chunks are finished."""
    up = farm.up()
    farm.run("submit", source, "-o", out, "--chunk-seconds", 1, *SLOWLY, "--detach")
    farm.wait_until(lambda: farm.chunks_done("detect") >= 3, "three chunks", up)
    return up


def end(farm: Farm, source: Path, out: Path) -> Any:
    """Wait for the job, then check the output and the database."""
    job = farm.json("list")[0]["id"]
    farm.run("watch", job)
    assert_exact(source, out)
    engine = create_engine(load_settings(home=farm.home).sql_url)
    with engine.connect() as connection:
        twice = connection.execute(
            text("SELECT chunk_id FROM attempts WHERE status = 'done' GROUP BY chunk_id HAVING count(*) > 1")
        ).all()
        undone = connection.execute(text("SELECT id FROM chunks WHERE status != 'done'")).all()
    engine.dispose()
    assert twice == undone == []
    return farm.job()


@pytest.mark.parametrize("victim", ["parent", "child"])
def test_a_worker_is_killed(farm: Farm, long_clip: Path, tmp_path: Path, victim: str) -> None:
    out = tmp_path / "out.mp4"
    begin(farm, long_clip, out)
    worker = psutil.Process(farm.worker_pids()[0])
    children = worker.children()
    (worker if victim == "parent" else max(children, key=lambda p: p.memory_info().rss)).kill()
    job = end(farm, long_clip, out)
    assert job["failures"] <= 2


def test_a_child_that_hangs_is_ended(farm: Farm, long_clip: Path, tmp_path: Path) -> None:
    """Its attempt is handed out again, and the worker takes orders again: both workers are needed at the end."""
    out = tmp_path / "out.mp4"
    farm.env["FARM_STALL_SECONDS"] = "8"
    begin(farm, long_clip, out)
    worker = psutil.Process(farm.worker_pids()[0])
    child = max(worker.children(), key=lambda p: p.memory_info().rss)
    child.suspend()
    child.wait(40)
    end(farm, long_clip, out)
    assert worker.is_running()


def test_the_whole_farm_is_killed(farm: Farm, long_clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    farm.kill_all(begin(farm, long_clip, out))
    done = farm.chunks_done("detect")
    assert not out.exists()
    farm.up()
    job = end(farm, long_clip, out)
    assert done >= 3
    assert job["failures"] <= 2


def test_only_the_main_process_is_killed(farm: Farm, long_clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    up = begin(farm, long_clip, out)
    family = psutil.Process(up.pid).children(recursive=True)
    up.kill()
    up.wait()
    gone, left = psutil.wait_procs(family, timeout=15)
    assert left == [], "orphaned processes keep running"
    assert gone
    farm.up()
    end(farm, long_clip, out)


def test_redis_is_emptied(farm: Farm, long_clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    up = begin(farm, long_clip, out)
    client = redis.Redis(unix_socket_path=str(load_settings(home=farm.home).redis_socket))
    for n in (5, 8, 11):
        farm.wait_until(lambda n=n: farm.chunks_done("detect") >= n, f"{n} chunks", up)  # type: ignore[misc]
        client.flushall()
    client.close()
    end(farm, long_clip, out)


def test_a_paused_job_waits_and_goes_on(farm: Farm, long_clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    begin(farm, long_clip, out)
    job = farm.json("list")[0]["id"]
    farm.run("pause", job)
    assert farm.job()["status"] == "paused"
    farm.run("resume", job)
    end(farm, long_clip, out)


def test_a_cancelled_job_ends_and_retries(farm: Farm, long_clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    begin(farm, long_clip, out)
    job = farm.json("list")[0]["id"]
    farm.run("cancel", job)
    assert "cancelled" in farm.run("watch", job, code=1).stderr
    assert not out.exists()
    farm.run("retry", job)
    end(farm, long_clip, out)


@pytest.mark.parametrize("detached", [False, True])
def test_a_full_store_fails_the_job_and_it_resumes_with_more_room(
    farm: Farm, make_clip: ClipMaker, small_disk: Path, tmp_path: Path, detached: bool
) -> None:
    farm.env["FARM_STORE_DIR"] = str(small_disk / "store")
    clip, out = make_clip(seconds=12, size=(640, 360), fps=25, gop=25), tmp_path / "out.mp4"
    words = ("submit", clip, "-o", out, "--chunk-seconds", 2, "--crf", 1)
    if detached:
        farm.up()
        farm.run(*words, "--detach")
        said = farm.run("watch", farm.job()["id"], code=1).stderr
    else:
        said = farm.run(*words, code=1).stderr
    error = said.splitlines()[-1]
    assert "No space left on device" in error or "bytes are free" in error or "no space left" in error
    assert f"no output was published; try again: farm retry {farm.job()['id']}" in error
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("home", "disk")] == []
    assert [path for path in small_disk.rglob(".writing-*") if path.is_file()] == []
    before = farm.chunks_done("detect")
    assert before == 6
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    if detached:
        farm.run("retry", farm.job()["id"])
        farm.run("watch", farm.job()["id"])
    else:
        farm.run(*words)
    assert_exact(clip, out)
