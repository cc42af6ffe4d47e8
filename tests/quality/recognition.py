"""A recogniser, and how often it finds a face among many."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from farm.domain.geometry import Box
from tests.quality.footage import Picture, needed
from tests.quality.intervals import most_by_chance, wilson

#: One row of unit length for each face: float32, faces x 128.
Signatures = NDArray[np.float32]

_SIDE = 112
#: Of the radius of a cover: within it the face is fully replaced (workers.vision.redactors.covers).
FULLY = 0.9


class Recogniser:
    """MobileFaceNet (Chen, Liu, Gao, Han 2018): a face of 112 x 112 pixels becomes 128 numbers."""

    def __init__(self, footage: Path) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        path = needed(footage / "models" / "mobilefacenet.onnx")
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def signatures(self, faces: Iterable[Picture]) -> Signatures:
        """The signatures of square face pictures (BGR, any size)."""
        made = np.asarray([self._run(fitted(face)) for face in faces], np.float32)
        return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)

    def _run(self, face: NDArray[np.uint8]) -> NDArray[np.float32]:
        blob = (face[:, :, ::-1].astype(np.float32) - 127.5) / 128
        (row,) = self._session.run(None, {self._input: np.ascontiguousarray(blob.transpose(2, 0, 1)[None])})
        return np.asarray(row[0], np.float32)


def fitted(face: Picture) -> Picture:
    """The picture at the recogniser's size."""
    shrinks = face.shape[0] > _SIDE
    small = cv2.resize(face, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return np.asarray(small, np.uint8)


def square_of(box: Box, margin: float) -> Box:
    """The largest square around the centre of a face that its cover (an ellipse) replaces wholly.

    A larger one shows what is around the cover, which tells one picture from another, but not by the face.
    """
    grow = 1 + 2 * margin
    half = FULLY / np.hypot(2 / (box.w * grow), 2 / (box.h * grow))
    x, y = box.centre
    return Box(x - half, y - half, 2 * half, 2 * half)


@dataclass(frozen=True, slots=True)
class Found:
    """How many of ``of`` faces were found at rank 1 among ``of`` others, and how alike they were to their own."""

    hits: int
    of: int
    likeness: float  # mean cosine

    @property
    def chance(self) -> float:
        """The share that guessing finds."""
        return 1 / self.of

    @property
    def at_chance(self) -> bool:
        """Whether guessing finds as many with a probability of at least 2.5 %."""
        return self.hits <= most_by_chance(self.of, self.chance)

    @property
    def cells(self) -> list[str]:
        """Rank-1 share, its 95 % interval, likeness and verdict, for a table."""
        low, high = wilson(self.hits, self.of)
        verdict = "yes" if self.at_chance else "**no**"
        return [f"{self.hits / self.of:.1%}", f"{low:.1%}–{high:.1%}", f"{self.likeness:.2f}", verdict]


def search(probes: Signatures, gallery: Signatures) -> Found:
    """Look for every probe in a gallery that has its own face in the same row."""
    alike = probes @ gallery.T
    own = np.diagonal(alike)
    others = alike.copy()
    np.fill_diagonal(others, -np.inf)
    return Found(int((own > others.max(axis=1)).sum()), len(own), float(own.mean()))
