"""The farm to work with: the one that runs here or that a broker's address names, or an embedded one."""

import contextlib
import re
import time
from collections.abc import Callable

from farm.domain.options import JobOptions
from farm.errors import DeviceError
from farm.jobs.abilities import usable, waiting_for
from farm.jobs.context import open_context
from farm.jobs.machine import Abilities, Machine, devices_of
from farm.jobs.workers import live_workers
from farm.local.farm import EmbeddedFarm, missing_part
from farm.local.home import is_running, lock_home
from farm.settings import Settings

_PATIENCE = 10.0  # seconds
_PLAIN = r"auto|cpu:[1-9]\d*"  # nearly always there: not worth the time of asking


class FarmAtHand:
    """The running farm, or else an embedded one, which is started also when the running one ends.

    The farm is up from here until :meth:`close`. Raises BrokerError, DatabaseError, FarmError, SettingsError.
    """

    def __init__(
        self,
        settings: Settings,
        tell: Callable[[str], None],
        *,
        start: bool,
        job: JobOptions | None = None,
        machine: Machine | None = None,
    ) -> None:
        """``tell``: is given lines for the person; ``start``: whether to start a farm where none runs; ``job`` and
        ``machine``: see :class:`EmbeddedFarm`.
        """
        self._job, self._machine = job, machine
        self._settings, self._tell = settings, tell
        self._start = start and settings.embedded
        self._farm: EmbeddedFarm | None = None
        if not re.fullmatch(_PLAIN, settings.devices):
            with contextlib.suppress(DeviceError):  # another farm may have it; an embedded one raises when it starts
                devices_of(settings)
        if not settings.embedded:
            from farm.broker import check_broker  # noqa: PLC0415 - an embedded farm does not wait for Celery

            check_broker(settings)  # before its workers are asked what they can do
        self.tend()
        try:
            self.context = open_context(settings)
        except BaseException:
            self.close()
            raise

    @property
    def own(self) -> bool:
        """Whether this object started the farm, and stops it at its end."""
        return self._farm is not None

    def workers(self) -> int:
        """How many workers the farm has, or will have; the number of chunks depends on it."""
        own = len(self._farm.devices) if self._farm is not None else 0  # of which the last one may start later
        if found := max(own, live_workers(self.context)):
            return found
        with contextlib.suppress(DeviceError):
            return len(devices_of(self._settings))
        return 1

    def employ(self, chunks: int) -> None:
        """Have workers for so many chunks more, where this object started the farm and was given a job's options."""
        if self._farm is not None:
            self._farm.employ(chunks)

    def abilities(self) -> Abilities:
        """What jobs may be given. Raises DatabaseError, DeviceError, SettingsError."""
        if self._farm is not None and self._farm.machine is not None:
            return self._farm.machine.abilities
        return usable(self._settings, running=self._settings.embedded and is_running(self._settings))

    def tend(self) -> None:
        """Keep the farm up. Raises FarmError when one of its parts could not be started, or cannot run."""
        if self._farm is not None:
            self._farm.tend()
        elif self._start and (lock := lock_home(self._settings)) is not None:
            farm = EmbeddedFarm(self._settings, lock, self._tell, job=self._job, machine=self._machine)
            self._farm = farm.__enter__()

    def waiting(self, job: str, errand: str) -> Callable[[], None]:
        """:meth:`tend`, for who waits for an errand of a job; tells once what keeps it from being done, if anything."""
        until, told = time.monotonic() + _PATIENCE, False

        def tend() -> None:
            nonlocal told
            self.tend()
            if not told and time.monotonic() > until:
                told = True
                what = waiting_for(self.context, job, errand)
                if line := missing_part(self.context) or (what and f"waiting for {what}"):
                    self._tell(line)

        return tend

    def close(self) -> None:
        """Stop what was started."""
        if self._farm is not None:
            self._farm.close()
            self._farm = None
