"""The errand ``carry``: a box that was drawn in one frame is followed through the frames around it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from farm.domain.edits import KeyFrame, key_frame
from farm.domain.geometry import Box, interpolated

#: By how much of its smaller side an edge of a box may miss where key frames are left out.
_TOLERANCE = 0.02
#: The most frames from one key frame to the next.
_LONGEST = 100


@dataclass(frozen=True, slots=True)
class Carry:
    """Carry the box ``drawn``, which is of the frame that is shown at its pts, through the frames that are shown from
    the pts ``begins`` to before ``ends``, as far as it is found.
    """

    drawn: KeyFrame
    begins: int
    ends: int

    def request(self) -> dict[str, Any]:
        """As JSON."""
        return {"drawn": self.drawn.row(), "from": self.begins, "to": self.ends}


@dataclass(frozen=True, slots=True)
class Carried:
    """The box in each frame in which it was found, thinned to key frames.

    ``lost_before``: the pts of its first frame, where it was not found before that; ``lost_after``: of its last frame.
    None where it was found as far as was asked for.
    """

    keys: tuple[KeyFrame, ...]
    lost_before: int | None
    lost_after: int | None

    def dump(self) -> str:
        """As JSON."""
        return json.dumps({"keys": [key.row() for key in self.keys], "lost": [self.lost_before, self.lost_after]})


def load_carry(request: dict[str, Any]) -> Carry:
    """Parse :meth:`Carry.request`. Raises ValueError, KeyError."""
    return Carry(key_frame(request["drawn"]), int(request["from"]), int(request["to"]))


def load_carried(text: str) -> Carried:
    """Parse :meth:`Carried.dump`. Raises ValueError, KeyError."""
    found = json.loads(text)
    return Carried(tuple(map(key_frame, found["keys"])), *found["lost"])


def thinned(keys: Sequence[KeyFrame]) -> Iterator[KeyFrame]:
    """Those of some key frames, in order, between which the others lie, within :data:`_TOLERANCE`."""
    if not keys:
        return
    yield keys[0]
    first = 0
    for last in range(2, len(keys)):
        if last - first > _LONGEST or not all(_lies_between(keys[first], key, keys[last]) for key in keys[first:last]):
            first = last - 1
            yield keys[first]
    if len(keys) > 1:
        yield keys[-1]


def _lies_between(a: KeyFrame, key: KeyFrame, b: KeyFrame) -> bool:
    there = interpolated(a.box, b.box, (key.pts - a.pts) / (b.pts - a.pts))
    most = _TOLERANCE * min(key.box.w, key.box.h)
    return all(abs(one - other) <= most for one, other in zip(_edges(key.box), _edges(there), strict=True))


def _edges(box: Box) -> tuple[float, float, float, float]:
    return box.x, box.y, box.x + box.w, box.y + box.h
