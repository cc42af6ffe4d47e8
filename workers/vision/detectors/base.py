"""The protocols of networks and of the detectors made of them, and the sizes that they scale frames to."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from farm.domain.detection import Detection
from farm.domain.detectors import Named
from workers.vision.device import Device

Picture = NDArray[np.uint8]
#: Boxes that a network finds in a picture, float32 N x 6: x, y, w, h in pixels of the picture, raw score (0 to 1),
#: index into the network's ``kinds``; best first.
Candidates = NDArray[np.float32]


class Network(Protocol):
    """A network on one device. Deterministic: equal pictures give equal boxes, whatever else is in the batch.

    ``kinds`` of boxes that it tells; those that are not plates are faces. ``multiple``: the sides of its pictures are
    multiples of this. ``batch_size``: the best number of pictures per call; more and fewer are accepted.
    """

    @property
    def kinds(self) -> tuple[str, ...]: ...  # noqa: D102 - see the class

    @property
    def multiple(self) -> int: ...  # noqa: D102

    @property
    def batch_size(self) -> int: ...  # noqa: D102

    def find(self, pictures: Sequence[Picture], least: float) -> list[Candidates]:
        """The boxes in each picture with raw scores of at least ``least``, one per face.

        Pictures are BGR uint8 H x W x 3, all of one size. Raises ModelError or DeviceError when the model cannot be
        run.
        """
        ...


#: ``create`` in a network's module. Arguments: the file with the weights, the network as it was named, the device,
#: threads on a CPU, and the runtime, one of :data:`farm.domain.runtimes.RUNTIMES`. Raises ModelError, DeviceError.
Factory = Callable[[Path | None, Named, Device, int, str], Network]


class Detector(Protocol):
    """Finds faces and plates in pictures.

    Deterministic: equal pictures give equal boxes, whatever else is in the batch.
    """

    @property
    def batch_size(self) -> int:
        """The best number of pictures per call; fewer are accepted."""
        ...

    def picture_size(self, width: int, height: int) -> tuple[int, int]:
        """The size (width, height) to scale a source frame of ``width`` x ``height`` to."""
        ...

    def detect(self, pictures: Sequence[Picture], source: tuple[int, int]) -> list[list[Detection]]:
        """For each picture its faces and plates, in pixels of a ``source`` frame (width, height), best first.

        Pictures are BGR uint8 H x W x 3, all of one size, and each shows a whole source frame.
        Raises ModelError or DeviceError when the model cannot be run.
        """
        ...


#: A picture is enlarged at most by this factor. That finds more faces in a small video (480x270: 21 % missed at twice
#: the size, 30 % at its own); a larger factor only costs time.
_LARGEST_SCALE = 2.0


def network_size(
    width: int, height: int, long_side: float, multiple: int = 32, largest_scale: float = _LARGEST_SCALE
) -> tuple[int, int]:
    """The size to scale a ``width`` x ``height`` frame to: its long side ``long_side``, or less.

    It is enlarged at most by ``largest_scale``.
    Both sides are rounded up to a multiple that the network takes, so that the picture is neither padded nor cut and
    no face gets smaller; the shapes of its pixels change by a few per cent at most (except in tiny pictures).
    """
    scale = min(largest_scale, long_side / max(width, height))

    def side(length: int) -> int:
        return max(1, math.ceil(length * scale / multiple - 1e-6)) * multiple

    return side(width), side(height)
