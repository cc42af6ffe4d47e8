"""Tracks that are several boxes around one face: a detector finds a large face, and parts of it, too."""

from collections import Counter
from collections.abc import Iterable

from farm.domain.detection import FACE
from farm.domain.geometry import Box, intersection_over_union
from farm.domain.sampling import meetings
from farm.domain.track import FrameTracks

#: A track is a part of another one where so much of it is inside the other, in so many of the frames where they meet.
_INSIDE, _MOSTLY = 0.9, 0.95


class Nests:
    """Which tracks are around one face."""

    def __init__(self, pairs: Iterable[tuple[int, int]]) -> None:
        self._nest: dict[int, int] = {}
        for a, b in pairs:
            kept, gone = self._nest.setdefault(a, a), self._nest.setdefault(b, b)
            self._nest = {track: kept if nest == gone else nest for track, nest in self._nest.items()}

    def together(self, a: int, b: int) -> bool:
        """Whether two tracks are around one face."""
        return a in self._nest and self._nest[a] == self._nest.get(b)


def nests(frames: Iterable[FrameTracks]) -> Nests:
    """Find the tracks of a video that are around one face. Memory grows with the tracks that meet."""
    met: Counter[tuple[int, int]] = Counter()
    nested: Counter[tuple[int, int]] = Counter()
    for frame in frames:
        boxes = {box.track: box.box for box in frame.boxes if box.kind == FACE}
        for a, b in meetings([box for box in frame.boxes if box.kind == FACE]):
            pair = min(a, b), max(a, b)
            met[pair] += 1
            nested[pair] += inside(boxes[a], boxes[b]) >= _INSIDE
    return Nests(pair for pair, count in met.items() if nested[pair] >= _MOSTLY * count)


def inside(a: Box, b: Box) -> float:
    """How much of the smaller one of two boxes is inside the other, 0 to 1."""
    overlap = intersection_over_union(a, b)
    both = overlap / (1 + overlap) * (a.area + b.area)
    return both / max(1e-6, min(a.area, b.area))
