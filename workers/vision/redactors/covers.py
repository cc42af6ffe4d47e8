"""Where a frame is covered, and how strongly: geometry only, no pixels of the frame.

A face's box is grown by the margin; the cover is the ellipse inscribed in the grown box, or the grown box itself.
It is at full strength up to nine tenths of the way from its centre and fades out over the rest. With the default
margin of 0.3 the corners of the face's own box lie at 0.884 of the way: all of the box is at full strength. With a
margin below 0.28 the ellipse leaves the corners of the box less than fully covered (choose the rectangle then).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from farm.domain.geometry import Box, Region, covering_region
from farm.domain.options import RedactOptions
from farm.domain.pixels import PixelFormat

Weights = NDArray[np.int16]

#: The weight of a sample that shows nothing of the original. A power of two: blending is a product and a shift.
FULL = 128
_SOLID_SHARE = 0.9
_FADED = int(FULL / (1 - _SOLID_SHARE**2))
_FAR = 10_000  # beyond any cover; twice it fits 16 bits
#: Cells across the short side of a face, and the fewest pixels in a cell.
_CELLS = 6
_SMALLEST_CELL = 2.0


@dataclass(frozen=True, slots=True, order=True)
class Cover:
    """One face's cover: whole pixels ``region`` of the luma plane, the shape's ``centre`` and ``radii`` in them.

    Covers are in order of ``cell``, the side in pixels of what is left of the face: the coarsest is painted last.
    """

    cell: float
    region: Region
    centre: tuple[float, float]
    radii: tuple[float, float]
    ellipse: bool

    def region_in(self, across: int, down: int) -> Region:
        """The same region in a plane with one sample for ``across`` x ``down`` pixels."""
        r = self.region
        return Region(r.x0 // across, r.y0 // down, -(-r.x1 // across), -(-r.y1 // down))

    def weights(self, across: int, down: int) -> Weights:
        """How strongly each sample of :meth:`region_in` is covered, 0 to FULL: int16, rows x columns.

        A sample counts with the point of its area that is nearest to the centre: what is partly inside is inside.
        """
        r = self.region_in(across, down)
        dx = _fading(r.x0, r.x1, self.centre[0] / across, self.radii[0] / across)
        dy = _fading(r.y0, r.y1, self.centre[1] / down, self.radii[1] / down)
        # an ellipse: the squares of both distances add up; a rectangle: the greater one counts
        combine = np.add if self.ellipse else np.maximum
        weights: Weights = combine(dx[None, :], dy[:, None])
        np.subtract(_FADED, weights, out=weights)
        np.maximum(weights, 0, out=weights)
        return np.minimum(weights, FULL, out=weights)

    def cells(self, across: int, down: int) -> tuple[int, int]:
        """How many cells the region holds in such a plane (the same in every plane), at most one a sample."""
        r = self.region_in(across, down)
        columns, rows = r.x1 - r.x0, r.y1 - r.y0
        wide, high = round(columns * across / self.cell), round(rows * down / self.cell)
        return min(max(1, wide), columns), min(max(1, high), rows)


def covers_of(
    boxes: Iterable[Box], width: int, height: int, options: RedactOptions, pixels: PixelFormat, *, fields: bool = False
) -> list[Cover]:
    """The covers of a frame's face boxes inside a ``width`` x ``height`` picture, each once, in their own order.

    ``fields``: for a frame of two fields, in which a line of a field stands for two lines of the frame.
    """
    align = max(pixels.across, pixels.down * (2 if fields else 1))  # all are powers of two
    found = set()
    for box in boxes:
        grown = box.grown(options.margin)
        region = covering_region(grown, width, height, align)
        if not region.empty:
            radii = max(grown.w / 2, 0.5), max(grown.h / 2, 0.5)
            cell = max(min(box.w, box.h) / _CELLS, _SMALLEST_CELL)
            found.add(Cover(cell, region, grown.centre, radii, options.shape == "ellipse"))
    return sorted(found)


def common(a: Region, b: Region) -> Region:
    """The pixels of both regions (empty where they are apart)."""
    return Region(max(a.x0, b.x0), max(a.y0, b.y0), min(a.x1, b.x1), min(a.y1, b.y1))


def _fading(start: int, stop: int, centre: float, radius: float) -> Weights:
    """For samples ``start`` to ``stop``: the square of their nearest point's distance from ``centre``.

    In steps of which the square of ``radius`` has _FADED, and the fading rim of a cover FULL.
    """
    middle = np.arange(start, stop, dtype=np.float32) + np.float32(0.5 - centre)
    away = np.maximum(np.abs(middle) - np.float32(0.5), 0) * np.float32(_FADED**0.5 / radius)
    squares: Weights = np.minimum(away * away, _FAR).astype(np.int16)
    return squares
