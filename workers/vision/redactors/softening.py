"""What ``blur`` and ``pixelate`` leave of a face: only what is broader than a third of it."""

from collections import defaultdict
from collections.abc import Sequence
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


def softened(patches: Sequence[Patch]) -> list[Plane]:
    """The patches' low-pass filtered pixels, at two samples per cell (fewer in a tiny patch); uint8 or uint16."""
    found: list[Plane] = []
    alike: defaultdict[tuple[tuple[int, int], tuple[int, int]], list[int]] = defaultdict(list)
    for number, (pixels, cells, _) in enumerate(patches):
        high, wide = pixels.shape
        size = min(_FINENESS * cells[0], wide), min(_FINENESS * cells[1], high)
        found.append(shrunk(pixels, *size))
        alike[size, cells].append(number)
    for ((wide, high), (columns, rows)), numbers in alike.items():
        deviations = _DEVIATION * (wide / columns), _DEVIATION * (high / rows)
        for number, plane in zip(numbers, blurred([found[n] for n in numbers], *deviations), strict=True):
            found[number] = plane
    return found


def blurred(planes: Sequence[Plane], across: float, down: float) -> Sequence[Plane]:
    """A Gaussian low-pass filter with these standard deviations, in samples: exactly ``cv2.GaussianBlur``'s.

    ``planes``: of one shape and type. OpenCV computes its kernel anew in each call, in a software's floating point:
    ten times as long as the filter takes for a face. Its arithmetic is of whole numbers, which the products of matrices
    have exactly here, too.
    """
    high, wide = planes[0].shape
    if max(high, wide) > _LONGEST:
        return [cast("Plane", cv2.GaussianBlur(plane, (0, 0), sigmaX=across, sigmaY=down)) for plane in planes]
    bits = 8 * planes[0].itemsize
    columns, rows = _filter(high, down, bits), _filter(wide, across, bits)
    lines = np.array(planes, columns.dtype).reshape(-1, wide) @ rows.T
    sums = columns @ lines.reshape(len(planes), high, wide)
    sums += 0.5
    return cast("Sequence[Plane]", sums.astype(planes[0].dtype))


@lru_cache(maxsize=256)  # of up to 32 kB each
def _filter(length: int, deviation: float, bits: int) -> NDArray[np.floating[Any]]:
    """The matrix that filters columns of so many samples, which are reflected at their ends.

    The type holds every sum of products exactly: 24 bits for 8-bit samples, 48 for 16-bit ones. ``bits``: of a sample.
    """
    kernel = _kernel(deviation, bits)
    matrix = np.zeros((length, length), np.float32 if bits == 8 else np.float64)
    for row in range(length):
        for at, weight in enumerate(kernel, row - len(kernel) // 2):
            matrix[row, cv2.borderInterpolate(at, length, cv2.BORDER_REFLECT_101)] += weight
    return matrix


def _kernel(deviation: float, bits: int) -> list[float]:
    """OpenCV's own kernel: what it makes of a single bright sample, a multiple of 2**-8 (2**-16 for 16-bit samples).

    The greatest weight is less than half, so the sample's value, which is one less than a whole, rounds to it.
    """
    size = round(deviation * (6 if bits == 8 else 8) + 1) | 1  # as OpenCV chooses it
    peak = (1 << bits) - 1
    line = np.zeros((1, 2 * size + 1), np.uint8 if bits == 8 else np.uint16)
    line[0, size] = peak
    shown = cv2.GaussianBlur(line, (size, 1), sigmaX=deviation)[0, size - size // 2 : size + size // 2 + 1]
    return [float(value) / (peak + 1) for value in shown]
