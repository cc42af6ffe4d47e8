"""Painting covers on a decoded frame's own planes."""

from collections.abc import Iterable, Sequence

import av
import numpy as np

from farm.domain.geometry import Box
from farm.domain.options import RedactOptions
from workers.planes import Plane, is_full_range, layout_of, planes_of
from workers.redactors.base import Patch, Redactor
from workers.redactors.covers import FULL, Cover, Weights, covers_of

_NEUTRAL = 128  # chroma of grey
_LIMITED_BLACK = 16
_SHIFT = FULL.bit_length() - 1


def paint(frame: av.VideoFrame, boxes: Iterable[Box], redactor: Redactor, options: RedactOptions) -> None:
    """Cover the faces ``boxes`` (source pixels, without the margin) in ``frame``.

    The decoder still refers to the frame, so it is copied first, unless there is nothing to cover. All that is shown
    is made from the frame's original pixels, before any is painted: nothing is redacted twice. Covers are laid over
    each other in an order of their own, whatever the order of the boxes.

    Raises SourceError for a pixel format that is not 8-bit planar YUV.
    """
    layout = layout_of(frame.format.name)
    covers = covers_of(boxes, frame.width, frame.height, options, layout)
    if not covers:
        return
    frame.make_writable()
    luma, *chroma = planes_of(frame)
    _paint_planes([luma], covers, redactor, (1, 1), 0 if is_full_range(frame) else _LIMITED_BLACK)
    _paint_planes(chroma, covers, redactor, (layout.across, layout.down), _NEUTRAL)


def _paint_planes(
    planes: Sequence[Plane], covers: Sequence[Cover], redactor: Redactor, sampling: tuple[int, int], black: int
) -> None:
    """Paint the covers on planes with one sample for ``sampling`` pixels (across, down)."""
    contents = [[_content(plane, cover, redactor, sampling, black) for cover in covers] for plane in planes]
    for index, cover in enumerate(covers if planes else ()):
        weights = cover.weights(*sampling)
        for plane, shown in zip(planes, contents, strict=True):
            _blend(_cut(plane, cover, sampling), shown[index], weights)


def _blend(target: Plane, shown: Plane, weights: Weights) -> None:
    """``target`` goes as far towards ``shown`` as the weights say, in place; at FULL it is ``shown`` exactly."""
    change = np.subtract(shown, target, dtype=np.int16)
    change *= weights  # at most 255 x 128: fits
    change += FULL // 2
    change >>= _SHIFT
    change += target
    target[...] = change


def _content(plane: Plane, cover: Cover, redactor: Redactor, sampling: tuple[int, int], black: int) -> Plane:
    return redactor.content(Patch(_cut(plane, cover, sampling), cover.cells(*sampling), black))


def _cut(plane: Plane, cover: Cover, sampling: tuple[int, int]) -> Plane:
    region = cover.region_in(*sampling)
    return plane[region.y0 : region.y1, region.x0 : region.x1]
