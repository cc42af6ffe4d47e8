"""What a worker's parent does beside Celery: it ends a child that does not stop when it is told to."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from billiard.exceptions import WorkerLostError
from celery.worker import state

from farm.messages import GivenBack, Hello, Message
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

        self.sent: list[Message] = []

    def why_stop(self, token: str, worker: str) -> str | None:
        return "it is unwanted" if token in self.unwanted else None

    def drain(self, token: str, worker: str) -> None:
        self.unwanted.add(token)

    def send(self, outcome: Message, *, patient: bool = True) -> None:
        self.sent.append(outcome)


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


def test_a_worker_that_stops_finishes_its_chunk(child: "subprocess.Popen[bytes]", looked_after: Child) -> None:
    presence, told = Presence(Settings(), HELLO, looked_after), Told()
    presence._drain()
    presence._give_back(told)
    assert (told.unwanted, told.sent, child.poll()) == (set(), [], None)


@pytest.mark.parametrize("asked", [1, 2])
def test_a_worker_that_has_to_stop_gives_its_chunk_back(
    child: "subprocess.Popen[bytes]", looked_after: Child, monkeypatch: pytest.MonkeyPatch, asked: int
) -> None:
    """After the time that it may take, or at once when it is told again; first its child is asked, and then killed."""
    presence, told = Presence(Settings(drain_seconds=0.01 if asked == 1 else 600), HELLO, looked_after), Told()
    for _ in range(asked):
        presence._drain()
    time.sleep(0.02)
    presence._give_back(told)
    presence._give_back(told)
    assert (told.unwanted, told.sent, child.poll()) == ({"t", "not begun"}, [], None)
    monkeypatch.setattr(signals, "_GIVES_BACK_SECONDS", 0)
    presence._give_back(told)
    assert child.wait(10) == -9
    (given,) = told.sent
    assert isinstance(given, GivenBack)
    assert (given.token, given.worker) == ("t", "w0")
    presence._report_killed_child("t", WorkerLostError("killed"))
    assert not presence._reports  # it is no failure
    presence._report_killed_child("another", WorkerLostError("killed"))
    assert len(presence._reports) == 1
