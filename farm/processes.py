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
from typing import IO, NoReturn

from farm.configuration import CONFIG, PATHS, variable
from farm.errors import SettingsError

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
        encoding="utf-8" if path else None,  # a message may hold any name, whatever the locale's encoding
        errors="backslashreplace" if path else None,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        force=path is not None,
    )


def _die_with_parent() -> None:
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def module(name: str, *words: str) -> list[str]:
    """The command line that runs a module. ``-P``: not one of that name in the working folder."""
    return [sys.executable, "-P", "-m", name, *words]


def environment(folder: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a child whose working folder is ``folder``: this process's, and ``more``.

    It has no address of the database. Processes that the child starts look for no module in their working folder
    either. Paths in its variables are absolute.
    """
    own = {k: v for k, v in os.environ.items() if k != DATABASE_ADDRESS}
    paths = {k: str(Path(own[k]).expanduser().absolute()) for k in (CONFIG, *map(variable, PATHS)) if own.get(k)}
    return {**own, **paths, "PYTHONSAFEPATH": "1", "PWD": str(folder), **(more or {})}


def become(command: list[str], folder: Path, env: Mapping[str, str]) -> NoReturn:
    """Replace this process with a command, whose working folder is ``folder``; ``env`` as for :func:`start`."""
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    os.execve(command[0], command, environment(folder, env))  # noqa: S606 - our own program


def ask(command: Sequence[str], timeout: float | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, in the root folder, and return what it printed. Raises OSError, TimeoutExpired."""
    root = Path("/")
    return subprocess.run(
        command, capture_output=True, text=True, errors="replace", check=False, timeout=timeout,
        stdin=subprocess.DEVNULL, cwd=root, env=environment(root),
    )  # fmt: skip


def start(command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> "subprocess.Popen[bytes]":
    """Start a command in its own session, so that Ctrl-C reaches this process only; output is appended to ``log``.

    Its working folder is that of the log: the folder that a user stands in is not trusted. ``env`` is added to its
    environment (:func:`environment`). On Linux the child is killed when this process ends in any way: no orphan keeps
    running, and its work is done again. Call from the main thread: the kernel watches the thread that started the
    child.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
            env=environment(log.parent, env),
            start_new_session=True,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - one system call, no lock is taken
        )


def hold(path: Path) -> IO[str] | None:
    """Lock the file ``path`` until it is closed; None if another process holds it. Raises SettingsError."""
    try:
        held = path.open("a")
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            held.close()
            return None
    except OSError as e:
        raise SettingsError(
            f"cannot lock {path}: {e.strerror}", hint="set FARM_HOME to a folder on a local disk"
        ) from e
    return held


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


def tail(log: Path, lines: int = 5) -> str:
    """The last lines of a log, for an error message."""
    try:
        return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
