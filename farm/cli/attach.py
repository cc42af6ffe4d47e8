"""The farm that a command works with: the one that runs here or that a broker's address names, or an embedded one."""

from farm.broker import check_broker
from farm.jobs.context import open_context
from farm.local.farm import EmbeddedFarm, lock_home
from farm.settings import Settings


class FarmAtHand:
    """The running farm, or else an embedded one, which is started also when the running one ends.

    The farm is up from here until :meth:`close`. Raises BrokerError, DatabaseError, FarmError.
    """

    def __init__(self, settings: Settings, *, start: bool) -> None:
        self._settings = settings
        self._start = start and settings.embedded
        self._farm: EmbeddedFarm | None = None
        if not settings.embedded:
            check_broker(settings)
        self.tend()
        try:
            self.context = open_context(settings)
        except BaseException:
            self.close()
            raise

    @property
    def own(self) -> bool:
        """Whether this command started the farm, and stops it at its end."""
        return self._farm is not None

    def tend(self) -> None:
        """Keep the farm up. Raises FarmError when one of its parts could not be started, or has stopped."""
        if self._farm is not None:
            self._farm.check()
        elif self._start and (lock := lock_home(self._settings)) is not None:
            self._farm = EmbeddedFarm(self._settings, lock).__enter__()

    def close(self) -> None:
        """Stop what was started."""
        if self._farm is not None:
            self._farm.close()
            self._farm = None
