"""The recognisers of the package `deepface`, by the names that it gives them: ArcFace, SFace, Facenet512 and others.

They are given aligned faces, as all recognisers here are, and none of the package's own detection and alignment.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from farm.domain.recognisers import NamedRecogniser
from farm.errors import ModelError
from workers.vision.deepface_package import client, line_of
from workers.vision.detectors.base import Picture
from workers.vision.recognisers.base import Site, Vectors, unit


class DeepFaceRecogniser:
    """One of the package's recognisers, see :class:`workers.vision.recognisers.base.Recogniser`."""

    def __init__(self, name: str, model: Any) -> None:  # noqa: ANN401 - the package has no types
        """``model``: a ``deepface.models.FacialRecognition.FacialRecognition``."""
        self._name, self._model = name, model
        width, height = model.input_shape
        self.size = int(width), int(height)

    def vectors(self, faces: Sequence[Picture]) -> Vectors:
        """See :meth:`workers.vision.recognisers.base.Recogniser.vectors`. One by one: some models take no more."""
        try:
            rows = [np.ravel(self._model.forward(face[None].astype(np.float32) / 255)) for face in faces]
        except Exception as e:  # whatever the package or what it uses raises
            raise ModelError(f"deepface:{self._name} failed: {line_of(e)}") from e
        return unit(np.stack(rows))


def create(named: NamedRecogniser, site: Site) -> DeepFaceRecogniser:
    """The model of the package that stands after ``deepface:``, tried once. Raises ModelError, DeviceError on a GPU."""
    model = client("facial_recognition", "recogniser", named.argument, site.device, site.folders)
    made = DeepFaceRecogniser(named.argument, model)
    made.vectors([np.full((*made.size[::-1], 3), 128, np.uint8)])
    return made
