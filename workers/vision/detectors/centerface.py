"""CenterFace (Xu, Yan, Sun, Yang, Luo: "CenterFace: Joint Face Detection and Alignment Using Face as Point", 2019).

Weights: https://github.com/Star-Clouds/CenterFace, MIT. Input: RGB, 0 to 255, no mean. Outputs at a quarter of the
input's size: how likely a face's centre is there, logarithms of its height and width, offsets of the centre (y, x).
"""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from farm.domain.detection import Detection
from farm.domain.detectors import CenterFaceOptions
from farm.domain.geometry import Box
from farm.errors import ModelError
from workers.vision.detectors.base import Picture, network_size
from workers.vision.detectors.graph import with_fixed_shape
from workers.vision.detectors.session import Session, open_session
from workers.vision.device import Device

_OUTPUTS = ("537", "538", "539")  # heat, scale, offset; the landmarks (540) are not computed
_STRIDE = 4
_SAME_FACE = 0.3  # IoU from which two boxes are one face
_GPU_BATCH = 8

Floats = NDArray[np.float32]


class CenterFace:
    """CenterFace on one device.

    A CPU runs pictures one by one, a GPU in batches that are padded to one fixed size, so that the arithmetic for a
    picture does not depend on the others.
    """

    def __init__(self, model: bytes, options: CenterFaceOptions, device: Device, threads: int) -> None:
        self.batch_size = 1 if device.kind == "cpu" else _GPU_BATCH
        self._model = model
        self._options = options
        self._device = device
        self._threads = threads
        self._session: tuple[tuple[int, int], Session, Floats] | None = None

    def picture_size(self, width: int, height: int) -> tuple[int, int]:
        """See :meth:`workers.vision.detectors.base.Detector.picture_size`."""
        return network_size(width, height, self._options.size)

    def detect(self, pictures: Sequence[Picture], source: tuple[int, int]) -> list[list[Detection]]:
        """See :meth:`workers.vision.detectors.base.Detector.detect`."""
        found: list[list[Detection]] = []
        for start in range(0, len(pictures), self.batch_size):
            found += self._batch(pictures[start : start + self.batch_size], source)
        return found

    def _batch(self, pictures: Sequence[Picture], source: tuple[int, int]) -> list[list[Detection]]:
        height, width = pictures[0].shape[:2]
        session, blob = self._ready(width, height)
        for row, picture in zip(blob, pictures, strict=False):
            for channel, plane in zip(row, reversed(cv2.split(picture)), strict=True):
                channel[...] = plane
        heat, scale, offset = session.run(blob)
        across, down = source[0] / width, source[1] / height
        rows = (decode(heat[i, 0], scale[i], offset[i], self._options.threshold) for i in range(len(pictures)))
        return [[_detection(r, across, down) for r in boxes.tolist()] for boxes in rows]

    def _ready(self, width: int, height: int) -> tuple[Session, Floats]:
        """The session for a picture size and its input array, made when the size changes."""
        if self._session is None or self._session[0] != (width, height):
            model = with_fixed_shape(self._model, batch=self.batch_size, width=width, height=height, outputs=_OUTPUTS)
            blob = np.zeros((self.batch_size, 3, height, width), np.float32)
            session = open_session(model, self._device, self._threads, self._options.runtime or "")
            self._session = (width, height), session, blob
        return self._session[1:]


def decode(heat: Floats, scale: Floats, offset: Floats, threshold: float) -> Floats:
    """Boxes from the network's maps: N x 5 (x, y, w, h, score) in network pixels, best first, one per face.

    ``heat`` is H x W, ``scale`` and ``offset`` are 2 x H x W (first height, y; then width, x).
    """
    rows, columns = np.nonzero(heat > threshold)
    h, w = np.exp(scale[:, rows, columns]) * _STRIDE
    y, x = (np.stack([rows, columns]) + 0.5 + offset[:, rows, columns]) * _STRIDE
    boxes = np.stack([x - w / 2, y - h / 2, w, h, heat[rows, columns]], axis=1).astype(np.float32)
    return boxes[without_doubles(boxes)]


def without_doubles(boxes: Floats, same: float = _SAME_FACE) -> list[int]:
    """Greedy non-maximum suppression: indices of the boxes (N x 5) to keep, best first; ties by position."""
    x0, y0, w, h, score = boxes.T
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


def _detection(row: list[float], across: float, down: float) -> Detection:
    x, y, w, h, score = row
    return Detection(Box(x * across, y * down, w * across, h * down).rounded(), round(score, 4))


def create(weights: Path, options: CenterFaceOptions, device: Device, threads: int) -> CenterFace:
    """CenterFace from the file ``weights``. Raises ModelError when it cannot be read."""
    try:
        model = weights.read_bytes()
    except OSError as e:
        raise ModelError(f"{weights}: {e.strerror}", hint="farm models pull centerface") from e
    return CenterFace(model, options, device, threads)
