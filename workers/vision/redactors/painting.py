"""Painting covers on a decoded frame's own planes, in their own depth."""

from collections.abc import Iterable, Sequence
from operator import itemgetter

import av
import numpy as np

from farm.domain.options import Look, RedactOptions
from farm.domain.polygon import Area
from farm.media.planes import Plane, format_of, groups_of
from workers.vision.redactors.base import Patch, Redactor
from workers.vision.redactors.covers import FULL, FaceCover, Weights, covers_of

#: Boxes and polygons, what replaces them, and their shape and margin.
Group = tuple[Iterable[Area], Redactor, RedactOptions | Look]

_SHIFT = FULL.bit_length() - 1


def paint(
    frame: av.VideoFrame, boxes: Iterable[Area], redactor: Redactor, options: RedactOptions, *, fields: bool = False
) -> None:
    """Cover the faces ``boxes`` (pixels of the coded picture, without the margin) in ``frame``. Alpha is kept.

    The decoder still refers to the frame's buffers, so they are copied first unless there is nothing to cover. All
    replacements are made from the original pixels before any is painted: nothing is redacted twice. Covers are
    painted in their sort order, whatever the order of the boxes.

    ``fields``: the frame is interlaced. Its two fields show different moments, so each is painted as a separate
    picture, and no pixel of one affects the other.

    Raises SourceError for a pixel format that cannot be painted on.
    """
    paint_all(frame, [(boxes, redactor, options)], fields=fields)


def paint_all(frame: av.VideoFrame, groups: Iterable[Group], *, fields: bool = False) -> None:
    """As :func:`paint`, for boxes that are covered in several ways: boxes, redactor and look of each."""
    pixels = format_of(frame.format.name)
    covers = sorted(
        (
            (cover, redactor)
            for boxes, redactor, look in groups
            for cover in covers_of(boxes, frame.width, frame.height, look, pixels, fields=fields)
        ),
        key=itemgetter(0),
    )
    if not covers:
        return
    frame.make_writable()
    step = 2 if fields else 1
    for planes, (across, down), black in groups_of(frame):
        for first in range(step):
            parts = [plane[first::step] for plane in planes]
            _paint_planes(parts, covers, (across, down * step), black)


def _paint_planes(
    planes: Sequence[Plane], covers: Sequence[tuple[FaceCover, Redactor]], sampling: tuple[int, int], black: int
) -> None:
    """Paint the covers on planes with one sample per ``sampling`` pixels (across, down)."""
    contents = [[_content(plane, *cover, sampling, black) for cover in covers] for plane in planes]
    for index, (cover, _) in enumerate(covers):
        weights = cover.weights(*sampling)
        for plane, shown in zip(planes, contents, strict=True):
            _blend(_cut(plane, cover, sampling), shown[index], weights)


def _blend(target: Plane, shown: Plane, weights: Weights) -> None:
    """Blend ``shown`` into ``target`` in place, by weight; at FULL the result is exactly ``shown``."""
    # the greatest change times FULL: 255 x 128 fits 16 bits, 65535 x 128 fits 32
    change = np.subtract(shown, target, dtype=np.int16 if target.itemsize == 1 else np.int32)
    # the second field of a frame of odd height has one row less than the first
    change *= weights[: target.shape[0]]
    change += FULL // 2
    change >>= _SHIFT
    change += target
    target[...] = change


def _content(plane: Plane, cover: FaceCover, redactor: Redactor, sampling: tuple[int, int], black: int) -> Plane:
    pixels = _cut(plane, cover, sampling)
    if not pixels.size:  # a field of a frame that has one line
        return pixels
    return redactor(Patch(pixels, cover.cells(*sampling), black))


def _cut(plane: Plane, cover: FaceCover, sampling: tuple[int, int]) -> Plane:
    region = cover.region_in(*sampling)
    return plane[region.y0 : region.y1, region.x0 : region.x1]
