"""Polygons that people draw: corners in source pixels, as boxes are."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import cos, pi, sin
from typing import Any

from farm.domain.geometry import Box

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, order=True)
class Polygon:
    """A closed polygon; its sides may cross. ``corners``: (x, y), at least three."""

    corners: tuple[Point, ...]

    @property
    def bounds(self) -> Box:
        """The smallest box that holds it."""
        columns, rows = zip(*self.corners, strict=True)
        x, y = min(columns), min(rows)
        return Box(x, y, max(columns) - x, max(rows) - y).rounded()

    def row(self) -> list[list[float]]:
        """Its corners as JSON."""
        return [[x, y] for x, y in self.corners]

    def grown(self, margin: float) -> Box:
        """A box that holds all of it, and what lies :meth:`reach` around it."""
        return self.bounds.grown(margin)

    def reach(self, margin: float) -> float:
        """How far a margin of so many shares of it reaches, in pixels: shares of the shorter side of its bounds."""
        return margin * min(self.bounds.w, self.bounds.h)

    def towards(self, other: "Polygon", share: float) -> "Polygon":
        """The polygon at ``share`` (0 to 1) of the way to one with as many corners: each corner moves on a line."""
        pairs = zip(self.corners, other.corners, strict=True)
        return Polygon(tuple((a + (c - a) * share, b + (d - b) * share) for (a, b), (c, d) in pairs)).rounded()

    def scaled(self, across: float, down: float) -> "Polygon":
        """The polygon in a picture that is so many times as wide and as high."""
        return Polygon(tuple((x * across, y * down) for x, y in self.corners))

    def rounded(self) -> "Polygon":
        """The polygon in 1/100 pixel, as :meth:`Box.rounded`."""
        return Polygon(tuple((round(x, 2), round(y, 2)) for x, y in self.corners))

    def encloses(self, box: Box) -> bool:
        """Whether a box lies wholly inside. Where sides cross, inside is what is enclosed an odd number of times."""
        return not any(_enters(a, b, box) for a, b in self.sides()) and self.holds(box.centre)

    def sides(self) -> list[tuple[Point, Point]]:
        """The sides, each from corner to corner."""
        return list(pairwise((*self.corners, self.corners[0])))

    def holds(self, point: Point) -> bool:
        """Whether a point lies inside: a ray from it to the right crosses an odd number of sides (even-odd rule)."""
        x, y = point
        return sum((a[1] > y) != (b[1] > y) and x < _at_height(a, b, y) for a, b in self.sides()) % 2 == 1


#: What a person draws: the box itself, an ellipse inside it, or a polygon.
Area = Box | Polygon


def rectangle(box: Box) -> Polygon:
    """The edge of a box."""
    right, bottom = box.x + box.w, box.y + box.h
    return Polygon(((box.x, box.y), (right, box.y), (right, bottom), (box.x, bottom)))


def ellipse_in(box: Box, corners: int = 48) -> Polygon:
    """The ellipse inside a box, as a polygon of so many corners, for pictures of it."""
    (x, y), turns = box.centre, (2 * pi * n / corners for n in range(corners))
    return Polygon(tuple((x + box.w / 2 * cos(turn), y + box.h / 2 * sin(turn)) for turn in turns))


def polygon_of(corners: Sequence[Any]) -> Polygon:
    """A polygon of its :meth:`Polygon.row`, unchecked."""
    return Polygon(tuple((float(x), float(y)) for x, y in corners))


def _at_height(a: Point, b: Point, y: float) -> float:
    return a[0] + (b[0] - a[0]) * (y - a[1]) / (b[1] - a[1])


def _enters(a: Point, b: Point, box: Box) -> bool:
    """Whether a side has a part inside of a box, more than its edge (the line's part inside, by Liang and Barsky)."""
    first, last = 0.0, 1.0
    for start, step, low, high in (
        (a[0], b[0] - a[0], box.x, box.x + box.w),
        (a[1], b[1] - a[1], box.y, box.y + box.h),
    ):
        if step == 0:
            if not low < start < high:
                return False
            continue
        near, far = sorted(((low - start) / step, (high - start) / step))
        first, last = max(first, near), min(last, far)
    return first < last
