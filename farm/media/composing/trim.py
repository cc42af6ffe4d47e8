"""Trims the copied streams and the chapters to the part of a source that an output shows."""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Self

from farm.domain.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Trim:
    """Keeps the packets that begin at or after ``start`` and before ``end``, and moves them ``shift`` earlier.

    All in seconds of the source's clock; ``start`` and ``end`` are None if nothing is cut off there.
    """

    shift: Fraction = Fraction(0)
    start: Fraction | None = None
    end: Fraction | None = None

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """The trim of a manifest's part; nothing is cut off if only frames were picked."""
        tick = manifest.source.video.time_base
        shift = manifest.shift * tick
        return cls(shift, shift or None, None if manifest.until is None else manifest.until * tick)

    @property
    def whole(self) -> bool:
        """Whether everything is kept, at its own time."""
        return self.start is None and self.end is None and not self.shift

    def holds(self, when: Fraction | None) -> bool:
        """Whether a packet at ``when`` is kept. In a part, packets without a time are not."""
        if self.whole:
            return True
        if when is None:
            return False
        return (self.start is None or when >= self.start) and (self.end is None or when < self.end)

    def bitstream_filter(self, tick: Fraction) -> str:
        """FFmpeg's bitstream filters that trim a stream whose time base is ``tick`` seconds.

        They use integers in that stream's ticks: only the shift is rounded, once, by at most half a tick.
        """
        conditions = []
        if self.start is not None:
            conditions.append(f"gte(pts,{ceil(self.start / tick)})")
        if self.end is not None:
            conditions.append(f"lt(pts,{ceil(self.end / tick)})")
        shift = round(self.shift / tick)
        moved = f"setts=pts=PTS-({shift}):dts=PTS-({shift})"
        return f"noise=drop='not({'*'.join(conditions)})',{moved}" if conditions else moved
