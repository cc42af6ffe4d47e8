"""Reads the face on a photo of a person, with whom others are compared. A photo that leaves a doubt is refused."""

from pathlib import Path
from typing import cast

import cv2
import numpy as np

from farm.domain.detection import FACE
from farm.domain.faces import PHOTO_FIT, PHOTO_SIDE, PHOTO_TURNED, Reference
from farm.domain.geometry import Box
from farm.errors import SettingsError
from workers.vision.detectors.base import Detector, Picture
from workers.vision.recognisers.reading import FaceReader

_LARGEST = 100_000_000  # bytes of a file
#: Normalised score from which a detection is a face: a doubtful one in the background is none that is meant.
_SURE = 0.65
_ADVICE = "use a photo that shows one face, from the front, at least 60 pixels wide"


def read_photo(path: Path, detector: Detector, reader: FaceReader) -> Reference:
    """The one face on a photo. Raises SettingsError for a file that is none, a photo that does not show one face only,
    and one that shows it small or from the side; ModelError, DeviceError.
    """
    photo = _opened(path)
    height, width = photo.shape[:2]
    size = detector.picture_size(width, height)
    how = cv2.INTER_AREA if size[0] < width else cv2.INTER_CUBIC
    (found,) = detector.detect([cast("Picture", cv2.resize(photo, size, interpolation=how))], (width, height))
    faces = [face.box for face in found if face.kind == FACE and face.score >= _SURE]
    if len(faces) != 1:
        what = f"shows {len(faces)} faces" if faces else "shows no face"
        raise SettingsError(f"{path}: {what}", hint=f"{_ADVICE}; cut out the person who is meant" if faces else _ADVICE)
    return Reference(path.name, _vector(path, photo, faces[0], reader))


def _opened(path: Path) -> Picture:
    try:
        if path.stat().st_size > _LARGEST:
            raise SettingsError(f"{path}: is larger than {_LARGEST // 1_000_000} MB", hint=_ADVICE)
        photo = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    except OSError as e:
        raise SettingsError(f"{path}: {e.strerror}", hint="name a photo that can be read") from e
    except cv2.error:  # of a file that is empty, or has too many pixels
        photo = None
    if photo is None:
        raise SettingsError(f"{path}: is no photo that can be read", hint="save it as a JPEG or PNG file")
    return cast("Picture", photo)


def _vector(path: Path, photo: Picture, box: Box, reader: FaceReader) -> tuple[float, ...]:
    ((quality, vector),) = reader.read(photo, [box])
    if quality is None:
        raise SettingsError(f"{path}: its face cannot be told", hint=_ADVICE)
    if quality.side < PHOTO_SIDE:
        raise SettingsError(f"{path}: its face is small, {quality.side:.0f} pixels", hint=_ADVICE)
    if quality.fit > PHOTO_FIT or quality.turned > PHOTO_TURNED:
        raise SettingsError(f"{path}: its face is turned away", hint=_ADVICE)
    return vector
