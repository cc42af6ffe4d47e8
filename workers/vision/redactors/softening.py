"""What ``blur`` and ``pixelate`` leave of a face: only what is broader than a third of it."""

from typing import cast

import cv2

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


def softened(patch: Patch) -> Plane:
    """The patch's low-pass filtered pixels, at two samples per cell (fewer in a tiny patch); uint8 or uint16."""
    columns, rows = patch.cells
    high, wide = patch.pixels.shape
    fine = shrunk(patch.pixels, min(_FINENESS * columns, wide), min(_FINENESS * rows, high))
    across, down = fine.shape[1] / columns, fine.shape[0] / rows
    return cast("Plane", cv2.GaussianBlur(fine, (0, 0), sigmaX=_DEVIATION * across, sigmaY=_DEVIATION * down))
