"""Child processes of the farm: each has its own log and ends with the process that started it."""

import contextlib
import ctypes
import fcntl
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

#: Removed from children's environments: no child opens the database, and its address may hold a password.
DATABASE_ADDRESS = "FARM_DATABASE_URL"
_PR_SET_PDEATHSIG = 1
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


def _die_with_parent() -> None:
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


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
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**{k: v for k, v in os.environ.items() if k != DATABASE_ADDRESS}, **(env or {})},
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call, no lock is taken
        )


def stop(processes: Iterable["subprocess.Popen[bytes]"], grace: float) -> None:
    """Terminate processes; after ``grace`` seconds in total, kill the sessions of those that still run."""
    running = [p for p in processes if p.poll() is None]
    for process in running:
        process.terminate()
    until = time.monotonic() + grace
    for process in running:
        try:
            process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def rotate_logs(folder: Path, megabytes: float) -> None:
    """Begin each log in ``folder`` anew that is larger than ``megabytes``; its end is kept as ``NAME.log.1``.

    The writers go on: they have opened their logs for appending. What one writes in the meantime may be lost.
    """
    limit = int(megabytes * 1_000_000)
    for log in folder.glob("*.log"):
        if log.is_symlink() or not log.is_file():
            continue
        with contextlib.suppress(OSError), log.open("r+b") as file:  # a log is not worth an error
            fcntl.flock(file, fcntl.LOCK_EX)  # several processes rotate the logs of one home
            size = file.seek(0, os.SEEK_END)
            if size > limit:
                file.seek(size - limit)
                with contextlib.suppress(OSError):  # the disk is full: then the log's space is needed
                    log.with_name(f"{log.name}.1").write_bytes(file.read())
                file.truncate(0)


def tail(log: Path, lines: int = 5) -> str:
    """The last lines of a log, for an error message."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
