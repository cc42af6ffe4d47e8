"""One worker: the Celery process of one device. Started by :mod:`workers.supervisor`, never by hand.

:func:`main` is where the worker's parent process is put together; :class:`workers.app.WorkerApp` does the same in the
child.
"""

import fcntl
import os
import socket
import sys
import time
from pathlib import Path

import psutil

from farm.errors import DeviceError, FarmError
from farm.messages import Hello
from farm.processes import begin_log
from farm.settings import Settings, load_settings
from workers.app import WorkerApp
from workers.capabilities import ask
from workers.signals import Presence


def hold_device(settings: Settings, device: str) -> object:
    """Lock the device for this process: the coordinator would take two workers of one name for one that restarts.

    Raises DeviceError when another process holds it.
    """
    folder = settings.home / "run"
    folder.mkdir(parents=True, exist_ok=True)
    held = Path(folder / f"worker-{device}.lock").open("w")  # noqa: SIM115 - open for as long as the process lives
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        held.close()
        raise DeviceError(f"{device} has a worker on this host already", hint="stop that one first") from e
    return held


def introduction(settings: Settings, device: str) -> Hello:
    """A new incarnation of the worker of ``device`` on this host. Raises DeviceError, FarmError: see :func:`ask`."""
    able, host = ask(settings, device), socket.gethostname()
    return Hello(
        worker=f"{device}@{host}",  # the same at each start
        incarnation=f"{os.getppid()}-{psutil.Process(os.getppid()).create_time():.2f}/{time.time():.6f}",
        host=host,
        device=device,
        pid=os.getpid(),
        encoders=able.encoders,
        runtime=able.runtime,
    )


def main(device: str) -> int:
    """Run the worker of ``device`` until it is told to stop. Raises DeviceError, SettingsError."""
    begin_log()
    settings = load_settings()
    held = hold_device(settings, device)
    hello = introduction(settings, device)
    Presence(settings, hello).connect()
    WorkerApp(settings, hello.worker, device).worker_main(
        ["worker", "--hostname", hello.worker, "--pool", "prefork", "--concurrency", "1",
         "--without-gossip", "--without-mingle", "--task-events", "--loglevel", "INFO"]
    )  # fmt: skip
    del held
    return 0


if __name__ == "__main__":
    try:
        code = main(sys.argv[1])
    except FarmError as e:  # by the code, the supervisor sees that another start would not help
        sys.stderr.write(f"error: {e}\n")
        code = e.exit_code
    sys.exit(code)
