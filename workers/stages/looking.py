"""Which frames a detector looks at: one of each group of frames, and more where two neighbouring looks disagree.

Frames are numbered from the start of the source. A *group* is ``every`` frames from a multiple of ``every`` on, or a
part of them in one shot and within a certain time. The sharpest frame of a group is looked at. Where two
neighbouring looks of a shot disagree (one shows a face that the other lacks at the place where the measured motion
leads, or the motion could not be measured), the middle between them is looked at, and so on, down to one frame in
``finest``.

A group, and what lies between its look and the next one, belongs to the chunk that holds the multiple of ``every``. The
chunk's worker therefore sees frames up to the end of the next ``every``, and ignores those before the first multiple.
All decisions depend on numbers, times, sharpness, motion and detections alone: chunk boundaries change nothing.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Generic

from farm.domain.detection import Detection, FrameDetections
from farm.domain.geometry import Box
from farm.domain.matching import unmatched
from farm.domain.motion import STILL
from workers.vision.measuring import Examined, P

#: Two looks disagree about boxes of at least this score only: weaker ones come and go.
LEAST_DISPUTED = 0.6
#: Less of the picture than this following the camera means that the motion between two looks is not known.
_LEAST_QUALITY = 0.3


@dataclass(slots=True)
class _Group(Generic[P]):
    """The sharpest frame of each ``finest`` frames of a group."""

    key: tuple[int, int]
    begun: int  # pts
    owned: bool
    sharpest: dict[int, Examined[P]] = field(default_factory=dict)

    def offer(self, seen: Examined[P], finest: int) -> None:
        part = seen.number // finest
        best = self.sharpest.setdefault(part, seen)
        if seen.sharpness > best.sharpness:
            self.sharpest[part], best.picture = seen, None
        elif seen is not best:
            seen.picture = None

    @property
    def look(self) -> Examined[P]:
        return max(self.sharpest.values(), key=lambda seen: (seen.sharpness, -seen.number))


def beyond(first: int, frames: int, every: int) -> int:
    """The number of frames after a chunk that its worker needs: up to the end of the group after its last one.

    ``first``: the number of the chunk's first frame.
    """
    end = first + frames
    return (-(-end // every) + 1) * every - end


class Looking(Generic[P]):
    """Decides for the frames of one chunk, and of those after it, which are looked at.

    ``owned``: the numbers of the chunk's own frames. ``look`` returns the detections of each picture it is given, at
    best ``batch`` at a time. ``size``: of the coded picture, in pixels. ``longest``: ticks after a group's first frame
    from which a frame is of another group. Held are the pictures of the candidates of two groups, and of ``batch``
    groups more.
    """

    def __init__(
        self,
        owned: range,
        every: int,
        finest: int,
        size: tuple[int, int],
        look: Callable[[Sequence[P]], list[list[Detection]]],
        batch: int = 1,
        longest: int | None = None,
    ) -> None:
        self._owned = owned
        self._every, self._finest, self._size = every, max(1, min(finest, every)), size
        self._look, self._batch, self._longest = look, max(1, batch), longest
        self._shot = 0
        self._rows: deque[Examined[P]] = deque()
        self._open: _Group[P] | None = None
        self._closed: list[_Group[P]] = []
        self._last: _Group[P] | None = None  # looked at; what lies between it and the next one is not settled

    def push(self, seen: Examined[P]) -> Iterator[FrameDetections]:
        """Take the next frame. Yields, in order, frames whose detections are final."""
        self._shot += seen.frame.cut
        key, pts = (seen.number // self._every, self._shot), seen.frame.pts
        if self._open is not None and (self._open.key != key or self._is_long(pts - self._open.begun)):
            yield from self._close()
        begins = seen.number // self._every * self._every
        if begins >= self._owned.start:
            if self._open is None:
                self._open = _Group(key, pts, begins in self._owned)
            if seen.picture is not None:
                self._open.offer(seen, self._finest)
        else:
            seen.picture = None
        self._rows.append(seen)

    def _is_long(self, ticks: int) -> bool:
        return self._longest is not None and ticks >= self._longest

    def finish(self) -> Iterator[FrameDetections]:
        """Yield the frames that are left, after the last one has been pushed."""
        yield from self._close()
        self._settle()
        yield from self._final(len(self._rows))

    def _close(self) -> Iterator[FrameDetections]:
        group, self._open = self._open, None
        if group is None:
            return
        if not group.sharpest:  # all of it is black, and what lies before it has nothing to do with what follows
            self._settle()
            self._last = None
            yield from self._final(len(self._rows))
            return
        self._closed.append(group)
        if len(self._closed) >= self._batch:
            self._settle()
            yield from self._final(group.look.number - self._rows[0].number)

    def _final(self, count: int) -> Iterator[FrameDetections]:
        for _ in range(count):
            yield self._rows.popleft().frame

    def _settle(self) -> None:
        """Look at the closed groups, and then between them."""
        groups, self._closed = self._closed, []
        self._examine([group.look for group in groups])
        if self._last is not None:
            groups.insert(0, self._last)
        pairs = [(a, b) for a, b in pairwise(groups) if a.owned and a.key[1] == b.key[1]]
        intervals = [(a.look, b.look, [*a.sharpest.values(), *b.sharpest.values()]) for a, b in pairs]
        while intervals:
            halves = []
            for a, b, candidates in intervals:
                between = [c for c in candidates if a.number < c.number < b.number]
                if between and self._disagree(a, b):
                    middle = min(between, key=lambda c: (abs(2 * c.number - a.number - b.number), c.number))
                    halves.append((a, middle, b, between))
            self._examine([middle for _, middle, _, _ in halves])
            intervals = [pair for a, m, b, between in halves for pair in ((a, m, between), (m, b, between))]
        if groups:
            self._last = groups[-1]

    def _examine(self, frames: Sequence[Examined[P]]) -> None:
        todo = [seen for seen in frames if seen.frame.detections is None and seen.picture is not None]
        pictures = [seen.picture for seen in todo if seen.picture is not None]
        if pictures:
            for seen, found in zip(todo, self._look(pictures), strict=True):
                seen.frame = replace(seen.frame, detections=tuple(found))

    def _disagree(self, a: Examined[P], b: Examined[P]) -> bool:
        """Whether what two looks found does not explain what lies between them."""
        motion = STILL
        offset = self._rows[0].number
        for number in range(a.number + 1, b.number + 1):
            step = self._rows[number - offset].frame.motion
            if step is None or step.quality < _LEAST_QUALITY:
                return True
            motion = motion.then(step)
        before, after = a.frame.detections or (), b.frame.detections or ()
        back = motion.inverse()
        return any(map(self._inside, unmatched(before, after, motion.apply, LEAST_DISPUTED))) or any(
            map(self._inside, unmatched(after, before, back.apply, LEAST_DISPUTED))
        )

    def _inside(self, box: Box) -> bool:
        (x, y), (width, height) = box.centre, self._size
        return 0 <= x < width and 0 <= y < height
