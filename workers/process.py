"""One worker: the Celery process of one device. Started by :func:`farm.supervision.worker`, never by hand.

:func:`main` is where the worker's parent process is put together; :class:`workers.app.WorkerApp` does the same in the
child.
"""

import json
import os
import socket
import sys
import time
from typing import cast

import psutil

from farm.domain.detectors import DetectOptions
from farm.errors import DeviceError, FarmError
from farm.logs import begin_log
from farm.messages import Hello
from farm.processes import end_with_input, hold
from farm.settings import Settings, load_settings
from farm.storage.opening import open_storage
from workers.app import WorkerApp, fork_while_alone, log_of
from workers.capabilities import Capabilities, ask
from workers.child import Child
from workers.signals import Presence
from workers.vision.device import ENGINES, Device, environment

_ENDING_SECONDS = 10.0  # a killed process may take a while to end: its GPU's memory is freed first


def hold_device(settings: Settings, device: str) -> object:
    """Lock the device for this process: the coordinator would take two workers of one name for one that restarts.

    Waits for a worker that is ending. Raises DeviceError when another process holds the device for longer.
    """
    folder = settings.home / "run"
    folder.mkdir(parents=True, exist_ok=True)
    held = hold(folder / f"worker-{device}.lock", _ENDING_SECONDS)
    if held is None:
        raise DeviceError(f"{device} has a worker on this host already", hint="stop that one first")
    return held


def introduction(device: str, able: Capabilities) -> Hello:
    """A new incarnation of the worker of ``device`` on this host."""
    host = socket.gethostname()
    return Hello(
        worker=f"{device}@{host}",  # the same at each start
        incarnation=f"{os.getppid()}-{psutil.Process(os.getppid()).create_time():.2f}/{time.time():.6f}",
        host=host,
        device=device,
        pid=os.getpid(),
        encoders=able.encoders,
        runtimes=able.runtimes,
    )


def main(device: str, told: str = "{}") -> int:
    """Run the worker of ``device`` until it is told to stop. ``told``: see :func:`farm.supervision.worker`.

    Raises DeviceError, SettingsError, FarmError: see :func:`workers.capabilities.ask`.
    """
    end_with_input()
    os.environ |= environment(Device.named(device))  # before anything that could look for GPUs is started
    settings = load_settings(database_url=None, flower_basic_auth=None)  # passwords of others
    os.environ.setdefault(ENGINES, str(settings.home / "engines"))
    begin_log("worker", log_of(settings, device))
    held = hold_device(settings, device)
    known = json.loads(told)
    detect = DetectOptions.load(known["detect"]) if "detect" in known else None
    hello = introduction(device, Capabilities.of(known["able"]) if "able" in known else ask(settings, device))
    Presence(settings, hello, Child(settings, hello.worker, device, open_storage(settings))).connect()
    fork_while_alone()
    WorkerApp(settings, hello.worker, device, detect=cast("DetectOptions | None", detect)).worker_main(
        ["worker", "--hostname", hello.worker, "--pool", "prefork", "--concurrency", "1",
         "--without-gossip", "--without-mingle", "--task-events", "--loglevel", "INFO"]
    )  # fmt: skip
    del held
    return 0


if __name__ == "__main__":
    try:
        code = main(*sys.argv[1:])
    except FarmError as e:  # by the code, the supervisor sees that another start would not help
        sys.stderr.write(f"error: {e}\n")
        code = e.exit_code
    sys.exit(code)
