"""How strongly a drawn polygon covers each pixel: fully all that it touches or encloses, less what is around it.

Where its sides cross, all that they enclose is covered, also what lies inside an even number of times.
"""

from functools import lru_cache
from itertools import pairwise
from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray

from farm.domain.geometry import Region
from farm.domain.polygon import Point, Polygon

#: Binary digits after the point of the coordinates that OpenCV is given.
_SHIFT = 4
#: The rim over which a cover fades out, as a share of the polygon's shorter side; a rectangle's is as wide.
_RIM = 0.05


@lru_cache(maxsize=4)  # of a polygon that stands still, for all planes of all frames
def polygon_weights(polygon: Polygon, reach: float, region: Region, full: int) -> NDArray[np.int16]:
    """The weights of the pixels of ``region``, 0 to ``full``: rows x columns. Not to be changed.

    ``reach``: how many pixels around the polygon are covered, of which the last ones fade out.
    """
    pad = ceil(reach) + 3  # beyond that nothing reaches the region
    left, top = region.x0 - pad, region.y0 - pad
    width, height = region.x1 - region.x0 + 2 * pad, region.y1 - region.y0 + 2 * pad
    corners = [(x - left - 0.5, y - top - 0.5) for x, y in polygon.corners]  # pixels' centres are whole numbers
    canvas = np.zeros((height, width), np.uint8)
    inside = _clipped(corners, width, height)
    if inside:
        fixed = np.rint(np.array(inside) * (1 << _SHIFT)).astype(np.int32)
        cv2.fillPoly(canvas, [fixed], 1, lineType=cv2.LINE_8, shift=_SHIFT)
        outer, _ = cv2.findContours(canvas, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(canvas, outer, -1, 1, cv2.FILLED)
        canvas = cv2.dilate(canvas, np.ones((3, 3), np.uint8)).astype(np.uint8)  # also pixels that are only touched
    away = cv2.distanceTransform(1 - canvas, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    away = away[pad : height - pad, pad : width - pad]
    rim = max(1.0, min(reach, polygon.reach(_RIM)))  # at most reach + 1: the polygon itself has full strength
    found: NDArray[np.int16] = (np.clip((reach + 1 - away) / rim, 0, 1) * full).astype(np.int16)
    found.setflags(write=False)
    return found


def _clipped(corners: list[Point], width: int, height: int) -> list[Point]:
    """What of a polygon lies in a picture (I. E. Sutherland, G. W. Hodgman, "Reentrant Polygon Clipping", 1974).

    Sides may run along the picture's edges where the polygon has none.
    """
    for axis, limit, sign in ((0, 0.0, 1), (1, 0.0, 1), (0, width - 1.0, -1), (1, height - 1.0, -1)):
        kept: list[Point] = []
        for a, b in pairwise((corners[-1], *corners)) if corners else ():
            before, after = (sign * (point[axis] - limit) for point in (a, b))
            if (before < 0) != (after < 0):
                share = before / (before - after)
                kept.append((a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share))
            if after >= 0:
                kept.append(b)
        corners = kept
    return corners


def per_sample(weights: NDArray[np.int16], across: int, down: int) -> NDArray[np.int16]:
    """The weights of samples that stand for ``across`` x ``down`` pixels: the greatest of each one's pixels."""
    rows, columns = weights.shape
    padded = np.pad(weights, ((0, -rows % down), (0, -columns % across)))
    blocks = padded.reshape(padded.shape[0] // down, down, padded.shape[1] // across, across)
    found: NDArray[np.int16] = blocks.max(axis=(1, 3))
    return found
