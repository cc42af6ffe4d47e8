"""``farm worker``: one process per device, pinned to it before it starts and restarted when it dies."""

import logging
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

from farm import processes
from farm.errors import DeviceError
from farm.settings import Settings
from workers.vision.device import Device, environment

log = logging.getLogger(__name__)
_LONGEST_PAUSE = 30.0


class Supervisor:
    """Keeps one worker process per device alive until told to stop."""

    def __init__(self, settings: Settings, devices: list[Device]) -> None:
        self._settings = settings
        self._devices = devices
        self._running: dict[Device, subprocess.Popen[bytes]] = {}
        self._began: dict[Device, float] = {}
        self._pauses: dict[Device, float] = {}
        self._stop = threading.Event()

    def run(self) -> int:
        """Start and watch all workers; returns 0 when stopped by SIGTERM or SIGINT.

        Raises DeviceError when a worker cannot use its device: restarting it would not help.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        parent = os.getppid()
        for device in self._devices:
            self._start(device)
        while not self._stop.wait(0.2):
            if os.getppid() != parent:
                break  # the process that started this one is gone
            for device, process in list(self._running.items()):
                if process.poll() == DeviceError.exit_code:
                    said = processes.tail(self._log(device), 1)
                    self._end()
                    raise DeviceError(said.removeprefix("error: "))
                if process.poll() is not None:
                    self._restart(device, process.returncode)
        self._end()
        return 0

    def _log(self, device: Device) -> Path:
        return self._settings.home / "logs" / f"worker-{device.name}.log"

    def _start(self, device: Device) -> None:
        env = {
            **environment(device),
            "FARM_HOME": str(self._settings.home),
            "OMP_NUM_THREADS": "1",
        }
        path = self._log(device)
        self._running[device] = processes.start(processes.module("workers.process", device.name), path, env)
        self._began[device] = time.monotonic()
        log.info("worker %s: pid %d, log %s", device.name, self._running[device].pid, path)

    def _restart(self, device: Device, code: int) -> None:
        lived = time.monotonic() - self._began[device]
        pause = 0.0 if lived > _LONGEST_PAUSE else min(_LONGEST_PAUSE, self._pauses.get(device, 0.25) * 2)
        self._pauses[device] = pause
        log.warning("worker %s ended (%d) after %.0f s; restarting it in %.1f s", device.name, code, lived, pause)
        del self._running[device]
        if not self._stop.wait(pause):
            self._start(device)

    def _end(self) -> None:
        # a worker finishes its chunk before it stops; whoever stops the supervisor decides how long that may take
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            process.wait()
