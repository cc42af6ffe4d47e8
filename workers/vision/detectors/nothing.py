"""The network that finds nothing, for videos whose masks come from elsewhere. Frames are decoded all the same."""

from collections.abc import Sequence

import numpy as np

from farm.domain.detection import FACE
from farm.domain.detectors import Named
from workers.vision.detectors.base import Candidates, Picture
from workers.vision.device import Device


class Nothing:
    """Finds no box in any picture."""

    kinds = (FACE,)
    multiple = 32
    batch_size = 4

    def find(self, pictures: Sequence[Picture], _least: float) -> list[Candidates]:
        """See :meth:`workers.vision.detectors.base.Network.find`."""
        return [np.zeros((0, 6), np.float32) for _ in pictures]


def create(_weights: None, _named: Named, _device: Device, _threads: int, _runtime: str) -> Nothing:
    """The network; it needs no weights and runs on any device."""
    return Nothing()
