"""Style ``pixelate``: a mosaic of a few cells a face."""

import cv2

from farm.media.planes import Plane
from workers.vision.redactors.base import Patch
from workers.vision.resampling import scaled, shrunk


class Pixelate:
    """Squares of one colour each: only the cells' means survive."""

    name = "pixelate"

    def content(self, patch: Patch) -> Plane:
        """See :meth:`workers.vision.redactors.base.Redactor.content`."""
        rows, columns = patch.pixels.shape
        return scaled(shrunk(patch.pixels, *patch.cells), columns, rows, cv2.INTER_NEAREST)
