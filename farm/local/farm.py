"""A farm on this machine for the duration of a command: Redis, coordinator and workers; at most one per home."""

import contextlib
import json
import os
import shutil
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any, Self

from farm import processes
from farm.domain.options import JobOptions
from farm.errors import DatabaseAway, DatabaseError, SettingsError, StorageError
from farm.executables import find_ffmpeg, find_redis_server
from farm.jobs.context import Context, open_context
from farm.jobs.machine import Machine, devices_of
from farm.jobs.queries import coordinator_silence, last_beat
from farm.jobs.workers import is_alive, list_workers, live_workers
from farm.local import flower
from farm.local.home import Running, is_running
from farm.local.redis import EmbeddedRedis
from farm.settings import Settings
from farm.signing import Signer
from farm.supervision import Child, Supervisor, worker

NO_FARM = "no farm is running here: start one with `farm up`"
_LITTLE = 1 << 20  # bytes without which a database cannot be written
_LONG = 86400.0  # seconds of a silence that are not counted any more
_ALL_SECONDS = 5.0  # after which all workers are there, whatever was submitted
_COORDINATOR_SECONDS = 60.0  # for its last transaction; also the silence after which it is taken to hang


def check_programs(settings: Settings) -> None:
    """Check the programs that an embedded farm starts, before anything is started.

    Raises SettingsError, OutputError, BrokerError.
    """
    find_ffmpeg(settings.ffmpeg)
    if settings.embedded:
        find_redis_server(settings.redis_server)


def missing_part(context: Context) -> str | None:
    """What jobs wait for that the farm lacks, and what to do; None if it has a coordinator and a worker."""
    settings = context.settings
    here = settings.embedded and is_running(settings)
    silence = coordinator_silence(context)
    if silence != 0 and shutil.disk_usage(settings.home).free < _LITTLE:
        return f"the disk of {settings.home} is full: free some space, then the farm continues"
    if silence != 0:
        since = "no coordinator" if silence is None or silence > _LONG else f"no coordinator for {silence:.0f} s"
        if here:
            return f"{since}: the farm starts it again"
        return f"{since}: start one with {'`farm up`' if settings.embedded else '`farm coordinator`'}"
    if not live_workers(context):
        if here:
            return f"no worker: the farm starts them; see {settings.home / 'logs'}"
        return f"no worker: start one with {'`farm up`' if settings.embedded else '`farm worker`'}"
    return None


def why_jobs_wait(context: Context) -> str | None:
    """What a person who hands over a job is told if nobody works on it: no farm runs here, or a part is missing."""
    if context.settings.embedded and not is_running(context.settings):
        return NO_FARM
    return missing_part(context)


class EmbeddedFarm:
    """Context manager: all parts are up or starting inside it, and stopped after it. Takes over the home's lock.

    ``tell`` gets a line about each part that ended. ``service``: it is what ``farm up`` runs. ``flower``: with Flower.
    ``job``: of a job that will soon be submitted: the workers prepare for it, and the last one leaves its core to who
    submits until :meth:`employ`. ``machine``: this one, if it was asked already.
    """

    def __init__(
        self,
        settings: Settings,
        lock: IO[str],
        tell: Callable[[str], None],
        *,
        service: bool = False,
        flower: bool = False,
        job: JobOptions | None = None,
        machine: Machine | None = None,
    ) -> None:
        self.settings, self._job = settings, job
        #: The devices of the workers, and what is known of them before they report.
        self.devices: list[str] = []
        self._idle: list[str] = []  # those without a worker yet
        self._began, self._chunks = 0.0, 0
        self.machine = machine
        self._lock = lock
        self._tell = tell
        self._flower, self._service = flower, service
        self._supervisor = Supervisor(tell)
        self._redis: EmbeddedRedis | None = None
        self._context: Context | None = None
        self._note(Running(os.getpid(), service))

    def _note(self, running: Running) -> None:
        self._running = running
        try:
            os.ftruncate(self._lock.fileno(), 0)
            os.write(self._lock.fileno(), json.dumps(asdict(running)).encode())  # a buffer would fail again when closed
        except OSError as e:
            raise SettingsError(
                f"cannot write {self.settings.lock_file}: {e.strerror}", hint="free some space there"
            ) from e

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def _start(self) -> None:
        if self.machine is None and not self._service:  # `farm up` lets each worker find out: one may fail alone
            self.machine = Machine(self.settings)
        check_programs(self.settings)
        if self._flower:
            flower.arguments(self.settings, 0)  # raises for an address that is open without a password
        if self.settings.embedded:
            self._redis = EmbeddedRedis(self.settings, self._supervisor)
            self._redis.start()
        else:
            from farm.broker import check_broker  # noqa: PLC0415 - Celery is not needed where the farm starts Redis

            check_broker(self.settings)
            Signer.load(self.settings.key_path)
        self._context = open_context(self.settings, owner=True)
        if self.settings.embedded:
            self._context.store.remove_unfinished(here=True)
        processes.remove_abandoned_scratch()
        self._supervisor.add(self._coordinator(self._context))
        self.devices = self.machine.devices if self.machine else devices_of(self.settings)
        self._began, self._idle = time.monotonic(), list(self.devices)
        self._employ(len(self.devices) if self._job is None else max(1, len(self.devices) - 1))
        if self._flower:
            env = self.settings.for_children()
            self._supervisor.add(Child("Flower", self._flower_command, self._log("flower"), env))

    def employ(self, chunks: int) -> None:
        """Have workers for so many chunks more, up to one for each device."""
        self._chunks += chunks
        self._employ(min(len(self.devices), self._chunks))

    def _employ(self, count: int) -> None:
        told: dict[str, dict[str, Any]] = {}
        if self.machine is not None and (able := self.machine.of_each) is not None:
            told["able"] = able
        if self._job is not None:
            told["detect"] = asdict(self._job.detect)
        assert self._context is not None
        while len(self.devices) - len(self._idle) < count:
            name = self._idle.pop(0)
            self._supervisor.add(worker(self.settings, name, self._is_alive(self._context, name), **told))

    def _is_alive(self, context: Context, device: str) -> Callable[[], bool]:
        """Whether the coordinator takes the worker of ``device`` for alive, to be asked again and again."""
        name = f"{device}@{socket.gethostname()}"

        def alive() -> bool:
            try:
                return is_alive(context, name)
            except DatabaseError:
                return True  # not its fault

        return alive

    def _log(self, name: str) -> Path:
        return self.settings.home / "logs" / f"{name}.log"

    def _coordinator(self, context: Context) -> Child:
        seen = -1

        def beats() -> bool:
            nonlocal seen
            before = seen
            try:
                seen = last_beat(context)
            except DatabaseError:
                return True  # not its fault
            return seen != before

        return Child(
            "coordinator",
            lambda: processes.module("farm.local.coordinator", f"{processes.users_umask():o}"),
            self._log("coordinator.out"),
            self.settings.for_children(database=True),
            role="coordinator",
            answers=beats,
            patience=_COORDINATOR_SECONDS,
        )

    def _flower_command(self) -> list[str]:
        wanted, port = self.settings.flower_port, flower.free_port(self.settings)
        address = f"http://{self.settings.flower_address}:{port}"
        if address != self._running.flower:
            self._tell(f"Flower: {address}{'' if port == wanted else f' ({wanted} is taken)'}")
            self._note(replace(self._running, flower=address))
        return processes.module("farm.local.flower", str(port))

    def is_up(self) -> bool:
        """Whether a worker is ready, which the coordinator says."""
        assert self._context is not None
        here = self._supervisor.pids("workers")
        try:
            if not self._running.up and any(w.alive and w.pid in here for w in list_workers(self._context)):
                self._note(replace(self._running, up=True))
        except DatabaseAway:
            return False
        return self._running.up

    def tend(self) -> None:
        """Start again what has ended. Raises FarmError when the farm lacks a part that cannot run."""
        self._supervisor.watch()
        if self._idle and time.monotonic() - self._began > _ALL_SECONDS:
            self._employ(len(self.devices))

    def close(self, grace: float = 0.0, hurry: Callable[[], bool] = lambda: False) -> None:
        """Stop all parts: the workers finish their chunks for ``grace`` seconds, or until ``hurry`` says so.

        Other orders under way are released and count as no failure; the store holds finished artefacts only.
        """
        self._supervisor.stop({"workers", None}, grace, hurry)
        # Redis at the same time: the coordinator needs it for nothing else than to wait for messages
        self._supervisor.stop({"coordinator", "redis"}, _COORDINATOR_SECONDS)
        if self.machine is not None:
            self.machine.close()
        if self._context is not None:
            if self.settings.embedded:
                with contextlib.suppress(StorageError):  # the next farm tries again
                    self._context.store.remove_unfinished(here=True)
            self._context.database.close()
        self._lock.close()

    def __exit__(self, *_: object) -> None:
        self.close()
