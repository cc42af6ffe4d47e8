"""Style ``pixelate``: a mosaic of a few cells per face."""

import cv2

from farm.domain.options import RedactOptions
from farm.media.planes import Plane
from workers.vision.redactors.base import Patch
from workers.vision.resampling import scaled, shrunk


class Pixelate:
    """Squares of one colour each: only the cells' means remain."""

    def content(self, patch: Patch) -> Plane:
        """See :meth:`workers.vision.redactors.base.Redactor.content`."""
        rows, columns = patch.pixels.shape
        return scaled(shrunk(patch.pixels, *patch.cells), columns, rows, cv2.INTER_NEAREST)


def create(_options: RedactOptions) -> Pixelate:
    """The style; it has no options of its own."""
    return Pixelate()
