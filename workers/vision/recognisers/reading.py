"""Reads faces: aligns them, and makes vectors of them."""

from collections.abc import Sequence

from farm.domain.faces import Quality, Vector
from farm.domain.geometry import Box
from farm.domain.recognisers import PeopleOptions
from workers.vision.detectors.base import Picture
from workers.vision.recognisers.aligning import Aligner
from workers.vision.recognisers.base import Site, create_recogniser

#: How well a face can be told, and its vector; None and nothing where no face was found.
Read = tuple[Quality | None, Vector]


class FaceReader:
    """A recogniser with what aligns faces for it, on one device. Deterministic."""

    def __init__(self, options: PeopleOptions, site: Site) -> None:
        """Raises ModelError, DeviceError when the recogniser cannot be used."""
        self._recogniser = create_recogniser(options, site)
        weights = site.weights("centerface")
        self._aligner = Aligner(weights, site.device, site.threads, site.runtime, self._recogniser.size)

    def read(self, frame: Picture, boxes: Sequence[Box]) -> list[Read]:
        """The face in each of some boxes of a frame (BGR uint8, H x W x 3). Raises ModelError, DeviceError."""
        found = [self._aligner.aligned(frame, box) for box in boxes]
        pictures = [face.picture for face in found if face]
        vectors = iter(self._recogniser.vectors(pictures) if pictures else ())
        return [(face.quality, tuple(map(float, next(vectors)))) if face else (None, ()) for face in found]
