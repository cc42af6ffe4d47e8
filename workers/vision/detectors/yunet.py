"""YuNet (Wu, Peng, Yu: "YuNet: A Tiny Millisecond-level Face Detector", 2023).

Weights: face_detection_yunet_2023mar of https://github.com/opencv/opencv_zoo, MIT. Input: BGR, 0 to 255, no mean.
Outputs at 1/8, 1/16 and 1/32 of the input's size, one row a cell: how likely it is a face (cls) and a box (obj), the
offset of the box's centre from the cell's corner (x, y) and logarithms of its size (w, h), in cells.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from farm.domain.detection import FACE
from farm.domain.detectors import Named
from workers.vision.detectors.base import Candidates, Picture
from workers.vision.detectors.centerface import without_doubles
from workers.vision.detectors.graph import BGR, read_weights, with_fixed_shape
from workers.vision.detectors.sized import Floats, SizedSession
from workers.vision.device import Device

_STRIDES = (8, 16, 32)
_OUTPUTS = tuple(f"{kind}_{stride}" for kind in ("cls", "obj", "bbox") for stride in _STRIDES)
_SAME_FACE = 0.3  # IoU from which two boxes are one face; OpenCV's own value


class YuNet:
    """YuNet on one device. The file declares 640 x 640, but the network takes any multiple of 32."""

    kinds = (FACE,)
    multiple = 32

    def __init__(self, model: bytes, device: Device, threads: int, runtime: str) -> None:
        self._session = SizedSession(partial(with_fixed_shape, model, _OUTPUTS, BGR), device, threads, runtime)
        self.batch_size = self._session.batch_size

    def find(self, pictures: Sequence[Picture], least: float) -> list[Candidates]:
        """See :meth:`workers.vision.detectors.base.Network.find`."""
        return [decode(outputs, pictures[0].shape[1], least) for outputs in self._session.each(pictures)]


def decode(outputs: Sequence[Floats], width: int, least: float) -> Candidates:
    """Boxes from one picture's outputs, in the order of the graph: cls, obj and bbox, each for every stride.

    ``width`` is the picture's. A score is the geometric mean of cls and obj.
    """
    rows = []
    for stride, likely, boxed, box in zip(_STRIDES, outputs[:3], outputs[3:6], outputs[6:], strict=True):
        score = np.sqrt(likely[:, 0].clip(0, 1) * boxed[:, 0].clip(0, 1))
        (cells,) = np.nonzero(score >= least)
        down, across = np.divmod(cells, width // stride)
        x, y = box[cells, 0] + across, box[cells, 1] + down
        w, h = np.exp(box[cells, 2]), np.exp(box[cells, 3])
        rows.append(np.stack([*(np.stack([x - w / 2, y - h / 2, w, h]) * stride), score[cells], 0 * w], axis=1))
    boxes = np.concatenate(rows).astype(np.float32)
    return boxes[without_doubles(boxes[:, :5], _SAME_FACE)]


def create(weights: Path, _named: Named, device: Device, threads: int, runtime: str) -> YuNet:
    """YuNet from the file ``weights``. Raises ModelError when it cannot be read."""
    return YuNet(read_weights(weights, "yunet"), device, threads, runtime)
