"""Child processes of the farm: each has its own log and ends with the process that started it."""

import contextlib
import ctypes
import fcntl
import getpass
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, NoReturn

import psutil

from farm.configuration import CONFIG, PATHS, variable
from farm.errors import SettingsError

_SCRATCH = "blurfarm-scratch"
_PR_SET_PDEATHSIG = 1
_KILLED_SECONDS = 10.0
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
_PRIVATE = 0o077  # a umask
_users_umask = _PRIVATE


def keep_private(umask: int | None = None) -> None:
    """Make files and folders that this process and its children create accessible to this user only.

    :func:`users_umask` remembers what the user had set: ``umask``, by default that of this process.
    """
    global _users_umask  # noqa: PLW0603 - as the umask itself, it is the process's
    before = os.umask(_PRIVATE)
    _users_umask = (before if umask is None else umask) | stat.S_IWOTH


def users_umask() -> int:
    """The umask for what is made for the user (outputs), not for the farm. Nobody else ever gets write access."""
    return _users_umask


@contextlib.contextmanager
def for_the_user() -> Iterator[None]:
    """Files and folders that are created inside get the user's umask. Not for a process whose threads create others."""
    before = os.umask(_users_umask)
    try:
        yield
    finally:
        os.umask(before)


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


def module(name: str, *words: str) -> list[str]:
    """The command line that runs a module. ``-P``: not one of that name in the working folder."""
    return [sys.executable, "-P", "-m", name, *words]


def environment(folder: Path, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a child whose working folder is ``folder``: this process's, and ``more``.

    It has no address of the database, which may hold a password, unless ``more`` has it. Processes that the child
    starts look for no module in their working folder either. Paths in its variables are absolute.
    """
    own = {k: v for k, v in os.environ.items() if k != variable("database_url")}
    paths = {k: str(Path(own[k]).expanduser().absolute()) for k in (CONFIG, *map(variable, PATHS)) if own.get(k)}
    return {**own, **paths, "PYTHONSAFEPATH": "1", "PWD": str(folder), **(more or {})}


def become(command: list[str], folder: Path, env: Mapping[str, str]) -> NoReturn:
    """Replace this process with a command, whose working folder is ``folder``; ``env`` as for :func:`start`."""
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    os.execve(command[0], command, environment(folder, env))  # noqa: S606 - our own program


def ask(command: Sequence[str], timeout: float | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, in the root folder, and return what it printed. Raises OSError, TimeoutExpired.

    It ends with this process.
    """
    root = Path("/")
    return subprocess.run(
        command, capture_output=True, text=True, errors="replace", check=False, timeout=timeout,
        stdin=subprocess.DEVNULL, cwd=root, env=environment(root), preexec_fn=dying_with_this(),
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
            stdin=subprocess.PIPE if _libc is None else subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=log.parent,
            env=environment(log.parent, env),
            start_new_session=True,
            preexec_fn=dying_with_this(),  # noqa: PLW1509 - two system calls, no lock is taken
        )


def hold(path: Path, patience: float = 0.0) -> IO[str] | None:
    """Lock the file ``path`` until it is closed; None if another process holds it, also after ``patience`` seconds.

    Raises SettingsError.
    """
    until = time.monotonic() + patience
    try:
        held = path.open("a")
        while True:
            try:
                fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= until:
                    held.close()
                    return None
                time.sleep(0.1)
            else:
                return held
    except OSError as e:
        raise SettingsError(
            f"cannot lock {path}: {e.strerror}", hint="set FARM_HOME to a folder on a local disk"
        ) from e


def stop(
    processes: Iterable["subprocess.Popen[bytes]"],
    grace: float,
    hurry: Callable[[], bool] = lambda: False,
    *,
    again: float = 0.0,
) -> None:
    """Terminate processes; after ``grace`` seconds in total, or when ``hurry`` says so, kill those that still run.

    ``again``: then they are first terminated once more, and have this many seconds. What they started in their sessions
    is killed, too.
    """
    running = [p for p in processes if p.poll() is None]
    _terminate(running, grace, hurry)
    if again:
        _terminate(running, again, lambda: False)
    for process in running:
        kill(process)


def _terminate(processes: Iterable["subprocess.Popen[bytes]"], seconds: float, hurry: Callable[[], bool]) -> None:
    running = [p for p in processes if p.poll() is None]
    for process in running:
        process.terminate()
    until = time.monotonic() + seconds
    while any(p.poll() is None for p in running) and time.monotonic() < until and not hurry():
        time.sleep(0.02)


def scratch_prefix(pid: int) -> str:
    """How the names of the folders begin that a process makes in the system's temporary directory."""
    return f"{_SCRATCH}-{socket.gethostname()}-{pid}-"


def remove_scratch(pid: int) -> None:
    """Remove those folders of a process that was killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{scratch_prefix(pid)}*"):
        shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned_scratch() -> None:
    """Remove those folders of all processes of this user and host that have ended."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}-{socket.gethostname()}-*"):
        pid = folder.name.removeprefix(f"{_SCRATCH}-{socket.gethostname()}-").partition("-")[0]
        with contextlib.suppress(OSError):  # it has just been removed
            if pid.isdigit() and not psutil.pid_exists(int(pid)) and folder.lstat().st_uid == os.getuid():
                shutil.rmtree(folder, ignore_errors=True)


def kill(process: "subprocess.Popen[bytes] | subprocess.Popen[str]") -> None:
    """Kill a process that :func:`start` started, or what is left of its session if it has just ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS refuses for a group of zombies
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):  # the kernel may hold it, as for a file system that is away
        process.wait(_KILLED_SECONDS)
    if process.stdin is not None:
        process.stdin.close()


def rotate_logs(folder: Path, megabytes: float) -> None:
    """Rotate each log in ``folder`` that is larger than ``megabytes``: its end is kept as ``NAME.log.1``.

    The writers continue: they have opened their logs for appending. What one writes in the meantime may be lost.
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


def who() -> str:
    """The user and the host, for records of who did what."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        user = "somebody"
    return f"{user}@{socket.gethostname()}"
