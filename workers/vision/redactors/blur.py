"""Style ``blur``: what is broader than a third of the face, without edges."""

import cv2

from farm.domain.options import RedactOptions
from farm.media.planes import Plane
from workers.vision.redactors.base import Patch, Redactor
from workers.vision.redactors.softening import softened
from workers.vision.resampling import scaled


def create(_options: RedactOptions) -> Redactor:
    """A low-pass filter whose radius scales with the face."""
    return _content


def _content(patch: Patch) -> Plane:
    rows, columns = patch.pixels.shape
    return scaled(softened(patch), columns, rows, cv2.INTER_LINEAR)
