"""Style ``pixelate``: a mosaic. Its squares show the blur: no more remains of the face than with ``blur``."""

import cv2

from farm.domain.options import RedactOptions
from farm.media.planes import Plane
from workers.vision.redactors.base import Patch, Redactor
from workers.vision.redactors.softening import softened
from workers.vision.resampling import scaled, shrunk


def create(_options: RedactOptions) -> Redactor:
    """Squares of one colour each. The means of the face's own squares would let a recogniser find it."""
    return _content


def _content(patch: Patch) -> Plane:
    rows, columns = patch.pixels.shape
    return scaled(shrunk(softened(patch), *patch.cells), columns, rows, cv2.INTER_NEAREST)
