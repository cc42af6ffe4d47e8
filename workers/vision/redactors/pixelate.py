"""Style ``pixelate``: a mosaic of a few cells per face."""

import cv2

from farm.domain.options import RedactOptions
from farm.media.planes import Plane
from workers.vision.redactors.base import Patch, Redactor
from workers.vision.resampling import scaled, shrunk


def create(_options: RedactOptions) -> Redactor:
    """Squares of one colour each: only the cells' means remain."""
    return _content


def _content(patch: Patch) -> Plane:
    rows, columns = patch.pixels.shape
    return scaled(shrunk(patch.pixels, *patch.cells), columns, rows, cv2.INTER_NEAREST)
