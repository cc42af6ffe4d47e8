"""Style ``blur``: what is broader than a third of the face, without edges."""

from collections.abc import Sequence

import cv2

from farm.domain.options import RedactOptions
from farm.media.planes import Plane
from workers.vision.redactors.base import Patch, Redactor
from workers.vision.redactors.softening import softened
from workers.vision.resampling import scaled


def create(_options: RedactOptions) -> Redactor:
    """A low-pass filter whose radius scales with the face."""
    return _contents


def _contents(patches: Sequence[Patch]) -> list[Plane]:
    shown = zip(patches, softened(patches), strict=True)
    return [scaled(plane, patch.pixels.shape[1], patch.pixels.shape[0], cv2.INTER_LINEAR) for patch, plane in shown]
