"""Which tracks show the same person: clusters of their faces.

Average linkage: two groups are joined while the mean likeness of their tracks is that of one person; tracks that are
seen at the same time are never one person.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from farm.domain.faces import Face, Vector, alike
from farm.domain.nesting import Nests
from farm.domain.recognisers import Likeness

_FEWEST = 3  # faces without which a track belongs to nobody


@dataclass(slots=True)
class _Sum:
    """The faces of a track: how many, the sum of their vectors, and when the first and the last one is."""

    first: int
    last: int
    total: Vector
    count: int = 1

    def take(self, face: Face) -> None:
        self.total = tuple(a + b for a, b in zip(self.total, face.vector, strict=True))
        self.count, self.last = self.count + 1, face.pts

    def is_one_person(self, same: float) -> bool:
        """Whether its faces are alike on average."""
        pairs = self.count * (self.count - 1)
        return self.count >= _FEWEST and (alike(self.total, self.total) - self.count) / pairs >= same

    def mean(self) -> Vector:
        length = alike(self.total, self.total) ** 0.5
        return tuple(value / length for value in self.total)


@dataclass(frozen=True, slots=True)
class _Group:
    """Tracks, the sum of their vectors, and from when to when each is seen, with its number."""

    tracks: tuple[int, ...]
    total: Vector
    seen: tuple[tuple[int, int, int], ...]

    def joined(self, other: "_Group") -> "_Group":
        total = tuple(a + b for a, b in zip(self.total, other.total, strict=True))
        return _Group(self.tracks + other.tracks, total, self.seen + other.seen)

    def likeness(self, other: "_Group", nested: Nests) -> float | None:
        """The mean likeness of the tracks of two groups; None for two that have tracks at the same time."""
        at_once = ((a[2], b[2]) for a in self.seen for b in other.seen if a[0] <= b[1] and b[0] <= a[1])
        if any(not nested.together(*pair) for pair in at_once):
            return None
        return alike(self.total, other.total) / (len(self.tracks) * len(other.tracks))


class Grouping:
    """Groups tracks by the faces that it is given, in the order of their pts; none of these is kept."""

    def __init__(self, likeness: Likeness) -> None:
        self._likeness = likeness
        self._sums: dict[int, _Sum] = {}

    def take(self, face: Face) -> None:
        """Take the next face."""
        if not face.says(self._likeness):
            return
        if face.track in self._sums:
            self._sums[face.track].take(face)
        else:
            self._sums[face.track] = _Sum(face.pts, face.pts, face.vector)

    def people(self, nested: Nests) -> dict[int, int]:
        """The person of each track, numbered from 1 in the order in which they are first seen.

        ``nested``: which tracks are around one face, and may be one person's at the same time.
        A track that shows too few faces that can be told, or faces of more than one person, is left out.
        """
        groups = {
            track: _Group((track,), found.mean(), ((found.first, found.last, track),))
            for track, found in self._sums.items()
            if found.is_one_person(self._likeness.alike)
        }
        heap = [item for a in groups for b in groups if a < b and (item := self._item(groups, a, b, nested))]
        heapify(heap)
        number = max(groups, default=0)
        while heap:
            _, a, b = heappop(heap)
            if a not in groups or b not in groups:
                continue
            number += 1
            groups[number] = groups.pop(a).joined(groups.pop(b))
            for other in list(groups):
                if other != number and (item := self._item(groups, other, number, nested)):
                    heappush(heap, item)
        people = sorted(groups.values(), key=lambda group: min(group.seen))
        return {track: person for person, group in enumerate(people, 1) for track in group.tracks}

    def _item(self, groups: Mapping[int, _Group], a: int, b: int, nested: Nests) -> tuple[float, int, int] | None:
        found = groups[a].likeness(groups[b], nested)
        return None if found is None or found < self._likeness.alike else (-found, a, b)
