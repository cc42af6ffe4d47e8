"""A detector for tests: its faces are bright green rectangles."""

from collections.abc import Sequence

import cv2
import numpy as np

from farm.domain.detection import Detection
from farm.domain.detectors import StubOptions
from farm.domain.geometry import Box
from workers.vision.detectors.base import Picture, network_size
from workers.vision.device import Device

_SMALLEST = 6  # pixels of a picture; less is coding noise
_SCORE = 0.9


class StubDetector:
    """Finds every connected bright green patch (green above 160, red and blue below 110)."""

    batch_size = 4

    def __init__(self, long_side: int) -> None:
        self._long_side = long_side

    def picture_size(self, width: int, height: int) -> tuple[int, int]:
        """See :meth:`workers.vision.detectors.base.Detector.picture_size`."""
        return network_size(width, height, self._long_side)

    def detect(self, pictures: Sequence[Picture], source: tuple[int, int]) -> list[list[Detection]]:
        """See :meth:`workers.vision.detectors.base.Detector.detect`."""
        return [self._patches(picture, source) for picture in pictures]

    def _patches(self, picture: Picture, source: tuple[int, int]) -> list[Detection]:
        green = cv2.inRange(picture, np.array([0, 161, 0]), np.array([109, 255, 109]))
        count, _, stats, _ = cv2.connectedComponentsWithStats(green)
        across, down = source[0] / picture.shape[1], source[1] / picture.shape[0]
        found = []
        for x, y, w, h, area in stats[1:count].tolist():
            if area >= _SMALLEST:
                found.append(Detection(Box(x * across, y * down, w * across, h * down).rounded(), _SCORE))
        return found


def create(_weights: None, options: StubOptions, _device: Device, _threads: int) -> StubDetector:
    """The stub; it needs no weights and runs on any device."""
    return StubDetector(options.size)
