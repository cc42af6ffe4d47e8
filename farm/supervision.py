"""Keeps child processes running: one that ends or stops answering is started again, after a pause that grows."""

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any

from farm import processes
from farm.errors import DeviceError, FarmError, OutputError, SettingsError
from farm.settings import Settings

_LONGEST_PAUSE = 30.0  # seconds; a child that ran for longer begins with the shortest pause again
_TRIES = 10
_ASK_SECONDS = 1.0
_WORKER_SECONDS = 120.0  # a worker is silent, too, while it starts and asks a GPU's driver what it can do
#: Errors of a child, by its exit status, that another start would meet again.
FINAL = {kind.exit_code: kind for kind in (DeviceError, OutputError, SettingsError)}


@dataclass(frozen=True)
class Child:
    """A process to keep running. ``command`` is called before each start and may prepare it; it raises FarmError.

    ``role``: the farm needs at least one child of each role; None: it can do without. ``answers`` is called every
    second in a thread of its own; a child for which it returned False for ``patience`` seconds is killed.
    """

    name: str
    command: Callable[[], Sequence[str]]
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)
    role: str | None = None
    answers: Callable[[], bool] | None = None
    patience: float = inf


def worker(
    settings: Settings, device: str, answers: Callable[[], bool] | None = None, **told: Mapping[str, Any]
) -> Child:
    """The worker of the device with this name. See :class:`Child` for ``answers``.

    ``told``: what it need not find out. ``able``: what it can do, see :attr:`farm.jobs.abilities.Machine.of_each`;
    ``detect``: the options of a job that will soon come, for which it prepares.
    """
    return Child(
        f"worker {device}",
        lambda: processes.module("workers.process", device, json.dumps(told)),
        settings.logs / f"worker-{device}.out.log",  # what it prints; it logs to worker-DEVICE.log
        {**settings.for_children(), "OMP_NUM_THREADS": "1"},
        role="workers",
        answers=answers,
        patience=_WORKER_SECONDS,
    )


class Stops:
    """Counts the signals that ask this process to stop: SIGTERM, SIGINT and SIGHUP once, SIGQUIT twice.

    The first one asks to finish what is under way, the second one to stop at once.
    """

    def __init__(self, tell: Callable[[], object] = lambda: None) -> None:
        """``tell`` is called in the handler of each signal: it takes no lock that the main thread takes elsewhere."""
        self.asked, self._tell = 0, tell
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup: the terminal's end does not matter
                signal.signal(number, self._ask)

    def _ask(self, number: int, _frame: object) -> None:
        self.asked += 2 if number == signal.SIGQUIT else 1
        self._tell()

    @property
    def hurry(self) -> bool:
        """Whether to stop at once."""
        return self.asked > 1


class _Pulse:
    """For how many seconds a child has not answered. Time in which this process itself stood still does not count."""

    def __init__(self, answers: Callable[[], bool]) -> None:
        self.silent = 0.0
        self.over = threading.Event()
        self._answers = answers
        threading.Thread(target=self._ask, name="pulse", daemon=True).start()

    def _ask(self) -> None:
        last = time.monotonic()
        while not self.over.wait(_ASK_SECONDS):
            answered = self._answers()
            now = time.monotonic()
            self.silent = 0.0 if answered else self.silent + min(now - last, 3 * _ASK_SECONDS)
            last = now


class _Kept:
    """One child: its process, or when the next one is due, or why there will be none."""

    def __init__(self, child: Child) -> None:
        self.child = child
        self.process: subprocess.Popen[bytes] | None = None
        self.error: FarmError | None = None
        self.due = 0.0
        self._began = 0.0
        self._failures = 0
        self._pulse: _Pulse | None = None

    def start(self) -> None:
        """Raises FarmError, OSError."""
        self._began = time.monotonic()
        self.process = processes.start(self.child.command(), self.child.log, self.child.env)
        if self._pulse is not None:
            self._pulse.silent = 0.0
        elif self.child.answers is not None:
            self._pulse = _Pulse(self.child.answers)

    def forget(self) -> None:
        """Ask no more whether it answers."""
        if self._pulse is not None:
            self._pulse.over.set()

    def ended(self) -> str | None:
        """Why the process has just ended, in words; kill it if it does not answer."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            if self._pulse is None or self._pulse.silent < self.child.patience:
                return None
            processes.kill(self.process)
            return f"did not answer for {self.child.patience:.0f} s and was killed"
        processes.kill(self.process)  # what it started
        code = self.process.returncode
        if code < 0:
            return f"was killed ({signal.Signals(-code).name})"
        return f"ended with status {code}: {self._last_line()}"

    def _last_line(self) -> str:
        return processes.tail(self.child.log, 1).removeprefix("error: ")

    def failed(self, why: str) -> str:
        """Decide whether and when to start the process again; returns what to tell about it."""
        name, code = self.child.name, self.process.returncode if self.process else None
        self.process = None
        self._failures = 1 if time.monotonic() - self._began > _LONGEST_PAUSE else self._failures + 1
        if code in FINAL:
            self.error = FINAL[code](f"{name}: {self._last_line()}")
            return f"{self.error}; it is not started again"
        if self._failures >= _TRIES:
            text = f"{name} failed {self._failures} times in a row; the last time it {why}"
            self.error = FarmError(text, hint=f"see {self.child.log}")
            return f"{self.error}; it is not started again"
        pause = min(_LONGEST_PAUSE, 0.25 * 2**self._failures)
        self.due = time.monotonic() + pause
        return f"{name} {why}; starting it again in {pause:.1f} s"


class Supervisor:
    """Starts children and keeps them running. ``tell`` gets a line about each one that ended.

    All methods are to be called in one thread, which must live as long as the process: see :func:`processes.start`.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._kept: dict[str, _Kept] = {}

    def add(self, child: Child) -> None:
        """Start a child. Raises FarmError."""
        kept = _Kept(child)
        try:
            kept.start()
        except OSError as e:
            raise FarmError(f"{child.name} cannot be started: {e}", hint="run `farm doctor`") from e
        self._kept[child.name] = kept

    def pids(self, role: str) -> set[int]:
        """The ids of the running processes of this role."""
        found = (k.process for k in self._kept.values() if k.child.role == role)
        return {process.pid for process in found if process is not None and process.poll() is None}

    def watch(self) -> None:
        """Start again what has ended; never waits. Raises the error of the last child of a role that is given up."""
        for kept in self._kept.values():
            if (why := kept.ended()) is not None:
                self._tell(kept.failed(why))
            elif kept.process is None and kept.error is None and time.monotonic() >= kept.due:
                try:
                    kept.start()
                except (OSError, FarmError) as e:
                    self._tell(kept.failed(f"cannot be started: {e}"))
        for role in {k.child.role for k in self._kept.values()} - {None}:
            errors = [k.error for k in self._kept.values() if k.child.role == role]
            if (last := errors[-1]) is not None and None not in errors:
                raise last

    def stop(
        self, roles: set[str | None], grace: float, hurry: Callable[[], bool] = lambda: False, *, again: float = 0.0
    ) -> None:
        """Stop the children of these roles and forget them. See :func:`processes.stop`."""
        kept = {name: k for name, k in self._kept.items() if k.child.role in roles}
        processes.stop([k.process for k in kept.values() if k.process is not None], grace, hurry, again=again)
        for name, each in kept.items():
            each.forget()
            del self._kept[name]
