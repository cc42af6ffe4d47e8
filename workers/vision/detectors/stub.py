"""A network for tests: its faces are bright green rectangles."""

from collections.abc import Sequence

import cv2
import numpy as np

from farm.domain.detection import FACE
from farm.domain.detectors import Named
from workers.vision.detectors.base import Candidates, Picture
from workers.vision.device import Device

_SMALLEST = 6  # pixels of a picture; less is coding noise
_SCORE = 0.9


class Stub:
    """Finds every connected bright green patch (green above 160, red and blue below 110)."""

    kinds = (FACE,)
    multiple = 32
    batch_size = 4

    def find(self, pictures: Sequence[Picture], least: float) -> list[Candidates]:
        """See :meth:`workers.vision.detectors.base.Network.find`."""
        return [self._patches(picture) if least <= _SCORE else np.zeros((0, 6), np.float32) for picture in pictures]

    def _patches(self, picture: Picture) -> Candidates:
        green = cv2.inRange(picture, np.array([0, 161, 0]), np.array([109, 255, 109]))
        count, _, stats, _ = cv2.connectedComponentsWithStats(green)
        boxes = [[x, y, w, h, _SCORE, 0] for x, y, w, h, area in stats[1:count].tolist() if area >= _SMALLEST]
        return np.array(boxes, np.float32).reshape(-1, 6)


def create(_weights: None, _named: Named, _device: Device, _threads: int, _runtime: str) -> Stub:
    """The stub; it needs no weights and runs on any device."""
    return Stub()
