"""The farm keeps itself up: whichever of its processes is killed, it is started again and jobs end exact."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from farm.local.home import is_running
from farm.settings import load_settings
from tests.conftest import ClipMaker
from tests.e2e.conftest import SLOWLY, Farm, assert_exact
from tests.processes import works

pytestmark = pytest.mark.e2e

#: The processes of a farm, by what their command lines contain; a worker's child is known by its parent.
PARTS = {
    "redis": "valkey-server",
    "coordinator": "farm.local.coordinator",
    "worker": "workers.process",
    "child": "",
    "flower": "farm.local.flower",
}


def ended(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() == psutil.STATUS_ZOMBIE
    return True


def family(pid: int) -> list[psutil.Process]:
    return [p for p in psutil.Process(pid).children(recursive=True) if not ended(p)]


def part(pid: int, name: str) -> psutil.Process:
    """The first process of a part."""
    for process in family(pid):
        with contextlib.suppress(psutil.Error):
            if works(process) if name == "child" else PARTS[name] in " ".join(process.cmdline()) and not works(process):
                return process
    raise AssertionError(f"no {name} in {family(pid)}")


def has(pid: int, name: str, *, but: psutil.Process | None = None) -> Callable[[], bool]:
    def found() -> bool:
        with contextlib.suppress(AssertionError):
            return part(pid, name) != but
        return False

    return found


def suspend(processes: list[psutil.Process]) -> None:
    """All but billiard's trackers of semaphores, which nobody but billiard starts: they notice the end of a pipe."""
    for process in processes:
        if "semaphore_tracker" not in " ".join(process.cmdline()):
            process.suspend()


def all_gone(processes: list[psutil.Process]) -> None:
    _, left = psutil.wait_procs(processes, timeout=15)
    assert [p for p in left if not ended(p)] == []


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program uses."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


@pytest.fixture(scope="module")
def long_clip(make_clip: ClipMaker) -> Path:
    return make_clip(seconds=12, size=(640, 360), fps=25, gop=25)


@pytest.fixture
def detached(farm: Farm) -> Iterator[Callable[..., psutil.Process]]:
    """``farm up --detach``, ended after the test."""
    started: list[psutil.Process] = []

    def start(*words: str) -> psutil.Process:
        farm.run("up", "--detach", *words)
        said = (farm.home / "farm.lock").read_text()
        started.append(psutil.Process(int(re.findall(r'"pid": (\d+)', said)[0])))
        return started[-1]

    yield start
    if is_running(load_settings(home=farm.home)):
        farm.run("down", "--now")
    all_gone(started)


def test_detach_down_and_a_taken_port(farm: Farm, clip: Path, tmp_path: Path, taken: int, detached: Any) -> None:
    farm.env["FARM_FLOWER_PORT"] = str(taken)
    main = detached()
    assert main.ppid() != os.getpid()
    status = farm.run("status").stdout
    (port,) = re.findall(r"Flower: http://127.0.0.1:(\d+)", status)
    assert int(port) > taken
    log = (farm.home / "logs" / "farm.log").read_text()
    assert f"Flower: http://127.0.0.1:{port} ({taken} is taken)" in log
    assert "is running in" in farm.run("up", "--detach", code=1).stderr
    children = family(main.pid)
    assert len(children) >= 6

    part(main.pid, "flower").kill()  # no job and no other part depends on it
    out = tmp_path / "out.mp4"
    farm.run("submit", clip, "-o", out)
    assert_exact(clip, out)
    farm.wait_until(has(main.pid, "flower"), "Flower again")

    said = farm.run("down").stdout
    assert "the workers finish their chunks first, for up to 30 s" in said
    assert "the farm has stopped" in said
    all_gone([main, *children])
    assert "no farm is running" in farm.run("down").stdout
    log = (farm.home / "logs" / "farm.log").read_text()
    assert "Flower was killed (SIGKILL); starting it again in 0.5 s" in log


def test_detach_ends_with_the_error_of_the_farm(farm: Farm) -> None:
    assert farm.run("up", "--detach", "--devices", "gpu", code=2).stderr.startswith('error: --devices: "gpu" ')
    # an address that is reserved for documentation: no interface has it
    farm.env |= {"FARM_FLOWER_ADDRESS": "192.0.2.1", "FARM_FLOWER_BASIC_AUTH": "me:secret"}
    assert "Flower cannot listen on 192.0.2.1:" in farm.run("up", "--detach", code=2).stderr
    assert not is_running(load_settings(home=farm.home))


def test_redis_is_killed_under_a_running_farm(farm: Farm, clip: Path, tmp_path: Path, detached: Any) -> None:
    main = detached("--no-flower")
    redis = part(main.pid, "redis")
    redis.kill()
    out = tmp_path / "out.mp4"
    farm.run("submit", clip, "-o", out, timeout=120)
    assert_exact(clip, out)
    assert "redis was killed (SIGKILL); starting it again" in (farm.home / "logs" / "farm.log").read_text()


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, *(pytest.param(n, marks=pytest.mark.faults) for n in (signal.SIGINT, signal.SIGHUP))]
)
def test_signals_drain_and_exit_0(farm: Farm, number: signal.Signals) -> None:
    up = farm.up()
    up.send_signal(number)
    assert up.wait(60) == 0
    assert up.stdout
    assert "the farm has stopped" in up.stdout.read()


@pytest.mark.faults
def test_a_second_interrupt_stops_at_once(farm: Farm, long_clip: Path, tmp_path: Path) -> None:
    up = farm.up()
    farm.run("submit", long_clip, "-o", tmp_path / "out.mp4", *SLOWLY, "--chunk-seconds", 12, "--detach")
    farm.wait_until(lambda: farm.job()["stages"][0]["frames_done"] > 0, "a chunk under way", up)
    up.send_signal(signal.SIGINT)
    time.sleep(1)
    began = time.monotonic()
    up.send_signal(signal.SIGINT)
    assert up.wait(60) == 0
    assert time.monotonic() - began < 5
    assert farm.job()["failures"] == 0  # given back


@pytest.mark.faults
@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("own", [False, True], ids=["up", "submit"])
def test_a_part_is_killed_during_a_job(
    farm: Farm, long_clip: Path, tmp_path: Path, detached: Any, name: str, own: bool
) -> None:
    if own and name == "flower":
        pytest.skip("submit starts no Flower")
    out = tmp_path / "out.mp4"
    main = None if own else detached()
    submit = farm.spawn("submit", long_clip, "-o", out, "--chunk-seconds", 1, *SLOWLY)
    farm.wait_until(lambda: farm.chunks_done("detect") >= 2, "two chunks", submit)
    pid = submit.pid if main is None else main.pid
    victim = part(pid, name)
    victim.kill()
    farm.wait_until(has(pid, name, but=victim), f"another {name}", submit)
    assert submit.wait(240) == 0, submit.stdout.read() if submit.stdout else ""
    assert_exact(long_clip, out)
    assert farm.job()["failures"] <= 2


@pytest.mark.faults
@pytest.mark.parametrize("stopped", [False, True])
def test_nothing_outlives_the_main_process_and_up_just_works(
    farm: Farm, long_clip: Path, tmp_path: Path, stopped: bool
) -> None:
    out = tmp_path / "out.mp4"
    up = farm.up()
    farm.run("submit", long_clip, "-o", out, "--chunk-seconds", 1, *SLOWLY, "--detach")
    farm.wait_until(lambda: farm.chunks_done("detect") >= 2, "two chunks", up)
    everything = family(up.pid)
    if stopped:
        suspend(everything)
    up.kill()
    up.wait()
    again = farm.spawn("up", "--no-flower")  # at once: the others may still be ending
    all_gone(everything)
    job = farm.json("list")[0]["id"]
    farm.run("watch", job)
    assert again.poll() is None
    assert_exact(long_clip, out)


@pytest.mark.faults
def test_nothing_outlives_a_worker(farm: Farm, long_clip: Path, tmp_path: Path) -> None:
    up = farm.up()
    for worker in [psutil.Process(pid) for pid in farm.worker_pids()]:
        below = worker.children(recursive=True)
        assert below
        suspend(below)
        worker.kill()
        all_gone(below)
    farm.wait_until(lambda: len(farm.worker_pids()) == 2, "both workers again", up)


@pytest.mark.faults
def test_submit_takes_over_from_a_farm_that_is_killed(farm: Farm, long_clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    up = farm.up()
    submit = farm.spawn("submit", long_clip, "-o", out, "--chunk-seconds", 1, *SLOWLY)
    farm.wait_until(lambda: farm.chunks_done("detect") >= 2, "two chunks", submit)
    up.kill()
    up.wait()
    assert submit.wait(240) == 0
    assert_exact(long_clip, out)


@pytest.mark.faults
def test_without_a_coordinator_the_person_is_told(farm: Farm, shared_redis: str, clip: Path, tmp_path: Path) -> None:
    farm.env["FARM_BROKER_URL"] = shared_redis
    coordinator = farm.spawn("coordinator")
    farm.wait_until(lambda: farm.json("status")["coordinator"], "a coordinator", coordinator)
    coordinator.terminate()
    assert coordinator.wait(30) == 0
    time.sleep(10)
    assert not farm.json("status")["coordinator"]
    said = r"no coordinator for \d+ s: start one with `farm coordinator`"
    assert re.search(said, farm.run("status").stdout)
    assert re.search(said, farm.run("submit", clip, "-o", tmp_path / "other.mp4", "--detach").stderr)
    submit = farm.spawn("submit", clip, "-o", tmp_path / "out.mp4")
    assert submit.stdout
    assert any(re.fullmatch(said, line.rstrip()) for line in submit.stdout)  # reads on until it is said
    submit.send_signal(signal.SIGINT)
    assert submit.wait(30) == 130
    lines = submit.stdout.read()
    assert re.search(rf"no longer watching. Job \w+ waits \({said}\)", lines)
    assert "goes on with" not in lines


def test_a_coordinator_beside_the_farms_own_waits(farm: Farm) -> None:
    up = farm.up()
    other = farm.spawn("coordinator")
    assert other.stdout
    own = part(up.pid, "coordinator").pid
    waits = f"another coordinator (pid {own} on {socket.gethostname()}) leads; waiting\n"
    assert any(line == waits for line in other.stdout)  # reads on until it is said
    alive = farm.worker_pids()
    other.terminate()
    assert other.wait(30) == 0
    assert farm.worker_pids() == alive  # it took nothing back from them
    assert "lost the lead" not in farm.logs()


def test_the_unit_is_one_that_systemd_accepts(farm: Farm, tmp_path: Path) -> None:
    farm.env |= {"FARM_FLOWER_BASIC_AUTH": "me:secret", "FARM_STORE_DIR": str(tmp_path / 'a "b" 100%')}
    text = farm.run("up", "--print-unit", "--devices", "cpu:1", "--no-flower").stdout
    assert "secret" not in text
    assert "FARM_FLOWER_BASIC_AUTH may hold a password" in text
    assert re.search(r'^ExecStart="/.*" "-P" "-m" "farm" "up" "--devices" "cpu:1" "--no-flower"$', text, re.MULTILINE)
    if (systemd := shutil.which("systemd-analyze")) is None:
        pytest.skip("no systemd here")
    unit = tmp_path / "blurfarm.service"
    unit.write_text(text)
    checked = subprocess.run(
        [systemd, "verify", "--user", unit],
        env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
