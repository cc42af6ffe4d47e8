"""Child processes of the farm: each has its own log and ends with the process that started it."""

import contextlib
import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

#: Removed from children's environments: no child opens the database, and its address may hold a password.
DATABASE_ADDRESS = "FARM_DATABASE_URL"
_PR_SET_PDEATHSIG = 1
_KILLED_SECONDS = 10.0
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def begin_log(path: Path | None = None) -> None:
    """Write this process's log, from level INFO on, to the file ``path``, else to standard error."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(
        filename=path,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=path is not None,
    )


def die_with(parent: int) -> None:
    """Have the kernel kill this process when the process ``parent``, which started it, ends. Linux only.

    Exactly: when the thread that started it ends. To be called in the child, also as ``preexec_fn``.
    """
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the call
            os.kill(os.getpid(), signal.SIGKILL)


def dying_with_this() -> Callable[[], None]:
    """A ``preexec_fn`` with which a child is killed when this process ends in any way. Linux only."""
    return partial(die_with, os.getpid())


def end_with_input() -> None:
    """End when the process that started this one ends, where the kernel does not see to that.

    :func:`start` then makes standard input a pipe that only the parent holds open.
    """
    if _libc is None:
        threading.Thread(target=_wait_for_end_of_input, name="parent", daemon=True).start()


def _wait_for_end_of_input() -> None:
    while os.read(0, 1):
        pass
    os.killpg(0, signal.SIGKILL)


def start(command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> "subprocess.Popen[bytes]":
    """Start a command in its own session, so that Ctrl-C reaches this process only; output is appended to ``log``.

    ``env`` is added to this process's environment, without the database's address. On Linux the child is killed when
    this process ends in any way: no orphan keeps running, and its work is done again. Call from the main thread: the
    kernel watches the thread that started the child.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE if _libc is None else subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**{k: v for k, v in os.environ.items() if k != DATABASE_ADDRESS}, **(env or {})},
            start_new_session=True,
            preexec_fn=dying_with_this(),  # noqa: PLW1509 - two system calls, no lock is taken
        )


def stop(
    processes: Iterable["subprocess.Popen[bytes]"], grace: float, hurry: Callable[[], bool] = lambda: False
) -> None:
    """Terminate processes; after ``grace`` seconds in total, or when ``hurry`` says so, kill those that still run.

    What they started in their sessions is killed, too.
    """
    running = [p for p in processes if p.poll() is None]
    for process in running:
        process.terminate()
    until = time.monotonic() + grace
    while any(p.poll() is None for p in running) and time.monotonic() < until and not hurry():
        time.sleep(0.02)
    for process in running:
        kill(process)


def kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process that :func:`start` started, or what is left of its session if it has just ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS refuses for a group of zombies
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):  # the kernel may hold it, as for a file system that is away
        process.wait(_KILLED_SECONDS)
    if process.stdin is not None:
        process.stdin.close()


def tail(log: Path, lines: int = 5) -> str:
    """The last lines of a log, for an error message."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
