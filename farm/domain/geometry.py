"""Boxes in source pixels: the origin is the top left corner of the coded picture, x points right, y points down."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned rectangle in source pixels (floats; may extend beyond the picture)."""

    x: float
    y: float
    w: float
    h: float

    @property
    def area(self) -> float:
        """Area in square pixels."""
        return max(0.0, self.w) * max(0.0, self.h)

    @property
    def centre(self) -> tuple[float, float]:
        """The centre point, (x, y)."""
        return self.x + self.w / 2, self.y + self.h / 2

    def holds(self, point: tuple[float, float]) -> bool:
        """Whether a point (x, y) lies inside or on the edge."""
        return self.x <= point[0] <= self.x + self.w and self.y <= point[1] <= self.y + self.h

    def grown(self, margin: float) -> "Box":
        """Return the box with ``margin`` times its width (height) added on each side."""
        dx, dy = self.w * margin, self.h * margin
        return Box(self.x - dx, self.y - dy, self.w + 2 * dx, self.h + 2 * dy)

    def moved(self, dx: float, dy: float) -> "Box":
        """Return the box moved by ``dx`` to the right and ``dy`` down."""
        return Box(self.x + dx, self.y + dy, self.w, self.h)

    def at_least(self, w: float, h: float) -> "Box":
        """Return the box about the same centre, not narrower than ``w`` and not lower than ``h``."""
        w, h = max(w, self.w), max(h, self.h)
        return Box(self.x - (w - self.w) / 2, self.y - (h - self.h) / 2, w, h)

    def rounded(self) -> "Box":
        """Return the box rounded to 1/100 pixel, so that writing it to an artefact and reading it back is lossless."""
        return Box(round(self.x, 2), round(self.y, 2), round(self.w, 2), round(self.h, 2))


def touches(box: Box, width: float, height: float) -> bool:
    """Whether any of a box lies in a picture of this size."""
    return box.x < width and box.y < height and box.x + box.w > 0 and box.y + box.h > 0


def is_near(box: Box, width: float, height: float) -> bool:
    """Whether a box lies in a picture or beside it, at most its own size away: tracks leave the picture like that."""
    return touches(box.grown(1.0), width, height)


class Region(NamedTuple):
    """A rectangle of whole pixels ``[x0, x1) × [y0, y1)`` inside a picture."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def empty(self) -> bool:
        """Whether the region contains no pixels."""
        return self.x1 <= self.x0 or self.y1 <= self.y0


def intersection_over_union(a: Box, b: Box) -> float:
    """Return the overlap of two boxes, from 0 (disjoint) to 1 (equal): the Jaccard index of their areas."""
    w = min(a.x + a.w, b.x + b.w) - max(a.x, b.x)
    h = min(a.y + a.h, b.y + b.h) - max(a.y, b.y)
    if w <= 0 or h <= 0:
        return 0.0
    both = w * h
    return both / (a.area + b.area - both)


def outside(boxes: Iterable[Box], farthest: float = 1e6) -> list[Box]:
    """The largest boxes that overlap none of some boxes, up to ``farthest`` pixels from the origin."""
    free = {Box(-farthest, -farthest, 2 * farthest, 2 * farthest)}
    for box in boxes:
        free = {part for one in free for part in _without(one, box)}
    return sorted(free, key=lambda one: (one.y, one.x, one.w))


def _without(a: Box, b: Box) -> Iterator[Box]:
    """The parts of a box that lie left of, right of, above or below another one; they overlap at its corners."""
    right, bottom = a.x + a.w, a.y + a.h
    if b.x >= right or b.y >= bottom or b.x + b.w <= a.x or b.y + b.h <= a.y:
        yield a
        return
    beside = (a.x, a.y, b.x, bottom), (b.x + b.w, a.y, right, bottom)
    for x0, y0, x1, y1 in (*beside, (a.x, a.y, right, b.y), (a.x, b.y + b.h, right, bottom)):
        if x0 < x1 and y0 < y1:
            yield Box(x0, y0, x1 - x0, y1 - y0)


def united(a: Box, b: Box) -> Box:
    """Return the smallest box that contains both."""
    x, y = min(a.x, b.x), min(a.y, b.y)
    return Box(x, y, max(a.x + a.w, b.x + b.w) - x, max(a.y + a.h, b.y + b.h) - y)


def interpolated(a: Box, b: Box, share: float) -> Box:
    """Return the box at ``share`` (0 to 1) of the way from ``a`` to ``b``, with linear interpolation."""
    return Box(
        a.x + (b.x - a.x) * share,
        a.y + (b.y - a.y) * share,
        a.w + (b.w - a.w) * share,
        a.h + (b.h - a.h) * share,
    )


def covering_region(box: Box, width: int, height: int, align: int = 1) -> Region:
    """Return the smallest region of pixels that covers ``box`` inside a ``width`` x ``height`` picture.

    Edges are moved outwards to multiples of ``align``, so that chroma planes cover the same area.
    """
    x0, y0 = (max(0, math.floor(edge / align) * align) for edge in (box.x, box.y))
    x1, y1 = (math.ceil(edge / align) * align for edge in (box.x + box.w, box.y + box.h))
    return Region(x0, y0, min(width, x1), min(height, y1))
