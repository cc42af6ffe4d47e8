"""The protocol of detectors, how one is created, and the size that they scale frames to."""

import math
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray

from farm.domain.detection import Detection
from farm.domain.detectors import DetectOptions
from workers.vision.device import Device

#: BGR, H x W x 3.
Picture = NDArray[np.uint8]
#: N x 6, float32: x, y, w, h in pixels of the picture, raw score (0 to 1), index into the network's ``kinds``.
Candidates = NDArray[np.float32]


class Network(Protocol):
    """Finds what it was trained for in pictures. Deterministic, whatever else is in the batch."""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The classes that it tells apart."""
        ...

    @property
    def multiple(self) -> int:
        """The sides of pictures are multiples of this."""
        ...

    @property
    def batch_size(self) -> int:
        """The best number of pictures per call; any number is accepted."""
        ...

    def find(self, pictures: Sequence[Picture], least: float) -> list[Candidates]:
        """For each picture, all of one size, the boxes with a raw score of ``least`` or more: best first, no doubles.

        Raises ModelError or DeviceError when the model cannot be run.
        """
        ...


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


#: Arguments: the file with the weights, the detector's own options, the device, and threads on a CPU.
Factory = Callable[[Path | None, DetectOptions, Device, int], Detector]


def create_detector(
    options: DetectOptions, device: Device, *, threads: int, weights: Callable[[str], Path]
) -> Detector:
    """The detector ``options.model`` on ``device``: ``create`` in ``workers.vision.detectors.NAME``.

    ``weights`` finds the file of a model's weights. Raises ModelError for unusable weights, DeviceError when the device
    or ``options.runtime`` cannot be used.
    """
    path = None if options.weights is None else weights(options.weights.name)
    factory = cast("Factory", import_module(f"workers.vision.detectors.{options.model}").create)
    return factory(path, options, device, threads)


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
