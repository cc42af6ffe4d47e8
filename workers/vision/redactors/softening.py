"""What ``blur`` and ``pixelate`` leave of a face: only what is broader than a third of it."""

from functools import lru_cache
from typing import Any, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from farm.media.planes import Plane
from workers.vision.redactors.base import Patch
from workers.vision.resampling import shrunk

#: The standard deviation of the low-pass filter, in cells: a third of the face's short side.
#:
#: With cells that are plain means, a recogniser found 4 to 12 % of pixelated faces, and an attacker who inverts a
#: weaker filter found more; from 1.8 cells on neither finds more than the mean colour alone gives away.
_DEVIATION = 2.0
#: Samples per cell that the filter works on. With one, fine structure would alias into the cells, and an attacker
#: could gather it from many frames in which the face lies differently over them.
_FINENESS = 2
#: The longest line that is filtered by a matrix, in samples: faces give about 25. Matrices are kept.
_LONGEST = 64


def softened(patch: Patch) -> Plane:
    """The patch's low-pass filtered pixels, at two samples per cell (fewer in a tiny patch); uint8 or uint16."""
    columns, rows = patch.cells
    high, wide = patch.pixels.shape
    fine = shrunk(patch.pixels, min(_FINENESS * columns, wide), min(_FINENESS * rows, high))
    across, down = fine.shape[1] / columns, fine.shape[0] / rows
    return blurred(fine, _DEVIATION * across, _DEVIATION * down)


def blurred(plane: Plane, across: float, down: float) -> Plane:
    """A Gaussian low-pass filter with these standard deviations, in samples: exactly ``cv2.GaussianBlur``'s.

    OpenCV computes its kernel anew in each call, in a software's floating point: ten times as long as the filter takes
    for a face. Its arithmetic is of whole numbers, which the products of matrices have exactly here, too.
    """
    high, wide = plane.shape
    if max(high, wide) > _LONGEST:
        return cast("Plane", cv2.GaussianBlur(plane, (0, 0), sigmaX=across, sigmaY=down))
    kind = plane.dtype.type
    from_left, from_right = _filter(high, down, kind), _filter(wide, across, kind)
    sums = from_left @ plane.astype(from_left.dtype) @ from_right.T
    sums += 0.5
    return cast("Plane", sums.astype(kind))


@lru_cache(maxsize=256)  # of up to 32 kB each
def _filter(length: int, deviation: float, kind: type[Any]) -> NDArray[np.floating[Any]]:
    """The matrix that filters columns of so many samples, which are reflected at their ends.

    The type holds every sum of products exactly: 24 bits for 8-bit samples, 48 for 16-bit ones. ``kind``: of a sample.
    """
    kernel = _kernel(deviation, kind)
    matrix = np.zeros((length, length), np.float32 if kind is np.uint8 else np.float64)
    for row in range(length):
        for at, weight in enumerate(kernel, row - len(kernel) // 2):
            matrix[row, cv2.borderInterpolate(at, length, cv2.BORDER_REFLECT_101)] += weight
    return matrix


def _kernel(deviation: float, kind: type[Any]) -> list[float]:
    """OpenCV's own kernel: what it makes of a single bright sample, a multiple of 2**-8 (2**-16 for 16-bit samples).

    The greatest weight is less than half, so the sample's value, which is one less than a whole, rounds to it.
    """
    size = round(deviation * (6 if kind is np.uint8 else 8) + 1) | 1  # as OpenCV chooses it
    peak = np.iinfo(kind).max
    line = np.zeros((1, 2 * size + 1), kind)
    line[0, size] = peak
    shown = cv2.GaussianBlur(line, (size, 1), sigmaX=deviation)[0, size - size // 2 : size + size // 2 + 1]
    return [float(value) / (peak + 1) for value in shown]
