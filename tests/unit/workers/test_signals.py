"""What a worker's parent does beside Celery: it ends a child that does not stop when it is told to."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker import state

from farm.messages import Hello
from farm.settings import Settings
from tests.memory_store import MemoryStorage
from workers import signals
from workers.child import Child
from workers.reporting import Reporter
from workers.signals import Presence

HELLO = Hello(worker="w0", incarnation="1/1", host="h", device="cpu0", pid=1)


class Told(Reporter):
    """Coordinator's answers: the attempts that it does not want."""

    def __init__(self, *unwanted: str) -> None:
        super().__init__(Settings())
        self.unwanted = set(unwanted)

    def is_unwanted(self, token: str, worker: str) -> bool:
        return token in self.unwanted


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Iterator["subprocess.Popen[bytes]"]:
    """A process that works on the attempt ``t``, as Celery's state says."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        requests: Any = {"t": SimpleNamespace(worker_pid=process.pid), "not begun": SimpleNamespace(worker_pid=None)}
        monkeypatch.setattr(state, "requests", requests)
        yield process
        process.kill()


@pytest.fixture
def looked_after(tmp_path: Path) -> Child:
    return Child(Settings(home=tmp_path), "w0", "cpu0", MemoryStorage(tmp_path))


@pytest.mark.parametrize("stopped", [False, True], ids=["busy", "stopped"])
def test_a_child_that_does_not_stop_is_killed(
    child: "subprocess.Popen[bytes]", looked_after: Child, monkeypatch: pytest.MonkeyPatch, *, stopped: bool
) -> None:
    presence, told = Presence(Settings(), HELLO, looked_after), Told("t", "not begun", "long over")
    if stopped:
        child.send_signal(signal.SIGSTOP)
    presence._end_hanging(told)
    presence._end_hanging(told)
    assert child.poll() is None  # it has some time
    monkeypatch.setattr(signals, "_HANGS_SECONDS", 0)
    presence._end_hanging(told)
    assert child.wait(10) == -9
    presence._end_hanging(told)  # Celery has not noticed yet


def test_a_child_whose_attempt_is_wanted_goes_on(
    child: "subprocess.Popen[bytes]", looked_after: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals, "_HANGS_SECONDS", 0)
    presence = Presence(Settings(), HELLO, looked_after)
    for _ in range(2):
        presence._end_hanging(Told("another"))
    assert child.poll() is None
