"""Painting covers on a decoded frame's own planes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from farm.domain.geometry import Box, Region
from farm.domain.options import RedactOptions
from workers.planes import Plane, is_full_range, layout_of, planes_of
from workers.redactors.base import Patch, Redactor
from workers.redactors.covers import Cover, Weights, bounds_of, common, covers_of, overlapping

Sample = TypeVar("Sample", np.uint8, np.float32)

_NEUTRAL = 128  # chroma of grey
_LIMITED_BLACK = 16


@dataclass(frozen=True, slots=True)
class _Part:
    """A cover on planes of one sampling. ``strength``: its own weights, where others overlap the strongest."""

    region: Region
    cells: tuple[int, int]
    weights: Weights
    strength: Weights
    rest: Weights
    overlapping: tuple[int, ...]


def paint(frame: av.VideoFrame, boxes: Iterable[Box], redactor: Redactor, options: RedactOptions) -> None:
    """Cover the faces ``boxes`` (source pixels, without the margin) in ``frame``.

    The decoder still refers to the frame, so it is copied first, unless there is nothing to cover. What is shown is
    made from the frame's original pixels alone, and every pixel is painted once, with the strength of its strongest
    cover: the result does not depend on the order of the boxes, and what is below does not shine through twice.

    Raises SourceError for a pixel format that is not 8-bit planar YUV.
    """
    layout = layout_of(frame.format.name)
    covers = covers_of(boxes, frame.width, frame.height, options, layout)
    if not covers:
        return
    frame.make_writable()
    luma, *chroma = planes_of(frame)
    _paint_plane(luma, _parts_of(covers, 1, 1), redactor, 0 if is_full_range(frame) else _LIMITED_BLACK)
    if chroma:
        parts = _parts_of(covers, layout.across, layout.down)
        for plane in chroma:
            _paint_plane(plane, parts, redactor, _NEUTRAL)


def _parts_of(covers: Sequence[Cover], across: int, down: int) -> list[_Part]:
    regions = [cover.region_in(across, down) for cover in covers]
    weights = [cover.weights(across, down) for cover in covers]
    parts = []
    for i, (cover, others) in enumerate(zip(covers, overlapping(regions), strict=True)):
        strength = weights[i].copy() if others else weights[i]
        for j in others:
            both = common(regions[i], regions[j])
            shared = _within(strength, both, regions[i])
            np.maximum(shared, _within(weights[j], both, regions[j]), out=shared)
        cells = cover.cells(across, down)
        parts.append(_Part(regions[i], cells, weights[i], strength, 1 - strength, tuple(others)))
    return parts


def _paint_plane(plane: Plane, parts: Sequence[_Part], redactor: Redactor, black: int) -> None:
    """Make all that is shown from the untouched plane, and only then write it."""
    contents = [redactor.content(Patch(_cut(plane, part.region), part.cells, black)) for part in parts]
    results = []
    for i, part in enumerate(parts):
        shown = _mixed(i, parts, contents) if part.overlapping else contents[i]
        # a sum of two products with weights that add up to one
        results.append(cv2.blendLinear(shown, _cut(plane, part.region), part.strength, part.rest))
    for part, result in zip(parts, results, strict=True):
        _cut(plane, part.region)[...] = result


def _mixed(index: int, parts: Sequence[_Part], contents: Sequence[Plane]) -> Plane:
    """What a cover shows: where others overlap it, the mean of all contents, weighted by their covers' strengths."""
    part = parts[index]
    around = bounds_of(common(part.region, parts[j].region) for j in part.overlapping)
    shape = around.y1 - around.y0, around.x1 - around.x0
    total, weight = np.zeros(shape, np.float32), np.full(shape, 1e-6, np.float32)
    for j in sorted((index, *part.overlapping)):
        both = common(around, parts[j].region)
        if both.empty:
            continue
        weights = _within(parts[j].weights, both, parts[j].region)
        _within(total, both, around)[...] += _within(contents[j], both, parts[j].region) * weights
        _within(weight, both, around)[...] += weights
    shown = contents[index].copy()
    np.divide(total, weight, out=total)
    _within(shown, around, part.region)[...] = np.rint(total, out=total)
    return shown


def _cut(plane: Plane, region: Region) -> Plane:
    return plane[region.y0 : region.y1, region.x0 : region.x1]


def _within(array: NDArray[Sample], region: Region, bounds: Region) -> NDArray[Sample]:
    """The part of ``array``, which holds ``bounds``, that holds ``region``."""
    return array[region.y0 - bounds.y0 : region.y1 - bounds.y0, region.x0 - bounds.x0 : region.x1 - bounds.x0]
