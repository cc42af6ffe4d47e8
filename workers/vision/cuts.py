"""Tells whether two neighbouring frames belong to different shots.

Where a common motion was measured they do not: of pictures that have nothing in common no such motion is found. Where
none was, the directions of the edges are compared, where the picture changed at all: they are blind to flashes and
fades, and to what stays the same (black bars, captions, a still background).
"""

from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from farm.domain.motion import Motion
from workers.vision.motion import Luma

_LONG_SIDE = 64  # of the tiny pictures whose edges are compared
_FLAT = 2.0  # standard deviation of a picture without structure, in grey levels
_JUMP = 16  # grey levels between a flat picture and one that is not
_CHANGED = 2  # grey levels
_LEAST_CHANGED = 0.1  # of the picture
_LEAST_EDGES = 200.0  # sum of the weaker one of two edges, in grey levels: below, there is nothing to compare
#: Edges agree from -1 to 1: 0.5 is what 98 % of cuts without a measured motion stay below, and 6 % of flashes.
_AGREEMENT = 0.5

_Tiny = NDArray[np.float32]


def is_cut(before: Luma, after: Luma, motion: Motion | None) -> bool:
    """Whether a new shot begins with ``after``.

    ``before`` and ``after`` are pictures of :meth:`workers.vision.motion.MotionMeter.picture`, and ``motion`` is what
    was measured between them. A function of the two frames alone, so it does not depend on chunk boundaries.
    """
    if motion is not None:
        return False
    a, b = _tiny(before), _tiny(after)
    flat = [bool(picture.std() < _FLAT) for picture in (a, b)]
    if any(flat):
        return not all(flat) and float(np.abs(a - b).mean()) >= _JUMP
    changed: NDArray[Any] = (np.abs(a - b) > _CHANGED).astype(np.uint8)
    changed = cv2.erode(changed, np.ones((3, 3), np.uint8))  # an edge takes in what is beside it
    if changed.mean() < _LEAST_CHANGED:
        return False
    (ax, ay), (bx, by) = _edges(a), _edges(b)
    strong, other = np.hypot(ax, ay), np.hypot(bx, by)
    weight = np.minimum(strong, other) * changed
    total = float(weight.sum())
    cosine = (ax * bx + ay * by) / np.maximum(strong * other, 1e-3)
    return total >= _LEAST_EDGES and float((cosine * weight).sum()) < _AGREEMENT * total


def _tiny(picture: Luma) -> _Tiny:
    rows, columns = picture.shape
    share = min(1.0, _LONG_SIDE / max(rows, columns))
    size = max(1, round(columns * share)), max(1, round(rows * share))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.float32)


def _edges(picture: _Tiny) -> tuple[_Tiny, _Tiny]:
    """The gradient across and down."""
    return cast("_Tiny", cv2.Sobel(picture, cv2.CV_32F, 1, 0)), cast("_Tiny", cv2.Sobel(picture, cv2.CV_32F, 0, 1))
