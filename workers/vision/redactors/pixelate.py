"""Style ``pixelate``: a mosaic. Its squares show the blur: no more remains of the face than with ``blur``."""

from collections.abc import Sequence

import cv2

from farm.domain.options import RedactOptions
from farm.media.planes import Plane
from workers.vision.redactors.base import Patch, Redactor
from workers.vision.redactors.softening import softened
from workers.vision.resampling import scaled, shrunk


def create(_options: RedactOptions) -> Redactor:
    """Squares of one colour each. The means of the face's own squares would let a recogniser find it."""
    return _contents


def _contents(patches: Sequence[Patch]) -> list[Plane]:
    squares = [shrunk(plane, *patch.cells) for patch, plane in zip(patches, softened(patches), strict=True)]
    shown = zip(patches, squares, strict=True)
    return [scaled(plane, patch.pixels.shape[1], patch.pixels.shape[0], cv2.INTER_NEAREST) for patch, plane in shown]
