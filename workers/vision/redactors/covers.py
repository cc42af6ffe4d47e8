"""Where a frame is covered and how strongly: geometry only, no pixels of the frame.

A face's box is grown by the margin; the cover is the ellipse inscribed in the grown box, or the grown box itself. It
has full strength up to 0.9 of the radius and fades out over the rest. With the default margin of 0.3 the corners of
the face's own box lie at 0.884 of the radius, so all of the box has full strength. With a margin below 0.28 the
ellipse does not fully cover the corners of the box; use the rectangle then.

What a person draws as a polygon is covered as one, whatever the shape: :mod:`workers.vision.redactors.outlines`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from farm.domain.geometry import Box, Region, covering_region
from farm.domain.options import Look, RedactOptions
from farm.domain.pixels import PixelFormat
from farm.domain.polygon import Area, Polygon
from workers.vision.redactors.outlines import per_sample, polygon_weights

Weights = NDArray[np.int16]

#: The weight of a sample that is fully replaced. A power of two: blending multiplies and shifts.
FULL = 128
_SOLID_SHARE = 0.9
_FADED = int(FULL / (1 - _SOLID_SHARE**2))
_FAR = 10_000  # outside every cover; twice this fits 16 bits
#: Cells across the short side of a face, and the smallest side of a cell in pixels.
_CELLS = 6
_SMALLEST_CELL = 2.0


@dataclass(frozen=True, slots=True, order=True)
class FaceCover:
    """The cover of one face: its ``region`` on the luma plane, its shape's ``centre`` and ``radii``, all in pixels.

    ``cell``: the side in pixels of the cells that styles measure in. Covers sort by it: the coarsest is painted last.
    ``polygon``: in place of an ellipse or a rectangle, a list of one or none; ``reach``: the pixels around it.
    """

    cell: float
    region: Region
    centre: tuple[float, float]
    radii: tuple[float, float]
    ellipse: bool
    reach: float = 0.0
    polygon: tuple[Polygon, ...] = ()

    def region_in(self, across: int, down: int) -> Region:
        """The same region in a plane with one sample per ``across`` x ``down`` pixels."""
        r = self.region
        return Region(r.x0 // across, r.y0 // down, -(-r.x1 // across), -(-r.y1 // down))

    def weights(self, across: int, down: int) -> Weights:
        """How strongly each sample of :meth:`region_in` is covered, 0 to FULL: int16, rows x columns.

        A sample has the weight of the point of its area that is nearest to the centre: partly inside counts as inside.
        """
        for polygon in self.polygon:
            return per_sample(polygon_weights(polygon, self.reach, self.region, FULL), across, down)
        r = self.region_in(across, down)
        dx = _fading(r.x0, r.x1, self.centre[0] / across, self.radii[0] / across)
        dy = _fading(r.y0, r.y1, self.centre[1] / down, self.radii[1] / down)
        # ellipse: the sum of both squared distances; rectangle: the greater one
        combine = np.add if self.ellipse else np.maximum
        weights: Weights = combine(dx[None, :], dy[:, None])
        np.subtract(_FADED, weights, out=weights)
        np.maximum(weights, 0, out=weights)
        return np.minimum(weights, FULL, out=weights)

    def cells(self, across: int, down: int) -> tuple[int, int]:
        """The number of cells (across, down) in the region; the same in every plane, at most one per sample."""
        r = self.region_in(across, down)
        columns, rows = r.x1 - r.x0, r.y1 - r.y0
        wide, high = round(columns * across / self.cell), round(rows * down / self.cell)
        return min(max(1, wide), columns), min(max(1, high), rows)


def covers_of(
    areas: Iterable[Area],
    width: int,
    height: int,
    options: RedactOptions | Look,
    pixels: PixelFormat,
    *,
    fields: bool = False,
) -> list[FaceCover]:
    """The covers of face boxes and polygons in a ``width`` x ``height`` picture, without duplicates, sorted.

    ``fields``: for an interlaced frame, in which one line of a field stands for two lines of the frame.
    """
    align = max(pixels.across, pixels.down * (2 if fields else 1))  # all are powers of two
    found = set()
    for area in areas:
        box = area if isinstance(area, Box) else area.bounds
        grown = area.grown(options.margin)
        region = covering_region(grown, width, height, align)
        if not region.empty:
            radii = max(grown.w / 2, 0.5), max(grown.h / 2, 0.5)
            cell = max(min(box.w, box.h) / _CELLS, _SMALLEST_CELL)
            cover = FaceCover(cell, region, grown.centre, radii, options.shape == "ellipse")
            if isinstance(area, Polygon):
                reach = min(area.reach(options.margin), max(width, height) / 2)
                cover = replace(cover, ellipse=False, reach=reach, polygon=(area,))
            found.add(cover)
    return sorted(found)


def _fading(start: int, stop: int, centre: float, radius: float) -> Weights:
    """For samples ``start`` to ``stop``: the squared distance of their nearest point from ``centre``.

    The unit is such that ``radius`` squared is _FADED, and the fading rim of a cover is FULL wide.
    """
    middle = np.arange(start, stop, dtype=np.float32) + np.float32(0.5 - centre)
    away = np.maximum(np.abs(middle) - np.float32(0.5), 0) * np.float32(_FADED**0.5 / radius)
    squares: Weights = np.minimum(away * away, _FAR).astype(np.int16)
    return squares
