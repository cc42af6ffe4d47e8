"""What was found in a video: its tracks, and where it shows no face."""

from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any

#: Seconds. A shorter stretch without a face is not told: it is a pause between two faces.
SHORTEST = 1.0


@dataclass(frozen=True, slots=True)
class Found:
    """``tracks``; ``frames`` that have at least one; ``without``: from and to, in seconds, where there is none."""

    tracks: int
    frames: int
    without: tuple[tuple[float, float], ...] = ()

    def row(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


class Stretches:
    """Collects the stretches of a video in which nothing is covered, frame by frame, in order."""

    def __init__(self, time_base: Fraction, start: int, shortest: float = SHORTEST) -> None:
        """``start``: the pts that times count from; ``shortest``: of a stretch that is collected, in seconds."""
        self._shortest = shortest
        self._time_base = time_base
        self._start = start
        self._since: int | None = None
        self._ended: list[tuple[float, float]] = []

    def take(self, pts: int, *, covered: bool) -> None:
        """Take the next frame."""
        if covered:
            self._end(pts)
        elif self._since is None:
            self._since = pts

    def until(self, end: int) -> tuple[tuple[float, float], ...]:
        """The stretches of a video that ends at ``end``, in seconds."""
        self._end(end)
        return tuple(self._ended)

    def _end(self, pts: int) -> None:
        if self._since is not None:
            begin, end = (round(float((t - self._start) * self._time_base), 3) for t in (self._since, pts))
            if end - begin >= self._shortest:
                self._ended.append((begin, end))
        self._since = None
