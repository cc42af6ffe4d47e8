"""Where a frame is covered and how strongly: geometry only, no pixels of the frame.

A face's box is grown by the margin; the cover is the ellipse inscribed in the grown box, or the grown box itself. It
has full strength up to 0.9 of the radius and fades out over the rest. With the default margin of 0.3 the corners of
the face's own box lie at 0.884 of the radius, so all of the box has full strength. With a margin below 0.28 the
ellipse does not fully cover the corners of the box; use the rectangle then.

What a person draws as a polygon is covered as one, whatever the shape: :mod:`workers.vision.redactors.outlines`.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from farm.domain.geometry import Box, Region
from farm.domain.options import Look, RedactOptions
from farm.domain.pixels import PixelFormat
from farm.domain.polygon import Area, Polygon
from workers.vision.redactors.outlines import per_sample, polygon_weights

Weights = NDArray[np.int16]

#: The weight of a sample that is fully replaced. A power of two: blending multiplies and shifts.
FULL = 128
_NONE, _ALL = np.int16(0), np.int16(FULL)
_SOLID_SHARE = 0.9
_FADED = int(FULL / (1 - _SOLID_SHARE**2))
_FAR = 10_000  # outside every cover; twice this fits 16 bits
#: Cells across the short side of a face, and the smallest side of a cell in pixels.
_CELLS = 6
_SMALLEST_CELL = 2.0


class FaceCover(NamedTuple):
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
    drawn = list(areas)
    if not drawn:
        return []
    align = max(pixels.across, pixels.down * (2 if fields else 1))  # all are powers of two
    boxes = [area if isinstance(area, Box) else area.bounds for area in drawn]
    own = np.array([(box.x, box.y, box.w, box.h) for box in boxes])
    margin = own[:, 2:] * options.margin  # as Box.grown and geometry.covering_region, of all at once
    begin, sides = own[:, :2] - margin, own[:, 2:] + 2 * margin
    first = np.maximum(0, np.floor(begin / align) * align)
    last = np.minimum((width, height), np.ceil((begin + sides) / align) * align)
    seen = np.flatnonzero((last > first).all(axis=1))
    columns = (
        np.maximum(own[:, 2:].min(axis=1) / _CELLS, _SMALLEST_CELL)[seen],
        np.hstack([first, last])[seen].astype(int),
        (begin + sides / 2)[seen],
        np.maximum(sides / 2, 0.5)[seen],
    )
    found, ellipse = set(), options.shape == "ellipse"
    for number, size, region, centre, radii in zip(*(each.tolist() for each in (seen, *columns)), strict=True):
        cover = FaceCover(size, Region(*region), tuple(centre), tuple(radii), ellipse)
        if isinstance(area := drawn[number], Polygon):
            reach = min(area.reach(options.margin), max(width, height) / 2)
            cover = cover._replace(ellipse=False, reach=reach, polygon=(area,))
        found.add(cover)
    return sorted(found)


class Place(NamedTuple):
    """Where a cover lies in planes of one sampling, and its size there in cells (across, down), at most one per
    sample; a cover has as many cells in every plane.
    """

    rows: slice
    columns: slice
    cells: tuple[int, int]


class Places:
    """Where covers lie in planes with one sample per ``across`` x ``down`` pixels, and how strongly they cover each.

    Computed for all covers of a frame at once: a crowd has hundreds.
    """

    def __init__(self, covers: Sequence[FaceCover], across: int, down: int) -> None:
        self._covers, self._across, self._down = covers, across, down
        corners = np.array([cover.region for cover in covers])
        self._left, self._top = corners[:, 0] // across, corners[:, 1] // down
        self._right, self._bottom = -(-corners[:, 2] // across), -(-corners[:, 3] // down)

    def __iter__(self) -> Iterator[Place]:
        """The place of each cover."""
        cell = np.array([cover.cell for cover in self._covers])
        wide, high = self._right - self._left, self._bottom - self._top
        across = np.minimum(np.maximum(1, np.rint(wide * self._across / cell).astype(int)), wide)
        down = np.minimum(np.maximum(1, np.rint(high * self._down / cell).astype(int)), high)
        edges = (self._top, self._bottom, self._left, self._right, across, down)
        for y0, y1, x0, x1, *cells in np.array(edges).T.tolist():
            yield Place(slice(y0, y1), slice(x0, x1), (cells[0], cells[1]))

    def weights(self) -> Iterator[Weights]:
        """How strongly each sample of each place is covered, 0 to FULL: int16, rows x columns.

        A sample has the weight of the point of its area that is nearest to the centre: partly inside counts as inside.
        """
        shapes = np.array([(*cover.centre, *cover.radii) for cover in self._covers])
        across = _near(self._left, self._right, shapes[:, 0] / self._across, shapes[:, 2] / self._across)
        down = _near(self._top, self._bottom, shapes[:, 1] / self._down, shapes[:, 3] / self._down)
        for cover, (columns, _), (rows, away) in zip(self._covers, across, down, strict=True):
            for polygon in cover.polygon:
                outline = polygon_weights(polygon, cover.reach, cover.region, FULL)
                yield per_sample(outline, self._across, self._down)
                break
            else:
                # the squared distances of an ellipse add up; of a rectangle the greater one counts
                near = columns - away[:, None] if cover.ellipse else np.minimum(columns, rows[:, None])
                yield near.clip(_NONE, _ALL, out=near)


def _near(
    starts: NDArray[np.intp], stops: NDArray[np.intp], centres: NDArray[np.float64], radii: NDArray[np.float64]
) -> Iterator[tuple[Weights, Weights]]:
    """For the samples from each start to its stop: how near their nearest points are to the centre, and how far away.

    Both are squares, of a radius together, which is _FADED: over the fading rim of a cover the first grows to FULL.
    """
    lengths = stops - starts
    ends = np.cumsum(lengths)
    places = np.arange(ends[-1]) - np.repeat(ends - stops, lengths)
    middle = places.astype(np.float32) + np.repeat((0.5 - centres).astype(np.float32), lengths)
    away = np.maximum(np.abs(middle) - np.float32(0.5), 0)
    away *= np.repeat((_FADED**0.5 / radii).astype(np.float32), lengths)
    squares: Weights = np.minimum(away * away, _FAR).astype(np.int16)
    near = _FADED - squares
    for end, length in zip(ends.tolist(), lengths.tolist(), strict=True):
        part = slice(end - length, end)
        yield near[part], squares[part]
