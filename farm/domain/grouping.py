"""Which tracks show the same person: clusters of their faces.

Average linkage: two groups are joined while the mean likeness of their tracks is that of one person; tracks that are
seen at the same time are never one person.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush

from farm.domain.faces import Face, Vector, alike
from farm.domain.recognisers import Likeness

_FEWEST = 3  # faces without which a track belongs to nobody


@dataclass(frozen=True, slots=True)
class _Group:
    """Tracks, the sum of their vectors, and from when to when each is seen."""

    tracks: tuple[int, ...]
    total: Vector
    seen: tuple[tuple[int, int], ...]

    def joined(self, other: "_Group") -> "_Group":
        total = tuple(a + b for a, b in zip(self.total, other.total, strict=True))
        return _Group(self.tracks + other.tracks, total, self.seen + other.seen)

    def likeness(self, other: "_Group") -> float | None:
        """The mean likeness of the tracks of two groups; None for two that have tracks at the same time."""
        if any(a[0] <= b[1] and b[0] <= a[1] for a in self.seen for b in other.seen):
            return None
        return alike(self.total, other.total) / (len(self.tracks) * len(other.tracks))


def grouped(faces: Iterable[Face], likeness: Likeness) -> dict[int, int]:
    """The person of each track, numbered from 1 in the order in which they are first seen.

    A track that shows too few faces that can be told, or faces of more than one person, is left out.
    """
    by_track: Mapping[int, list[Face]] = defaultdict(list)
    for face in faces:
        if face.says(likeness):
            by_track[face.track].append(face)
    groups = {track: group for track, own in by_track.items() if (group := _group(own, likeness))}
    heap = [item for a in groups for b in groups if a < b and (item := _item(groups, a, b, likeness))]
    heapify(heap)
    number = max(groups, default=0)
    while heap:
        _, a, b = heappop(heap)
        if a not in groups or b not in groups:
            continue
        number += 1
        groups[number] = groups.pop(a).joined(groups.pop(b))
        for other in list(groups):
            if other != number and (item := _item(groups, other, number, likeness)):
                heappush(heap, item)
    people = sorted(groups.values(), key=lambda group: min(group.seen))
    return {track: person for person, group in enumerate(people, 1) for track in group.tracks}


def _item(groups: Mapping[int, _Group], a: int, b: int, likeness: Likeness) -> tuple[float, int, int] | None:
    found = groups[a].likeness(groups[b])
    return None if found is None or found < likeness.alike else (-found, a, b)


def _group(faces: Sequence[Face], likeness: Likeness) -> _Group | None:
    """A track as a group; None where its faces are too few, or not of one person on average."""
    count = len(faces)
    if count < _FEWEST:
        return None
    total = tuple(map(sum, zip(*(face.vector for face in faces), strict=True)))
    length = alike(total, total)
    if (length - count) / (count * (count - 1)) < likeness.alike:
        return None
    times = [face.pts for face in faces]
    mean = tuple(value / length**0.5 for value in total)
    return _Group((faces[0].track,), mean, ((min(times), max(times)),))
