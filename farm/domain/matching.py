"""Whether two boxes may show one face: of two frames, brought to one frame's coordinates by the measured motion."""

from collections.abc import Callable, Iterator, Sequence
from math import sqrt

from farm.domain.detection import Detection
from farm.domain.geometry import Box, intersection_over_union

MIN_OVERLAP = 0.2  # least intersection over union of an expected and a detected box of one face
MAX_DISTANCE = 1.0  # greatest distance of their centres, in box sizes, if they overlap less (fast motion)
MAX_RATIO = 2.0  # greatest ratio of their sides, if they overlap less


def affinity(a: Box, b: Box) -> tuple[bool, float] | None:
    """Return a sort key, best match first: overlapping boxes, then near boxes of similar size; None for no match."""
    overlap = intersection_over_union(a, b)
    if overlap >= MIN_OVERLAP:
        return False, -overlap
    if max(a.w, b.w) > MAX_RATIO * min(a.w, b.w) or max(a.h, b.h) > MAX_RATIO * min(a.h, b.h):
        return None
    (ax, ay), (bx, by) = a.centre, b.centre
    apart = (ax - bx) ** 2 + (ay - by) ** 2
    size = sqrt(a.area * b.area)  # in square pixels
    return (True, apart / size) if apart <= MAX_DISTANCE**2 * size and size > 0 else None


def unmatched(
    of: Sequence[Detection], others: Sequence[Detection], carried: Callable[[Box], Box], least: float
) -> Iterator[Box]:
    """Yield where the boxes ``of`` one frame that score at least ``least`` are expected in another, and are not found.

    ``others``: the detections of the other frame; ``carried`` maps a box to that frame.
    """
    for detection in of:
        if detection.score >= least:
            box = carried(detection.box)
            if not any(other.kind == detection.kind and affinity(box, other.box) for other in others):
                yield box
