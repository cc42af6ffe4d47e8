"""CenterFace (Xu, Yan, Sun, Yang, Luo: "CenterFace: Joint Face Detection and Alignment Using Face as Point", 2019).

Weights: https://github.com/Star-Clouds/CenterFace, MIT. Input: RGB, 0 to 255, no mean. Outputs at a quarter of the
input's size: how likely a face's centre is there, logarithms of its height and width, offsets of the centre (y, x).
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from farm.domain.detection import FACE
from farm.domain.detectors import Named
from workers.vision.detectors.base import Candidates, Picture
from workers.vision.detectors.graph import RGB, read_weights, with_fixed_shape
from workers.vision.detectors.sized import Floats, SizedSession
from workers.vision.device import Device

_OUTPUTS = ("537", "538", "539")  # heat, scale, offset; the landmarks (540) are not computed
_STRIDE = 4
_SAME_FACE = 0.3  # IoU from which two boxes are one face


class CenterFace:
    """CenterFace on one device, see :class:`workers.vision.detectors.base.Network`."""

    kinds = (FACE,)
    multiple = 32

    def __init__(self, model: bytes, device: Device, threads: int, runtime: str) -> None:
        self._session = SizedSession(partial(with_fixed_shape, model, _OUTPUTS, RGB), device, threads, runtime)
        self.batch_size = self._session.batch_size

    def find(self, pictures: Sequence[Picture], least: float) -> list[Candidates]:
        """See :meth:`workers.vision.detectors.base.Network.find`."""
        return [decode(heat[0], scale, offset, least) for heat, scale, offset in self._session.each(pictures)]


def decode(heat: Floats, scale: Floats, offset: Floats, least: float) -> Candidates:
    """Boxes from the network's maps: N x 6 (x, y, w, h, score, kind 0) in network pixels, best first, one per face.

    ``heat`` is H x W, ``scale`` and ``offset`` are 2 x H x W (first height, y; then width, x).
    """
    rows, columns = np.nonzero(heat >= least)
    h, w = np.exp(scale[:, rows, columns]) * _STRIDE
    y, x = (np.stack([rows, columns]) + 0.5 + offset[:, rows, columns]) * _STRIDE
    boxes = np.stack([x - w / 2, y - h / 2, w, h, heat[rows, columns], np.zeros_like(x)], axis=1).astype(np.float32)
    return boxes[without_doubles(boxes)]


def without_doubles(boxes: Floats, same: float = _SAME_FACE) -> list[int]:
    """Greedy non-maximum suppression: indices of the boxes (N x 5 or more) to keep, best first; ties by position."""
    x0, y0, w, h, score = boxes[:, :5].T
    x1, y1, area = x0 + w, y0 + h, w * h
    order = np.argsort(-score, kind="stable")
    keep: list[int] = []
    while len(order):
        best, order = order[0], order[1:]
        keep.append(int(best))
        both = np.clip(np.minimum(x1[best], x1[order]) - np.maximum(x0[best], x0[order]), 0, None)
        both *= np.clip(np.minimum(y1[best], y1[order]) - np.maximum(y0[best], y0[order]), 0, None)
        order = order[both < same * (area[best] + area[order] - both)]
    return keep


def create(weights: Path, _named: Named, device: Device, threads: int, runtime: str) -> CenterFace:
    """CenterFace from the file ``weights``. Raises ModelError when it cannot be read."""
    return CenterFace(read_weights(weights, "centerface"), device, threads, runtime)
