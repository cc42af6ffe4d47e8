"""The footage that the parts measure on, and its annotated faces. Nothing of it is in the project."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from farm.domain.geometry import Box
from tests.conftest import PROJECT

#: BGR uint8, height x width x 3.
Picture = NDArray[np.uint8]

#: The sets of pictures in which every face is annotated.
FACE_SETS = ("wider_val", "dlib_faces", "kaggle_mask")


class Skipped(Exception):
    """A part cannot be measured here; the message says why."""


@dataclass(frozen=True, slots=True)
class Annotated:
    """A picture file and its annotated faces, in pixels of the picture as :func:`read` returns it.

    ``boxes``: what the annotators hold to be faces (WIDER FACE's set "hard"); ``all_boxes``: with the others.
    """

    path: Path
    size: tuple[int, int]  # width, height
    boxes: tuple[Box, ...]
    all_boxes: tuple[Box, ...]

    @property
    def name(self) -> str:
        """The name of the file, as the truth of the footage spells it."""
        return self.path.name

    def read(self) -> Picture:
        """The picture; one that was squeezed is stretched back to its own shape."""
        picture = cv2.imread(str(self.path))
        if picture is None:
            raise Skipped(f"{self.path} cannot be read")
        if picture.shape[1::-1] != self.size:
            picture = cv2.resize(picture, self.size, interpolation=cv2.INTER_CUBIC)
        return np.asarray(picture, np.uint8)


def footage_folder() -> Path:
    """``FARM_TEST_DATA``, else ``../shared/data`` beside the project. Raises Skipped where there is none."""
    folder = Path(os.environ.get("FARM_TEST_DATA") or PROJECT.parent / "shared" / "data")
    if not (folder / "videos").is_dir():
        raise Skipped(f"no footage in {folder}: set FARM_TEST_DATA to a folder with images/, models/, truth/, videos/")
    return folder


def needed(path: Path) -> Path:
    """``path``, which a part needs. Raises Skipped if it is not there."""
    if not path.exists():
        raise Skipped(f"{path} is missing")
    return path


def truth_of_pictures(folder: Path) -> dict[str, dict[str, Any]]:
    """images/truth.json: set, name, facts."""
    return dict(json.loads(needed(folder / "images" / "truth.json").read_text(encoding="utf-8")))


def annotated(folder: Path, sets: Sequence[str] = FACE_SETS) -> list[Annotated]:
    """The pictures of ``sets`` with their annotated faces."""
    truth = truth_of_pictures(folder)
    return [
        _annotated(folder / "images" / name_of_set / name, facts)
        for name_of_set in sets
        for name, facts in sorted(truth[name_of_set].items())
    ]


def _annotated(path: Path, facts: dict[str, Any]) -> Annotated:
    squeezed = facts["width"], facts["height"]
    width, height = facts.get("orig", squeezed)
    across, down = width / squeezed[0], height / squeezed[1]
    rows = [Box(x * across, y * down, w * across, h * down) for x, y, w, h in facts["boxes_xywh"]]
    kept = tuple(rows[i] for i in facts.get("hard", range(len(rows))) if 0 <= i < len(rows))
    return Annotated(path, (width, height), kept, tuple(rows))
