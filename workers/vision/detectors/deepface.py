"""The face detectors of the package `deepface`, by the names that it gives them, through its own interface.

They run one picture at a time, see :mod:`workers.vision.deepface_package`. A detector that finds nothing is never
replaced by another, as the package does. Its own thresholds are lowered where it lets them be.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from farm.domain.detection import FACE
from farm.domain.detectors import Named
from farm.errors import ModelError
from workers.vision.deepface_package import client, line_of
from workers.vision.detectors.base import Candidates, Picture
from workers.vision.detectors.centerface import without_doubles
from workers.vision.device import Device

_SAME_FACE = 0.4
_LEAST = "0.3"
_TRIED = 96, 128, 3
#: Variables from which detectors of the package read their thresholds.
_THRESHOLDS = ("yunet_score_threshold", "CENTERFACE_THRESHOLD", "MEDIAPIPE_MIN_DETECTION_CONFIDENCE")


class DeepFaceDetector:
    """One of the package's detectors, see :class:`workers.vision.detectors.base.Network`."""

    kinds = (FACE,)
    multiple = 1
    batch_size = 1

    def __init__(self, name: str, detector: Any) -> None:  # noqa: ANN401 - the package has no types
        """``detector``: a ``deepface.models.Detector.Detector``."""
        self._name = name
        self._detector = detector

    def find(self, pictures: Sequence[Picture], least: float) -> list[Candidates]:
        """See :meth:`workers.vision.detectors.base.Network.find`."""
        return [self._in(picture, least) for picture in pictures]

    def _in(self, picture: Picture, least: float) -> Candidates:
        try:
            found = self._detector.detect_faces(picture)
        except ModelError:
            raise
        except Exception as e:  # whatever the package or what it uses raises
            raise ModelError(f"deepface:{self._name} failed: {line_of(e)}") from e
        # some tell no confidence, and OpenCV's has no upper limit
        rows = [[f.x, f.y, f.w, f.h, 1.0 if f.confidence is None else f.confidence, 0] for f in found]
        boxes = np.array(rows, np.float32).reshape(-1, 6)
        boxes[:, 4] = boxes[:, 4].clip(0, 1)
        boxes = boxes[(boxes[:, 4] >= least) & (boxes[:, 2:4] > 0).all(axis=1)]
        return boxes[without_doubles(boxes, _SAME_FACE)]


def create(_weights: Path | None, named: Named, device: Device, _threads: int, _runtime: str) -> DeepFaceDetector:
    """The detector of the package that stands after ``deepface:``.

    Raises ModelError when there is none such, or it lacks a package or its weights, DeviceError on a GPU.
    """
    name = named.argument
    os.environ.update({variable: os.environ.get(variable, _LEAST) for variable in _THRESHOLDS})
    detector = client("face_detector", "detector", name, device)
    if name == "opencv" and detector.model["face_detector"].empty():  # it would find nothing, without any error
        raise ModelError(f"deepface:{name} cannot read its weights", hint="remove them and fetch them again")
    made = DeepFaceDetector(name, detector)
    made.find([np.full(_TRIED, 128, np.uint8)], 0.5)  # some load their weights only now
    return made
