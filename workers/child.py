"""A worker's child process as its parent sees it: what it works on, whether it moves, and how much memory it takes."""

import contextlib
import logging
import os
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import psutil

from farm.domain.lifecycle import DeathKind
from farm.liveness import Sign, last_sign
from farm.messages import Failed, Held
from farm.processes import remove_scratch
from farm.settings import Settings
from farm.storage.base import Storage

log = logging.getLogger(__name__)

_SHARE = 0.8  # of the machine's memory, where no bound is set
_GIGABYTE = 1e9
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
#: Bytes by which a library that reads on for minutes without returning shows that it moves, and for how many times
#: ``stall_seconds`` that is enough. What reads that much without an end hangs, too.
_MOVED = 1 << 20
_READING = 15


class LifeFiles:
    """The files in which the children of a worker show their signs of life, one for each process."""

    def __init__(self, settings: Settings, device: str) -> None:
        self._folder, self._prefix = settings.home / "run", f"worker-{device}."

    def of(self, pid: int) -> Path:
        """The file of a process."""
        return self._folder / f"{self._prefix}{pid}.life"

    def signs(self) -> dict[int, Sign]:
        """The last signs of life of all processes that have a file, by process id."""
        paths = self._folder.glob(f"{self._prefix}*.life")
        found = {path: last_sign(path) for path in paths}
        return {int(path.name.split(".")[-2]): sign for path, sign in found.items() if sign is not None}


class _Seen(NamedTuple):
    sign: Sign | None = None
    moved: int = 0  # bytes read and written, in units of _MOVED


@dataclass(slots=True)
class _Idle:
    """For how long an order did not move, by the parent's clock; time in which it stood still itself does not count.

    ``silent``: without a sign of life. ``seconds``: nor did its processes read or write much.
    """

    seen: _Seen = field(default_factory=_Seen)
    silent: float = 0.0
    seconds: float = 0.0

    def look(self, seen: _Seen, passed: float) -> None:
        """After ``passed`` seconds."""
        before, self.seen = self.seen, seen
        self.seconds = self.seconds + passed if seen == before else 0.0
        self.silent = self.silent + passed if seen.sign == before.sign else 0.0


class Child:
    """Looks after a worker's child process. Of several (one ends while the next begins) each is looked at by its own.

    Not thread-safe, except :meth:`death`.
    """

    def __init__(self, settings: Settings, worker: str, device: str, store: Storage) -> None:
        self._settings, self._worker, self._store = settings, worker, store
        self._files = LifeFiles(settings, device)
        self._idle: dict[str, _Idle] = {}
        self._looked = time.monotonic()
        self._bound = settings.worker_gigabytes * _GIGABYTE if settings.worker_gigabytes else _SHARE * memory()
        self.clear()

    def clear(self, held: Iterable[str] = ()) -> None:
        """Remove what ended processes left: temporary files, half an artefact. Those that work on ``held`` keep theirs
        until their end was reported.
        """
        kept = set(held)
        for pid, sign in self._files.signs().items():
            if sign.token not in kept and not _runs(pid):
                remove_scratch(pid)
                self._store.remove_unfinished_of(pid)
                self._files.of(pid).unlink(missing_ok=True)

    def look(self, tokens: Iterable[str]) -> tuple[list[Held], list[Failed]]:
        """What is to be told of the orders ``tokens``, and which of them have just failed: their process, which made no
        progress or took too much memory, was killed.
        """
        now = time.monotonic()
        passed, self._looked = min(now - self._looked, 3 * self._settings.heartbeat_seconds), now
        signs = {pid: sign for pid, sign in self._files.signs().items() if _runs(pid, os.getpid())}
        working = {sign.token: (pid, sign) for pid, sign in signs.items()}
        self._idle = {token: self._idle.get(token, _Idle()) for token in tokens}
        held, failed = [], []
        waiting = not (working.keys() & self._idle.keys())  # an order behind another one need not move
        for token, idle in self._idle.items():
            pid, sign = working.get(token, (None, None))
            if sign is not None and pid is not None:
                idle.look(_Seen(sign, _moved(pid) // _MOVED), passed)
            elif waiting:
                idle.look(_Seen(), passed)
            held.append(Held(token=token, frames=sign and sign.frames, idle=round(idle.seconds, 3)))
            if end := self._why_to_end(pid, sign, idle):
                for each in [pid] if pid is not None else signs:
                    kill(each)
                failed.append(self._failed(token, sign, *end))
        return held, failed

    def _why_to_end(self, pid: int | None, sign: Sign | None, idle: _Idle) -> tuple[DeathKind, str] | None:
        limit = self._settings.stall_seconds
        if idle.seconds >= limit or idle.silent >= _READING * limit:
            where = "" if sign is None or sign.frames is None else f" at frame {sign.frames + 1}"
            return DeathKind.HUNG, f"hung{where}: no progress for {max(idle.seconds, idle.silent):.0f} s"
        if pid is not None and (used := _used(pid)) > self._bound:
            bound = f"{self._bound / _GIGABYTE:.1f} GB (FARM_WORKER_GIGABYTES)"
            return DeathKind.MEMORY, f"took {used / _GIGABYTE:.1f} GB of memory, more than {bound}"
        return None

    def death(self, token: str, reason: str) -> Failed:
        """The failure of an order whose process was killed by something else."""
        sign = next((sign for sign in self._files.signs().values() if sign.token == token), None)
        return self._failed(token, sign, DeathKind.KILLED, reason)

    def _failed(self, token: str, sign: Sign | None, kind: DeathKind, reason: str) -> Failed:
        failed = Failed(token=token, worker=self._worker, cause="infrastructure", reason=reason)
        if sign is None or sign.frames is None:
            return failed
        return failed.model_copy(update={"death": kind, "frames": sign.frames})


def kill(pid: int) -> None:
    """Kill a child, also a stopped one; what it started ends with it. Celery starts another one."""
    log.warning("killing process %d", pid)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def memory() -> int:
    """The memory in bytes that this machine or container has."""
    found = [psutil.virtual_memory().total]
    for path in _LIMITS:
        with contextlib.suppress(OSError, ValueError):  # "max": none is set
            found.append(int(path.read_text()))
    return min(found)


def _runs(pid: int, parent: int | None = None) -> bool:
    """Whether a process runs, and, if ``parent`` is given, was started by that one: numbers are used again."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and parent in (None, process.ppid())
    except psutil.Error:
        return False


def _family(pid: int) -> list[psutil.Process]:
    try:
        child = psutil.Process(pid)
        return [child, *child.children(recursive=True)]
    except psutil.Error:
        return []


def _used(pid: int) -> int:
    """The memory in bytes of a process and all that it started."""
    used = 0
    for process in _family(pid):
        with contextlib.suppress(psutil.Error):
            used += process.memory_info().rss
    return used


def _moved(pid: int) -> int:
    """The bytes that a process and all that it started have read and written; 0 where the system does not count."""
    moved = 0
    for process in _family(pid):
        with contextlib.suppress(psutil.Error, AttributeError):
            counted = process.io_counters()
            moved += counted.read_chars + counted.write_chars
    return moved
