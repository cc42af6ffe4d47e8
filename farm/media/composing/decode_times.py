"""The decoding times of a video whose presentation times are known, and how it ends.

P are the pts of all frames in presentation order, D is the reorder depth of the whole video. The i-th packet in
decoding order gets ``dts = P[i - D]``; the first D continue P backwards. So dts rise strictly and never exceed the pts.

In MP4 a packet lasts until the dts of the next one, and the average frame rate is computed from the sum. The last
packet gets what makes that sum the video's length: with E as the video's end and X as the time from the first dts to
the first pts, it lasts ``E - P[-1 - D] - X``.
"""

from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain

from farm.domain.containers import BOXED
from farm.domain.manifest import Chunk

#: Those that state a frame rate, or all that it is computed from; that of the others is guessed from some packets.
STATED = BOXED | {"matroska", "webm"}
ChunkPts = Callable[[Chunk], "array[int]"]


def decode_times(pts: Iterator[int], depth: int, room: tuple[int, int] | None = None) -> Iterator[int]:
    """Yield the dts of each packet in decoding order, from all pts in presentation order (see the module).

    ``room``: bounds of the time from the first dts to the first pts.
    """
    head = [value for _, value in zip(range(2), pts, strict=False)]
    if not head:
        return iter(())
    before = depth * (head[1] - head[0] if len(head) > 1 else 1)
    # if there is no room for whole steps between zero and the first frame, take smaller ones
    if 0 < head[0] < before and head[0] >= depth:
        before = head[0]
    if room is not None and depth:
        before = min(max(before, room[0]), room[1])
    first = (head[0] - before + i * before // depth for i in range(depth))
    return chain(first, head, pts)


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of a joined video in ticks of the source: the pts of the packets shown and decoded last, and its end.

    ``last``: how long the packet decoded last lasts until the next one would be decoded. ``next``: the pts of the frame
    shown after it. ``every``: how long each frame but the one shown last lasts, None if they differ.
    """

    shown: int
    decoded: int
    end: int
    last: int
    next: int
    every: int | None = None

    def bitstream_filter(self, container: str) -> str:
        """FFmpeg's bitstream filter with which a copy ends there.

        In MP4 durations are those of the dts, but the video ends with the latest packet's: all but two last one tick
        for that. Elsewhere they are those of the frames. FFmpeg takes the average frame rate for a duration of 0.
        """
        boxed = container in BOXED
        others = "1" if boxed else str(self.every or 0)
        last = self.last if boxed else self.next - self.decoded
        decoded = f"if(eq(PTS,{self.decoded}),{last},{others})"
        lasts = f"if(eq(PTS,{self.shown}),{self.end - self.shown},{decoded})"
        return f"setts=pts=PTS:dts=DTS:duration='{lasts}'"

    def scaled(self, scale: Fraction) -> "Ending | None":
        """The same in ticks of another length; None if it is not exact."""
        names = ("shown", "decoded", "end", "last", "next", "every")
        values = {name: value * scale for name in names if (value := getattr(self, name)) is not None}
        exact = all(value.denominator == 1 for value in values.values())
        return Ending(**{name: int(value) for name, value in values.items()}) if exact else None


class Tail:
    """The end of a plan: the last pts of all, as many as reach to the last dts."""

    def __init__(self, chunks: Sequence[Chunk], chunk_pts: ChunkPts, shift: int, depth: int, decoded: int) -> None:
        """``decoded``: the number in the last chunk of the frame that is decoded last; ``shift``: as in the plan."""
        pts = list(chunk_pts(chunks[-1]))
        self.decoded = pts[min(decoded, len(pts) - 1)] - shift
        for chunk in reversed(chunks[:-1]):
            if len(pts) > depth:
                break
            pts[:0] = chunk_pts(chunk)
        self._pts, self._depth = [value - shift for value in (*pts, chunks[-1].pts_end)], depth

    @property
    def room(self) -> tuple[int, int]:
        """The bounds for :func:`decode_times`: no packet may last longer than the video."""
        shown, end = self._pts[-2:]
        reached = self._pts[-2 - self._depth]
        least = max(self._depth, self.decoded - reached)
        return least, least if self.decoded == shown else end - reached - 1

    def ending(self, before: int) -> Ending:
        """``before``: ticks from the first dts to the first pts."""
        shown, end = self._pts[-2:]
        following = next(value for value in self._pts if value > self.decoded)
        return Ending(shown, self.decoded, end, end - self._pts[-2 - self._depth] - before, following)
