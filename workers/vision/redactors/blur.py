"""Style ``blur``: scaled down to a few cells per face, smoothed, scaled up again."""

from typing import cast

import cv2

from farm.domain.options import RedactOptions
from farm.media.planes import Plane
from workers.vision.redactors.base import Patch, Redactor
from workers.vision.resampling import scaled, shrunk


def create(_options: RedactOptions) -> Redactor:
    """A low-pass filter whose radius scales with the face: only the cells' smoothed means remain."""
    return _content


def _content(patch: Patch) -> Plane:
    small = cast("Plane", cv2.GaussianBlur(shrunk(patch.pixels, *patch.cells), (3, 3), 0))
    rows, columns = patch.pixels.shape
    return scaled(small, columns, rows, cv2.INTER_LINEAR)
