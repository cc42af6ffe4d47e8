"""Where a frame is covered, and how strongly: geometry only, no pixels of the frame.

A face's box is grown by the margin; the cover is the ellipse inscribed in the grown box, or the grown box itself.
It is at full strength up to nine tenths of the way from its centre and fades out over the rest. With the default
margin of 0.3 the corners of the face's own box lie at 0.884 of the way: all of the box is at full strength. With a
margin below 0.28 the ellipse leaves the corners of the box less than fully covered (choose the rectangle then).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from farm.domain.geometry import Box, Region, covering_region
from farm.domain.options import RedactOptions
from workers.planes import Layout

Weights = NDArray[np.float32]

_SOLID_SHARE = 0.9
#: Cells across the short side of a face, and the fewest pixels in a cell.
_CELLS = 6
_SMALLEST_CELL = 2.0


@dataclass(frozen=True, slots=True, order=True)
class Cover:
    """One face's cover: whole pixels ``region`` of the luma plane, the shape's ``centre`` and ``radii`` in them."""

    region: Region
    centre: tuple[float, float]
    radii: tuple[float, float]
    cell: float
    ellipse: bool

    def region_in(self, across: int, down: int) -> Region:
        """The same region in a plane with one sample for ``across`` x ``down`` pixels."""
        r = self.region
        return Region(r.x0 // across, r.y0 // down, -(-r.x1 // across), -(-r.y1 // down))

    def weights(self, across: int, down: int) -> Weights:
        """How strongly each sample of :meth:`region_in` is covered, 0 to 1: float32, rows x columns.

        A sample counts with the point of its area that is nearest to the centre: what is partly inside is inside.
        """
        r = self.region_in(across, down)
        dx = _squared_distance(r.x0, r.x1, self.centre[0] / across, self.radii[0] / across)
        dy = _squared_distance(r.y0, r.y1, self.centre[1] / down, self.radii[1] / down)
        # (1 - dx - dy) / fade for the ellipse, the lesser of (1 - dx) / fade and (1 - dy) / fade for the rectangle
        fade = np.float32(1 - _SOLID_SHARE**2)
        inside = (1 - dx) / fade
        if self.ellipse:
            strength: Weights = np.subtract(inside[None, :], (dy / fade)[:, None])
        else:
            strength = np.minimum(inside[None, :], ((1 - dy) / fade)[:, None])
        return np.clip(strength, 0, 1, out=strength)

    def cells(self, across: int, down: int) -> tuple[int, int]:
        """How many cells the region holds in such a plane (the same in every plane), at most one a sample."""
        r = self.region_in(across, down)
        columns, rows = r.x1 - r.x0, r.y1 - r.y0
        wide, high = round(columns * across / self.cell), round(rows * down / self.cell)
        return min(max(1, wide), columns), min(max(1, high), rows)


def covers_of(boxes: Iterable[Box], width: int, height: int, options: RedactOptions, layout: Layout) -> list[Cover]:
    """The covers of a frame's face boxes inside a ``width`` x ``height`` picture; their order is not the boxes'."""
    align = max(layout.across, layout.down)
    found = set()
    for box in boxes:
        grown = box.grown(options.margin)
        region = covering_region(grown, width, height, align)
        if not region.empty:
            radii = max(grown.w / 2, 0.5), max(grown.h / 2, 0.5)
            cell = max(min(box.w, box.h) / _CELLS, _SMALLEST_CELL)
            found.add(Cover(region, grown.centre, radii, cell, options.shape == "ellipse"))
    return sorted(found)


def common(a: Region, b: Region) -> Region:
    """The pixels of both regions (empty where they are apart)."""
    return Region(max(a.x0, b.x0), max(a.y0, b.y0), min(a.x1, b.x1), min(a.y1, b.y1))


def overlapping(regions: Sequence[Region]) -> list[list[int]]:
    """For each region the indices of the others that share pixels with it, in order."""
    x0, y0, x1, y1 = np.array([(r.x0, r.y0, r.x1, r.y1) for r in regions]).T
    apart = (x1 <= x0[:, None]) | (y1 <= y0[:, None])
    both = ~(apart | apart.T)
    np.fill_diagonal(both, val=False)
    return [np.flatnonzero(row).tolist() for row in both]


def bounds_of(regions: Iterable[Region]) -> Region:
    """The smallest region around all of them."""
    x0, y0, x1, y1 = zip(*((r.x0, r.y0, r.x1, r.y1) for r in regions), strict=True)
    return Region(min(x0), min(y0), max(x1), max(y1))


def mask_of(boxes: Iterable[Box], width: int, height: int, options: RedactOptions, layout: Layout) -> NDArray[np.uint8]:
    """The union of all covers on the luma plane: uint8, ``height`` x ``width``, 0 (untouched) to 255 (covered)."""
    mask = np.zeros((height, width), np.uint8)
    for cover in covers_of(boxes, width, height, options, layout):
        r = cover.region
        part = mask[r.y0 : r.y1, r.x0 : r.x1]
        np.maximum(part, np.rint(cover.weights(1, 1) * 255).astype(np.uint8), out=part)
    return mask


def _squared_distance(start: int, stop: int, centre: float, radius: float) -> Weights:
    """For samples ``start`` to ``stop``: the square of their nearest point's distance from ``centre``, in radii."""
    middle = np.arange(start, stop, dtype=np.float32) + np.float32(0.5 - centre)
    away = np.maximum(np.abs(middle) - np.float32(0.5), 0) * np.float32(1 / radius)
    square: Weights = away * away
    return square
