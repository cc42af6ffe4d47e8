"""RetinaFace with ResNet-50 (Deng, Guo, Zhou, Yu, Kotsia, Zafeiriou: "RetinaFace", 2020), as the package `retina-face`.

Weights: those of https://github.com/serengil/retinaface for Keras. Input: RGB, 0 to 255, no mean. Boxes and scores are
those of ``RetinaFace.detect_faces`` for the same outputs of the network.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from farm.domain.detection import FACE
from farm.domain.detectors import Named
from workers.vision.detectors.anchors import anchors, points
from workers.vision.detectors.base import Candidates, Picture
from workers.vision.detectors.centerface import without_doubles
from workers.vision.detectors.graph import RGB, read_weights, with_fixed_shape
from workers.vision.detectors.retinaface_graph import OUTPUTS, STEPS, as_onnx
from workers.vision.detectors.sized import Floats, SizedSession
from workers.vision.device import Device

_SIZES = ((512, 256), (128, 64), (32, 16))
_MIDDLE = 7.5  # of every anchor, from its cell's left upper corner: that of 16 x 16 pixels
_SAME_FACE = 0.4
_LARGEST = 16.0  # exponent of a side: that of no face, and what it is raised to stays finite


class RetinaFace:
    """RetinaFace on one device, see :class:`workers.vision.detectors.base.Network`."""

    kinds = (FACE,)
    multiple = 32

    def __init__(self, model: bytes, device: Device, threads: int, runtime: str) -> None:
        self._session = SizedSession(partial(with_fixed_shape, model, OUTPUTS, RGB), device, threads, runtime)
        self.batch_size = self._session.batch_size

    def find(self, pictures: Sequence[Picture], least: float) -> list[Candidates]:
        """See :meth:`workers.vision.detectors.base.Network.find`."""
        height, width = pictures[0].shape[:2]
        return [decode(outputs, (width, height), least) for outputs in self._session.each(pictures)]


def decode(outputs: Sequence[Floats], size: tuple[int, int], least: float) -> Candidates:
    """Boxes from the outputs for one picture of ``size`` (width, height), in the order of OUTPUTS.

    As the package does, corners are taken to be pixels: a box from 3 to 5 is three wide where it is decoded and
    compared with others, and two wide where it is told.
    """
    score = np.concatenate([told.transpose(1, 2, 0).ravel() for told in outputs[::2]])
    boxes = np.concatenate([told.transpose(1, 2, 0).reshape(-1, 4) for told in outputs[1::2]])
    (rows,) = np.nonzero(score >= least)
    told, side = boxes[rows].astype(np.float64), anchors(*size, STEPS, _SIZES)[rows, 2:]
    middle = points(*size, STEPS, 2, 0)[rows, :2] + _MIDDLE
    sides = np.exp(told[:, 2:].clip(max=_LARGEST)) * side
    centre, half = told[:, :2] * side + middle, (sides - 1) / 2
    first = (centre - half).clip(0, np.array(size) - 1)
    extent = (centre + half).clip(0, np.array(size) - 1) - first
    found = np.column_stack([first, extent + 1, score[rows], np.zeros(len(rows))]).astype(np.float32)
    kept = found[without_doubles(found, _SAME_FACE)]
    kept[:, 2:4] -= 1
    return kept


def create(weights: Path, _named: Named, device: Device, threads: int, runtime: str) -> RetinaFace:
    """RetinaFace from the file ``weights``. Raises ModelError when it cannot be used, or without h5py."""
    return RetinaFace(as_onnx(read_weights(weights, "retinaface")), device, threads, runtime)
