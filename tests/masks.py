"""The mask that painting covers should add up to: the reference that tests compare redacted frames with."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from farm.domain.geometry import Box
from farm.domain.options import RedactOptions
from farm.domain.pixels import PixelFormat
from workers.vision.redactors.covers import FULL, FaceCover, Places, Weights, covers_of


def mask_of(
    boxes: Iterable[Box], width: int, height: int, options: RedactOptions, pixels: PixelFormat, *, fields: bool = False
) -> NDArray[np.uint8]:
    """The union of all covers on the luma plane: uint8, ``height`` x ``width``, 0 (untouched) to 255 (covered).

    Where covers overlap, what one lets through the next covers in turn: the share left of the original is the
    product of what each would leave. Every chroma sample that painting may change lies over at least one luma sample
    that is not 0, or reaches beyond the edge of a picture of odd size.
    """
    left = np.ones((height, width), np.float32)
    for cover in covers_of(boxes, width, height, options, pixels, fields=fields):
        r = cover.region
        left[r.y0 : r.y1, r.x0 : r.x1] *= 1 - _luma_weights(cover, fields=fields) / np.float32(FULL)
    return np.rint(255 * (1 - left)).astype(np.uint8)


def _luma_weights(cover: FaceCover, *, fields: bool) -> Weights:
    """The weights of the cover's region on the luma plane of the frame."""
    (lines,) = Places([cover], 1, 2 if fields else 1).weights()
    if not fields:
        return lines
    return np.repeat(lines, 2, axis=0)[: cover.region.y1 - cover.region.y0]
