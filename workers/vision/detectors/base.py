"""The protocol of detectors, and the size that they scale frames to."""

import math
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from farm.domain.detection import Detection

Picture = NDArray[np.uint8]


class Detector(Protocol):
    """Finds faces in pictures. Deterministic: equal pictures give equal boxes, whatever else is in the batch."""

    @property
    def batch_size(self) -> int:
        """The best number of pictures per call; fewer are accepted."""
        ...

    def picture_size(self, width: int, height: int) -> tuple[int, int]:
        """The size (width, height) to scale a source frame of ``width`` x ``height`` to."""
        ...

    def detect(self, pictures: Sequence[Picture], source: tuple[int, int]) -> list[list[Detection]]:
        """For each picture its faces, in pixels of a ``source`` frame (width, height), best first.

        Pictures are BGR uint8 H x W x 3, all of one size, and each shows a whole source frame.
        Raises ModelError or DeviceError when the model cannot be run.
        """
        ...


#: A picture is enlarged at most by this factor. That finds more faces in a small video (480x270: 21 % missed at twice
#: the size, 30 % at its own); a larger factor only costs time.
_LARGEST_SCALE = 2.0


def network_size(width: int, height: int, long_side: int, multiple: int = 32) -> tuple[int, int]:
    """The size to scale a ``width`` x ``height`` frame to: its long side ``long_side``, at most twice its own.

    Both sides are rounded up to a multiple that the network takes, so that the picture is neither padded nor cut and
    no face gets smaller; the shapes of its pixels change by a few per cent at most (except in tiny pictures).
    """
    scale = min(_LARGEST_SCALE, long_side / max(width, height))

    def side(length: int) -> int:
        return max(1, math.ceil(length * scale / multiple - 1e-6)) * multiple

    return side(width), side(height)
