"""LPD-YuNet, which finds the number plates of cars (Dong Xu, WATRIX, 2022).

Weights: license_plate_detection_lpd_yunet_2022may of https://github.com/opencv/opencv_zoo, Apache-2.0. Input: BGR, 0 to
255, no mean. Outputs, one row an anchor: a box and a plate's four corners (loc), how likely it is none and one (conf),
and how well the box is expected to fit (iou). The box around the four corners is what counts: plates are seen askew.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from farm.domain.detection import PLATE
from farm.domain.detectors import Named
from workers.vision.detectors.anchors import anchors
from workers.vision.detectors.base import Candidates, Picture
from workers.vision.detectors.centerface import without_doubles
from workers.vision.detectors.graph import BGR, read_weights, with_fixed_shape
from workers.vision.detectors.sized import Floats, SizedSession
from workers.vision.device import Device

_OUTPUTS = ("loc", "conf", "iou")
_STEPS = (8, 16, 32, 64)
_SIZES = ((10, 16, 24), (32, 48), (64, 96), (128, 192, 256))
_VARIANCE = 0.1
_CORNERS = (4, 5, 6, 7, 10, 11, 12, 13)  # columns of loc: x, y of each
_SAME_PLATE = 0.3
#: Longer sides are above twice those of the largest anchor: never a plate, often half of a picture that shows no car.
_LARGEST = 512


class Plates:
    """LPD-YuNet on one device. The file declares 320 x 240, but the network takes any multiple of 64."""

    kinds = (PLATE,)
    multiple = 64

    def __init__(self, model: bytes, device: Device, threads: int, runtime: str) -> None:
        self._session = SizedSession(partial(with_fixed_shape, model, _OUTPUTS, BGR), device, threads, runtime)
        self.batch_size = self._session.batch_size

    def find(self, pictures: Sequence[Picture], least: float) -> list[Candidates]:
        """See :meth:`workers.vision.detectors.base.Network.find`."""
        height, width = pictures[0].shape[:2]
        return [decode(loc, conf, iou, (width, height), least) for loc, conf, iou in self._session.each(pictures)]


def decode(loc: Floats, conf: Floats, iou: Floats, size: tuple[int, int], least: float) -> Candidates:
    """Boxes from the outputs for one picture of ``size`` (width, height): N x 14, N x 2 and N x 1, N its anchors.

    A score is the geometric mean of the plate's likelihood and of the expected fit.
    """
    score = np.sqrt(conf[:, 1].clip(0, 1) * iou[:, 0].clip(0, 1))
    (rows,) = np.nonzero(score >= least)
    prior = anchors(*size, _STEPS, _SIZES)[rows]
    points = loc[rows][:, _CORNERS].reshape(-1, 4, 2) * _VARIANCE * prior[:, None, 2:] + prior[:, None, :2]
    corner, far = points.min(axis=1), points.max(axis=1)
    found = np.column_stack([corner, far - corner, score[rows], np.zeros(len(rows))]).astype(np.float32)
    boxes: Floats = found[found[:, 2:4].max(axis=1, initial=0) <= _LARGEST]
    return boxes[without_doubles(boxes[:, :5], _SAME_PLATE)]


def create(weights: Path, _named: Named, device: Device, threads: int, runtime: str) -> Plates:
    """The plate detector from the file ``weights``. Raises ModelError when it cannot be read."""
    return Plates(read_weights(weights, "plates"), device, threads, runtime)
