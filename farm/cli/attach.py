"""The farm a command works with: one that runs here, one that a broker's address names, else an embedded one."""

from types import TracebackType
from typing import Self

from farm.broker import check_broker
from farm.jobs.context import Context, open_context
from farm.local.farm import EmbeddedFarm, lock_home
from farm.settings import Settings


class FarmAtHand:
    """Context manager. Without a running farm it starts an embedded one, also when the running one ends meanwhile."""

    def __init__(self, settings: Settings, *, start: bool) -> None:
        self._settings = settings
        self._start = start and settings.embedded
        self._farm: EmbeddedFarm | None = None
        self.context: Context = None  # type: ignore[assignment]  # set on entering

    def __enter__(self) -> Self:
        if not self._settings.embedded:
            check_broker(self._settings)
        self.tend()
        self.context = open_context(self._settings)
        return self

    @property
    def own(self) -> bool:
        """Whether the farm was started here, and ends with this command."""
        return self._farm is not None

    def tend(self) -> None:
        """Keep the farm up. Raises FarmError when one of its parts could not be started or ended."""
        if self._farm is not None:
            self._farm.check()
        elif self._start and (lock := lock_home(self._settings)) is not None:
            self._farm = EmbeddedFarm(self._settings, lock).__enter__()

    def close(self) -> None:
        """Stop what was started."""
        if self._farm is not None:
            self._farm.close()
            self._farm = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
