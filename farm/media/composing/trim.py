"""The part of a source that an output shows, as it applies to the streams beside the video."""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Self

from farm.domain.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Trim:
    """Packets that begin at or after ``start`` and before ``end`` are kept, ``shift`` earlier than they were.

    All in seconds on the source's clock; ``start`` and ``end`` None where nothing is cut off.
    """

    shift: Fraction = Fraction(0)
    start: Fraction | None = None
    end: Fraction | None = None

    @classmethod
    def of(cls, manifest: Manifest) -> Self:
        """The part that was asked for; the whole where only frames were picked from it."""
        tick = manifest.source.video.time_base
        shift = manifest.shift * tick
        return cls(shift, shift or None, None if manifest.until is None else manifest.until * tick)

    @property
    def whole(self) -> bool:
        """Whether everything is kept where it is."""
        return self.start is None and self.end is None and not self.shift

    def holds(self, when: Fraction | None) -> bool:
        """Whether a packet of that time is kept. One without a time has no place in a part."""
        if self.whole:
            return True
        if when is None:
            return False
        return (self.start is None or when >= self.start) and (self.end is None or when < self.end)

    def bitstream_filter(self, tick: Fraction) -> str:
        """FFmpeg's bitstream filters that cut and move a stream whose time base is ``tick`` seconds.

        Integers of that stream's ticks: nothing is rounded but the shift, once, by half a tick at most.
        """
        conditions = []
        if self.start is not None:
            conditions.append(f"gte(pts,{ceil(self.start / tick)})")
        if self.end is not None:
            conditions.append(f"lt(pts,{ceil(self.end / tick)})")
        shift = round(self.shift / tick)
        moved = f"setts=pts=PTS-({shift}):dts=PTS-({shift})"
        return f"noise=drop='not({'*'.join(conditions)})',{moved}" if conditions else moved
