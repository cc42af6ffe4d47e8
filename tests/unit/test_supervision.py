"""Children are kept running: started again after a growing pause, and given up only with a reason."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from farm import supervision
from farm.errors import DeviceError, FarmError
from farm.supervision import Child, Supervisor


class Kept:
    """A supervisor, what it told, and its children."""

    def __init__(self, folder: Path) -> None:
        self.told: list[str] = []
        self.supervisor = Supervisor(self.told.append)
        self._folder = folder

    def add(self, name: str, program: str, **more: object) -> None:
        log = self._folder / f"{name}.log"
        child = Child(name, lambda: [sys.executable, "-c", program], log, **{"role": name, **more})  # type: ignore[arg-type]
        self.supervisor.add(child)

    def pid(self, name: str) -> int:
        (pid,) = self.supervisor.pids(name)
        return pid

    def watch_until(self, holds: Callable[[], object]) -> None:
        until = time.monotonic() + 20
        while not holds():
            assert time.monotonic() < until, self.told
            began = time.monotonic()
            self.supervisor.watch()
            assert time.monotonic() - began < 0.5, "it waits"
            time.sleep(0.01)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    kept = Kept(tmp_path)
    yield kept
    kept.supervisor.stop({"a", "b", None}, grace=0)


SLEEP = "import time; time.sleep(100)"


def test_what_is_killed_is_started_again_while_the_others_are_watched(kept: Kept) -> None:
    kept.add("a", SLEEP)
    kept.add("b", SLEEP)
    for _ in range(3):  # its pauses grow
        before = kept.pid("a")
        os.kill(before, signal.SIGKILL)
        kept.watch_until(lambda before=before: kept.supervisor.pids("a") - {before})  # type: ignore[misc]
    pauses = [f"a was killed (SIGKILL); starting it again in {pause} s" for pause in ("0.5", "1.0", "2.0")]
    assert kept.told == pauses
    first, other = kept.pid("a"), kept.pid("b")
    os.kill(first, signal.SIGKILL)
    kept.watch_until(lambda: len(kept.told) == 4)
    os.kill(other, signal.SIGKILL)
    kept.watch_until(lambda: kept.supervisor.pids("b") - {other})
    assert kept.supervisor.pids("a") == set()  # b did not wait for a
    assert kept.told[4:] == ["b was killed (SIGKILL); starting it again in 0.5 s"]


def test_the_pause_is_short_again_after_a_good_while(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "_LONGEST_PAUSE", 0.6)
    kept.add("a", "import time; time.sleep(1); print('well'); raise SystemExit(3)")
    kept.watch_until(lambda: len(kept.told) == 3)
    assert kept.told == ["a ended with status 3: well; starting it again in 0.5 s"] * 3


def test_an_error_that_another_start_would_meet_again_is_the_reason(kept: Kept) -> None:
    kept.add("b", SLEEP, role="workers")
    kept.add("a", "print('error: no GPU (see nvidia-smi)'); raise SystemExit(7)", role="workers")
    kept.watch_until(lambda: kept.told)
    assert kept.told == ["a: no GPU (see nvidia-smi); it is not started again"]
    assert len(kept.supervisor.pids("workers")) == 1  # the other one goes on
    kept.supervisor.stop({"workers"}, grace=0)

    kept.add("a", "print('error: no GPU (see nvidia-smi)'); raise SystemExit(7)", role="workers")
    with pytest.raises(DeviceError, match=r"^a: no GPU \(see nvidia-smi\)$"):
        kept.watch_until(lambda: False)


def test_what_always_fails_is_given_up(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "_TRIES", 2)
    kept.add("view", "print('no port'); raise SystemExit(1)", role=None)
    kept.watch_until(lambda: len(kept.told) == 2)
    reason = "view failed 2 times in a row; the last time it ended with status 1: no port"
    assert kept.told[1].startswith(reason)
    kept.supervisor.watch()  # nothing needs it

    kept.add("a", "print('no memory'); raise SystemExit(1)")
    with pytest.raises(FarmError, match=r"a failed 2 times.*no memory.*a\.log"):
        kept.watch_until(lambda: False)


def test_what_does_not_answer_is_killed_and_started_again(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "_ASK_SECONDS", 0.05)
    silent = threading.Event()
    kept.add("a", SLEEP, answers=lambda: not silent.is_set(), patience=0.5)
    first = kept.pid("a")
    time.sleep(0.7)
    kept.supervisor.watch()
    assert kept.pid("a") == first
    silent.set()
    kept.watch_until(lambda: kept.told)
    silent.clear()
    kept.watch_until(lambda: kept.supervisor.pids("a") - {first})
    assert kept.told == ["a did not answer for 0 s and was killed; starting it again in 0.5 s"]


def test_a_child_that_cannot_be_started_again_is_tried_again(kept: Kept, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nexec sleep 100\n")
    program.chmod(0o755)
    kept.supervisor.add(Child("a", lambda: [str(program)], tmp_path / "a.log", role="a"))
    first = kept.pid("a")
    program.rename(tmp_path / "away")
    os.kill(first, signal.SIGKILL)
    kept.watch_until(lambda: any("cannot be started" in line for line in kept.told))
    (tmp_path / "away").rename(program)
    kept.watch_until(lambda: kept.supervisor.pids("a") - {first})


def test_what_a_child_started_ends_with_it(kept: Kept, tmp_path: Path) -> None:
    below = tmp_path / "below"
    kept.add(
        "a",
        "import os, pathlib, subprocess, sys, time; child = subprocess.Popen(['sleep', '100']);"
        f"pathlib.Path({str(below)!r}).write_text(str(child.pid)); time.sleep(100)",
    )
    kept.watch_until(lambda: below.exists() and below.read_text())
    grandchild = psutil.Process(int(below.read_text()))
    grandchild.suspend()
    os.kill(kept.pid("a"), signal.SIGKILL)
    kept.watch_until(lambda: kept.told)
    _, left = psutil.wait_procs([grandchild], timeout=5)
    assert [p for p in left if p.status() != psutil.STATUS_ZOMBIE] == []


@pytest.mark.parametrize("kernel", [True, False], ids=["kernel", "pipe"])
def test_children_end_with_their_parent(tmp_path: Path, kernel: bool) -> None:
    """Also where the kernel does not kill them: they notice the end of the pipe that is their standard input."""
    pids = tmp_path / "pids"
    child = "from farm import processes; import time; {} processes.end_with_input(); time.sleep(100)"
    program = f"""
import pathlib, subprocess, sys, time
from farm import processes
{"" if kernel else "processes._libc = None"}
started = processes.start([sys.executable, "-c", {child.format("" if kernel else "processes._libc = None;")!r}],
                          pathlib.Path({str(tmp_path / "log")!r}))
pathlib.Path({str(pids)!r}).write_text(str(started.pid))
time.sleep(100)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(supervision.__file__).parent.parent)}
    parent = psutil.Popen([sys.executable, "-c", program], env=environment)
    until = time.monotonic() + 20
    while not (pids.exists() and pids.read_text()):
        assert time.monotonic() < until
        time.sleep(0.05)
    started = psutil.Process(int(pids.read_text()))
    time.sleep(1.0 if kernel else 3.0)
    assert started.is_running()
    parent.kill()
    parent.wait()
    _, left = psutil.wait_procs([started], timeout=5)
    assert [p for p in left if p.status() != psutil.STATUS_ZOMBIE] == []
