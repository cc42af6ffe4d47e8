"""Finds the landmarks of a face in its box, and turns, scales and cuts the face as recognisers are trained to see it.

The landmarks are those of CenterFace (Xu et al. 2019) in the box and its surroundings, enlarged. Without them, two
persons were taken for one twice as often (docs/decisions/0047-choosing-whom.md).
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from farm.domain.faces import Quality
from farm.domain.geometry import Box, intersection_over_union
from workers.vision.detectors.base import Picture
from workers.vision.detectors.graph import RGB, read_weights, with_fixed_shape
from workers.vision.detectors.sized import SizedSession
from workers.vision.device import Device

#: Eyes, nose and corners of the mouth (x, y) in a picture of 112 x 112: where InsightFace's networks, which most others
#: follow, were trained to see them (Deng et al.: "ArcFace", 2019).
_TEMPLATE = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
_TEMPLATE_SIDE = 112
_OUTPUTS = ("537", "538", "539", "540")  # heat, scale, offset, landmarks
_STRIDE = 4
#: The part of the frame that is looked at, in sides of the box; its picture's side for the network, and at most.
_AROUND, _SIDE, _LARGEST = 2.0, 160, 320
#: A face in the box has at least this score and this overlap with the box.
_LEAST, _SAME = 0.4, 0.3

Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Aligned:
    """A face as a recogniser sees it (BGR uint8, its size), and how well it can be told."""

    picture: Picture
    quality: Quality


class Aligner:
    """Aligns faces for pictures of ``size`` (width, height). Deterministic."""

    def __init__(self, weights: Path, device: Device, threads: int, runtime: str, size: tuple[int, int]) -> None:
        """``weights``: the file of CenterFace. Raises ModelError, DeviceError."""
        model = partial(with_fixed_shape, read_weights(weights, "centerface"), _OUTPUTS, RGB)
        self._session = SizedSession(model, device, threads, runtime, batched=False)
        self._size = size

    def aligned(self, frame: Picture, box: Box) -> Aligned | None:
        """The face in a ``box`` of a frame (BGR uint8); None where the network finds none, or another one, there."""
        side = max(box.w, box.h) * _AROUND
        if side < 1:
            return None
        whole = max(2, round(side))
        cut = _cut(frame, box.centre, whole)
        found = self._landmarks(_resized(cut, _SIDE), box, _SIDE / whole)
        if found is None:
            return None
        points = found * (cut.shape[0] / _SIDE)
        turn, fit = _similarity(points)
        ratio = min(self._size) / _TEMPLATE_SIDE
        shift = np.array([(self._size[0] - _TEMPLATE_SIDE * ratio) / 2, (self._size[1] - _TEMPLATE_SIDE * ratio) / 2])
        matrix = turn * ratio
        matrix[:, 2] += shift
        picture = cast("Picture", cv2.warpAffine(cut, matrix, self._size, flags=cv2.INTER_LINEAR))
        straight = points @ turn[:, :2].T + turn[:, 2]
        turned = float(abs(straight[2, 0] - straight[:2, 0].mean()) / max(1e-6, abs(straight[1, 0] - straight[0, 0])))
        return Aligned(picture, Quality(round(min(box.w, box.h), 1), *_rounded(fit, turned, _sharpness(picture))))

    def _landmarks(self, shown: Picture, box: Box, scale: float) -> Points | None:
        """The landmarks of the face of a box that is in the middle of a picture. ``scale``: of the picture."""
        (outputs,) = self._session.each([shown])
        heat, sizes, offsets, marks = outputs
        w, h = box.w * scale, box.h * scale
        middle = Box((_SIDE - w) / 2, (_SIDE - h) / 2, w, h)
        best: tuple[float, Points] | None = None
        for row, column in zip(*np.nonzero(heat[0] >= _LEAST), strict=True):
            high, wide = np.exp(sizes[:, row, column].astype(np.float64)) * _STRIDE
            y, x = (np.array([row, column]) + 0.5 + offsets[:, row, column]) * _STRIDE
            score = float(heat[0, row, column])
            there = Box(x - wide / 2, y - high / 2, wide, high)
            if intersection_over_union(there, middle) >= _SAME and (best is None or score > best[0]):
                x_of, y_of = marks[1::2, row, column], marks[0::2, row, column]
                best = score, np.stack([x_of * wide + there.x, y_of * high + there.y], axis=1).astype(np.float64)
        return None if best is None else best[1]


def _cut(frame: Picture, centre: tuple[float, float], side: int) -> Picture:
    """The square around a point, black beyond the frame; a larger one than _LARGEST is made smaller."""
    shift = np.array([[1.0, 0.0, side / 2 - centre[0]], [0.0, 1.0, side / 2 - centre[1]]])
    cut = cast("Picture", cv2.warpAffine(frame, shift, (side, side), flags=cv2.INTER_LINEAR))
    return _resized(cut, min(side, _LARGEST))


def _resized(square: Picture, side: int) -> Picture:
    smaller = side < square.shape[0]
    how = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return square if side == square.shape[0] else cast("Picture", cv2.resize(square, (side, side), interpolation=how))


def _similarity(points: Points) -> tuple[Points, float]:
    """The similarity (2 x 3) that brings points nearest to the template, and how far they then are from it.

    Umeyama: "Least-squares estimation of transformation parameters between two point patterns", 1991.
    """
    middle, aim = points.mean(axis=0), _TEMPLATE.mean(axis=0)
    a, b = points - middle, _TEMPLATE - aim
    u, singular, v = np.linalg.svd(b.T @ a / len(a))
    mirror = np.array([1.0, np.sign(np.linalg.det(u @ v)) or 1.0])
    turn = u @ np.diag(mirror) @ v
    scale = float((singular * mirror).sum() / max(a.var(axis=0).sum(), 1e-9))
    matrix = np.hstack([scale * turn, (aim - scale * turn @ middle)[:, None]])
    away = points @ matrix[:, :2].T + matrix[:, 2] - _TEMPLATE
    return matrix, float(np.sqrt((away**2).sum(axis=1).mean()))


def _sharpness(picture: Picture) -> float:
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_64F).var())


def _rounded(*numbers: float) -> list[float]:
    return [round(number, 3) for number in numbers]
