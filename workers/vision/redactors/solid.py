"""Style ``solid``: black."""

import numpy as np

from farm.domain.options import RedactOptions
from farm.media.planes import Plane
from workers.vision.redactors.base import Patch


class Solid:
    """Black in the video's own range: nothing of the face remains."""

    def content(self, patch: Patch) -> Plane:
        """See :meth:`workers.vision.redactors.base.Redactor.content`."""
        return np.full_like(patch.pixels, patch.black)


def create(_options: RedactOptions) -> Solid:
    """The style; it has no options of its own."""
    return Solid()
