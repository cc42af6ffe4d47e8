"""Style ``solid``: black."""

import numpy as np

from farm.domain.options import RedactOptions
from workers.vision.redactors.base import Redactor


def create(_options: RedactOptions) -> Redactor:
    """Black in the video's own range: nothing of the face remains."""
    return lambda patches: [np.full_like(patch.pixels, patch.black) for patch in patches]
