"""A farm on this machine for the duration of a command: Redis, coordinator and workers; at most one per home."""

import fcntl
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Self

from farm import processes
from farm.coordinator.outcomes import give_all_back
from farm.coordinator.service import Coordinator
from farm.errors import DeviceError, FarmError, SettingsError
from farm.executables import find_ffmpeg, find_redis_server
from farm.jobs.context import Context, open_context
from farm.local import flower
from farm.local.redis import EmbeddedRedis
from farm.settings import Settings


def lock_home(settings: Settings) -> IO[str] | None:
    """Take the lock of this home's farm, which is held until closed; None if another process holds it."""
    settings.make_home()
    held = Path(settings.home / "farm.lock").open("a")  # noqa: SIM115 - open for as long as the farm runs
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        held.close()
        return None
    return held


def is_running(settings: Settings) -> bool:
    """Whether a process runs the farm of this home."""
    held = lock_home(settings)
    if held is not None:
        held.close()
    return held is None


def check_programs(settings: Settings) -> None:
    """Check the programs that an embedded farm starts, before anything is started.

    Raises SettingsError, OutputError, BrokerError.
    """
    find_ffmpeg(settings.ffmpeg)
    if settings.embedded:
        find_redis_server(settings.redis_server)


def check_devices(settings: Settings) -> None:
    """Ask the workers' program whether the devices exist, before anything is started.

    Raises DeviceError, SettingsError.
    """
    if re.fullmatch(r"auto|cpu:[1-9]\d*", settings.devices):
        return  # these always exist
    asked = [sys.executable, "-m", "workers", settings.devices, "--check"]
    answer = subprocess.run(asked, capture_output=True, text=True, check=False)
    if answer.returncode:
        lines = answer.stderr.strip().splitlines() or ["the workers cannot run here"]
        kind = SettingsError if answer.returncode == SettingsError.exit_code else DeviceError
        raise kind(lines[-1].removeprefix("error: "))


class EmbeddedFarm:
    """Context manager: all parts are up or starting inside it, and stopped after it. Takes over the home's lock."""

    def __init__(self, settings: Settings, lock: IO[str], *, grace: float = 0.0, flower: bool = False) -> None:
        self.settings = settings
        self._lock = lock
        self._grace = grace
        self._flower = flower
        self._redis: EmbeddedRedis | None = None
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._coordinator: Coordinator | None = None
        self.context: Context | None = None

    def __enter__(self) -> Self:
        try:
            check_programs(self.settings)
            check_devices(self.settings)
            if self._flower:
                flower.arguments(self.settings)  # raises for an address that is open without a password
            if self.settings.embedded:
                self._redis = EmbeddedRedis(self.settings)
                self._redis.start()
            self._start("workers", [sys.executable, "-m", "workers", self.settings.devices])
            if self._flower:
                self._start("flower", [sys.executable, "-m", "farm.local.flower"])
            self.context = open_context(self.settings)
            if self.settings.embedded:
                self.context.store.remove_unfinished()
            sole = self.settings.embedded and self.settings.database_url is None  # the home's lock says so
            self._coordinator = Coordinator(self.context, sole=sole)
            self._thread = threading.Thread(
                target=self._coordinator.run, args=[self._stop], name="coordinator", daemon=True
            )
            self._thread.start()
        except BaseException:
            self.close()
            raise
        return self

    def _start(self, name: str, command: list[str]) -> None:
        self._children[name] = processes.start(command, self.log(name), {"FARM_HOME": str(self.settings.home)})

    def log(self, name: str) -> Path:
        """The log file of one part."""
        return self.settings.home / "logs" / f"{name}.log"

    def check(self) -> None:
        """Raises FarmError when a part of the farm has ended."""
        for name, process in self._children.items():
            code = process.poll()
            if code is None:
                continue
            said = processes.tail(self.log(name), 1).removeprefix("error: ")
            raise FarmError(f"{name} ended ({code}): {said}", hint=f"see {self.log(name)}")
        if self._thread is not None and not self._thread.is_alive():
            raise FarmError("the coordinator ended", hint=f"see {self.log('coordinator')}")

    def close(self) -> None:
        """Stop all parts. Orders under way are released, so that they count as no failure.

        Not waiting for them loses nothing: the store holds finished artefacts only.
        """
        processes.stop(self._children.values(), self._grace)
        led = self._coordinator is not None and self._coordinator.leads
        self._stop.set()
        if self._coordinator is not None and self._thread is not None and self._thread.is_alive():
            self._coordinator.ended.wait(60)
        if self.context is not None and self.settings.embedded and led:
            give_all_back(self.context, "the farm was stopped")
        if self._redis is not None:
            self._redis.stop()
        self._lock.close()

    def __exit__(self, *_: object) -> None:
        self.close()
