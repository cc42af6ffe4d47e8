"""Chunks that kill or hang whatever touches them, and processes that hang: the chunk is named, everything else goes on.

The detector is a test's own: the stub, which at a given frame of the source kills or hangs the process that it runs in.
Every process of the farm gets it by a ``sitecustomize`` on its search path.
"""

import re
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest
from sqlalchemy import create_engine, text

from farm.settings import load_settings
from tests.conftest import PROJECT, ClipMaker
from tests.e2e.conftest import Farm, assert_exact, frames_of
from tests.processes import works

pytestmark = [pytest.mark.e2e, pytest.mark.faults]

PLUGIN = """
import os, signal, sys, time
from math import inf
from pathlib import Path
from types import ModuleType
from farm.domain.detectors import NETWORKS, Declared

NETWORKS["poison"] = Declared(name="poison", thresholds={"face": ((inf, 0.5),)})

def create(weights, named, device, threads, runtime):
    from workers.vision.detectors import stub
    class Poison(stub.Stub):
        batch_size = 1
        def find(self, pictures, least):
            if pictures[0][:8, :8].mean() > 250:  # the mark
                with Path(os.environ["POISON_LOG"]).open("a") as log:
                    log.write(f"{os.getpid()}\\n")
                {what}
            return super().find(pictures, least)
    return Poison()

module = ModuleType("workers.vision.detectors.poison")
module.create = create
sys.modules[module.__name__] = module
"""
POISON = ("--detector", "poison", "--detect-size", 640)
KILL = "os.kill(os.getpid(), signal.SIGKILL)"
CRASH = "import ctypes; ctypes.string_at(0)"
HANG = "time.sleep(3600)"
SPIN = "exec('while True: pass')"
STOP = "os.kill(os.getpid(), signal.SIGSTOP)"
GROW = "grown = [bytes(10_000_000) + b'x' for _ in range(100)]; time.sleep(3600)"


@pytest.fixture
def poison(farm: Farm, tmp_path: Path) -> Callable[[str], None]:
    """``poison(HANG)``: from now on, processes of the farm do this at a marked frame."""

    def set_up(what: str) -> None:
        folder = tmp_path / "plugin"
        folder.mkdir(exist_ok=True)
        (folder / "sitecustomize.py").write_text(PLUGIN.replace("{what}", what))
        farm.env["PYTHONPATH"] = f"{folder}:{PROJECT}"
        farm.env["POISON_LOG"] = str(tmp_path / "poison.log")

    return set_up


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds, 25 frames/s, a key frame every 25; frame 62, in the third second, is marked: it is white."""
    path = tmp_path_factory.mktemp("marked") / "marked.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        stream.options = {"preset": "veryfast", "x264-params": "keyint=25:min-keyint=25:scenecut=0"}
        for number in range(200):
            grey = np.full((180, 320, 3), 255 if number == 62 else 40 + number % 100, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="rgb24")))
        container.mux(stream.encode())
    return path


def reached(tmp_path: Path) -> list[int]:
    """The processes that came to the marked frame."""
    log = tmp_path / "poison.log"
    return [int(line) for line in log.read_text().split()] if log.exists() else []


def children(farm: Farm) -> list[psutil.Process]:
    """The processes that do the work, one of each worker."""
    found: list[psutil.Process] = []
    for pid in farm.worker_pids():
        found += filter(works, psutil.Process(pid).children())
    return found


def left_over(farm: Farm) -> list[Path]:
    return [*(farm.home / "store").rglob("*.writing-*"), *farm.home.rglob("core*")]


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (KILL, r"its process was killed: .*signal 9 \(SIGKILL\).*"),
        (CRASH, r"its process was killed: .*signal 11 \(SIGSEGV\).*"),
        (HANG, r"hung at frame 13: no progress for \d+ s"),
        (SPIN, r"hung at frame 13: no progress for \d+ s"),
        (STOP, r"hung at frame 13: no progress for \d+ s"),
        (GROW, r"took \d\.\d GB of memory, more than 0\.8 GB \(FARM_WORKER_GIGABYTES\)"),
    ],
    ids=["killed", "crashes", "waits", "spins", "stopped", "grows"],
)
def test_a_poison_chunk_ends_its_job_after_three_attempts_and_no_other(
    farm: Farm, poison: Callable[[str], None], marked: Path, clip: Path, tmp_path: Path, what: str, reason: str
) -> None:
    poison(what)
    farm.env |= {"FARM_STALL_SECONDS": "6", "FARM_HEARTBEAT_SECONDS": "1", "FARM_WORKER_GIGABYTES": "0.8"}
    farm.up()
    farm.run(
        "submit",
        marked,
        "-o",
        tmp_path / "marked-out.mp4",
        "--detector",
        "poison",
        "--detect-size",
        640,
        "--chunk-seconds",
        1,
        "--detach",
    )
    farm.run(
        "submit",
        clip,
        "-o",
        tmp_path / "out.mp4",
        "--detector",
        "poison",
        "--detect-size",
        640,
        "--chunk-seconds",
        1,
        "--detach",
    )
    bad, good = sorted((job["id"] for job in farm.json("list")), key=lambda job: farm.json("status", job)["created_at"])
    said = farm.run("watch", bad, code=None)
    assert said.returncode == 1
    assert len(reached(tmp_path)) == 3, farm.logs()
    place = "detect, chunk 3 (frames 51–75, 2.000–3.000 s, pts "
    assert place in said.stderr
    assert re.search(rf"\): {reason}; 3 attempts ended like this", said.stderr), said.stderr
    farm.run("watch", good)
    assert_frames(clip, tmp_path / "out.mp4")
    assert not (tmp_path / "marked-out.mp4").exists()
    assert "no worker took it" not in str(farm.json("status", bad)["events"])
    assert len(farm.worker_pids()) == 2
    farm.wait_until(lambda: not left_over(farm), "leftovers")
    farm.run(
        "submit", clip, "-o", tmp_path / "again.mp4", "--style", "solid", "--detector", "poison", "--detect-size", 640
    )
    for pid in reached(tmp_path):
        assert not psutil.pid_exists(pid)


def assert_frames(source: Path, output: Path) -> None:
    assert frames_of(output) == frames_of(source)


def test_a_child_that_is_stopped_while_it_waits_for_orders_is_replaced(farm: Farm, clip: Path, tmp_path: Path) -> None:
    farm.env |= {"FARM_STALL_SECONDS": "8"}
    farm.up()
    farm.wait_until(lambda: len(children(farm)) == 2, "two children")
    stopped = children(farm)
    for child in stopped:
        child.suspend()
    began = time.monotonic()
    farm.run("submit", clip, "-o", tmp_path / "out.mp4", "--chunk-seconds", 1)
    assert time.monotonic() - began < 8 + 30
    assert_exact(clip, tmp_path / "out.mp4")
    assert "no worker took it" not in str(farm.job()["events"])
    assert not any(child.is_running() for child in stopped)


@pytest.mark.parametrize(
    ("how", "broker", "seconds"),
    [(signal.SIGKILL, None, 30), (signal.SIGSTOP, None, 30), (signal.SIGSTOP, "shared_redis", 90)],
    ids=["killed", "stopped", "stopped, networked"],
)
def test_a_dead_workers_chunk_runs_elsewhere_soon(
    farm: Farm,
    make_clip: ClipMaker,
    tmp_path: Path,
    how: signal.Signals,
    broker: str | None,
    seconds: int,
    request: pytest.FixtureRequest,
) -> None:
    """With the settings' defaults. Stopped, its processes are as silent as those of a host that is gone."""
    clip = make_clip(seconds=16, size=(640, 360), fps=25, gop=25)
    if broker is None:
        farm.up()
    else:
        farm.env |= {"FARM_BROKER_URL": request.getfixturevalue(broker), "FARM_DEVICES": "cpu:2"}
        farm.spawn("coordinator")
        farm.spawn("worker")
        farm.wait_until(lambda: len(farm.worker_pids()) == 2, "two workers")
    farm.run("submit", clip, "-o", tmp_path / "out.mp4", "--chunk-seconds", 2, "--detach")
    victim = psutil.Process(farm.worker_pids()[0])
    name = next(w["name"] for w in farm.json("status")["workers"] if w["pid"] == victim.pid)
    leased_by(farm, name)
    family = [victim, *victim.children(recursive=True)]
    for process in family:
        process.send_signal(how)
    began = time.monotonic()
    time.sleep(0.5)  # what it had reported is accepted
    held = leased_by(farm, name)
    farm.wait_until(lambda: all(run_elsewhere(farm, chunk, name) for chunk in held), "its chunk runs elsewhere")
    assert time.monotonic() - began < seconds
    if how == signal.SIGSTOP:
        for process in family:
            process.resume()
    farm.run("watch", farm.job()["id"])
    assert_exact(clip, tmp_path / "out.mp4")


def rows(farm: Farm, query: str) -> list[Any]:
    engine = create_engine(load_settings(home=farm.home).sql_url)
    with engine.connect() as connection:
        found = list(connection.execute(text(query)))
    engine.dispose()
    return found


def leased_by(farm: Farm, worker: str) -> list[int]:
    """The chunks that a worker works on; waits until there is one."""
    found: list[Any] = []

    def some() -> bool:
        found[:] = rows(farm, f"SELECT chunk_id FROM attempts WHERE worker = '{worker}' AND status = 'leased'")
        return bool(found)

    farm.wait_until(some, f"{worker} works")
    return [row[0] for row in found]


def run_elsewhere(farm: Farm, chunk: int, worker: str) -> bool:
    query = f"SELECT worker, status FROM attempts WHERE chunk_id = {chunk} ORDER BY id DESC LIMIT 1"
    ((name, status),) = rows(farm, query)
    return status in ("leased", "done") and name != worker


def test_no_process_writes_a_core_file(farm: Farm) -> None:
    up = farm.up()
    farm.wait_until(lambda: len(children(farm)) == 2, "two children")
    family = [psutil.Process(up.pid), *psutil.Process(up.pid).children(recursive=True)]
    assert len(family) >= 7
    for process in family:
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        assert re.search(r"Max core file size +0 +0 ", limits), process.cmdline()
