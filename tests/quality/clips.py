"""Clips whose every face is known: those of the footage, and new ones of pictures that these do not show."""

import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from farm.executables import find_ffmpeg
from tests.quality.footage import Annotated, annotated, footage_folder, needed, truth_of_pictures

TRUTH = ("crowd720", "crowd1080", "handheld720")
#: Real footage: a signer; a street; a moving fisheye camera; two people; a hand before a face; a telephone, turned;
#: a class.
REAL = (
    "asl_again.mkv", "MOT20-08_short.h264", "egoblur_gen2_face.mp4", "mmaction_skeleton.mp4", "mmaction_test.avi",
    "streamio_sideways_rotated.mov", "gif_classroom.gif",
)  # fmt: skip
#: New clips: name, size, motion.
_NEW = (
    ("new720", "1280x720", "smooth"),
    ("newhandheld720", "1280x720", "handheld"),
    ("new1080", "1920x1080", "smooth"),
)
_SECONDS = 1.5
_SEED = 3911
#: Ids of faces in a clip's truth are the clip's place in the order of pictures times this, plus the face's number.
_IDS = 10_000


@dataclass(frozen=True, slots=True)
class Clip:
    """A video and the boxes of every face in every frame."""

    path: Path

    @property
    def name(self) -> str:
        """The name of the clip."""
        return self.path.stem

    @property
    def truth(self) -> Path:
        """The JSON file with the boxes, as make_truth_video.py writes it."""
        return self.path.with_suffix(".json")


def truth_clips() -> list[Clip]:
    """The clips of the footage. Raises Skipped."""
    return [Clip(needed(footage_folder() / "truth" / f"{name}.mp4")) for name in TRUTH]


def new_clips(work: Path) -> list[Clip]:
    """Clips made of pictures that the footage's clips do not show; kept in ``work``. Raises Skipped."""
    folder = footage_folder()
    tool = needed(folder.parent / "tools" / "make_truth_video.py")
    shown = shown_names(annotated(folder, ("wider_val",)), [clip.truth for clip in truth_clips()])
    truth = truth_of_pictures(folder)["wider_val"]
    names = sorted(set(truth) - shown)
    random.Random(_SEED).shuffle(names)
    made = []
    for number, (name, size, motion) in enumerate(_NEW):
        path = work / f"{name}.mp4"
        if not path.with_suffix(".json").exists():
            share = names[number :: len(_NEW)]
            _make(tool, truth, folder / "images" / "wider_val", share, path, size, motion, _SEED + number)
        made.append(Clip(path))
    return made


def real_clips() -> list[Path]:
    """Real footage with people in it. Raises Skipped."""
    folder = footage_folder() / "videos" / "real"
    return [needed(folder / name) for name in REAL]


def _make(
    tool: Path,
    truth: dict[str, Any],
    images: Path,
    names: Sequence[str],
    out: Path,
    size: str,
    motion: str,
    seed: int,
) -> None:
    facts = out.with_name("pictures.json")
    facts.write_text(json.dumps(truth), encoding="utf-8")
    words = ["--names", ",".join(names), "--seconds", _SECONDS, "--size", size, "--seed", seed, "--motion", motion]
    command = [sys.executable, tool, facts, images, out, *words]
    env = {**os.environ, "FFMPEG": str(find_ffmpeg().path)}
    subprocess.run([str(w) for w in command], env=env, check=True, capture_output=True)


def shown_names(pictures: Sequence[Annotated], truths: Sequence[Path]) -> set[str]:
    """The names of the pictures that clips show, told by their boxes: a picture moved and scaled gives them all."""
    shown = set()
    for truth in truths:
        best: dict[int, list[tuple[int, list[float]]]] = {}
        for frame in json.loads(truth.read_text(encoding="utf-8"))["frames"]:
            rows: dict[int, list[tuple[int, list[float]]]] = {}
            for face, *box in frame:
                rows.setdefault(face // _IDS, []).append((face % _IDS, box))
            for place, faces in rows.items():
                if len(faces) > len(best.get(place, [])):
                    best[place] = faces
        for faces in best.values():
            name, _ = min(((p.name, misfit(p, faces)) for p in pictures), key=lambda pair: pair[1])
            shown.add(name)
    return shown


def misfit(picture: Annotated, faces: Sequence[tuple[int, Sequence[float]]]) -> float:
    """How far, in pixels, boxes (number in the picture, x y w h) are from being the picture's, moved and scaled."""
    if max(number for number, _ in faces) >= len(picture.all_boxes):
        return float("inf")
    own = np.array([_row(picture, number) for number, _ in faces])
    seen = np.array([box for _, box in faces])
    scale = float(np.median(seen[:, 2:] / np.maximum(own[:, 2:], 0.1)))
    move: NDArray[np.float64] = np.median(seen[:, :2] - own[:, :2] * scale, axis=0)
    there = own * scale + np.hstack([move, [0, 0]])
    return float(np.abs(there - seen).max())


def _row(picture: Annotated, number: int) -> tuple[float, float, float, float]:
    box = picture.all_boxes[number]
    return box.x, box.y, box.w, box.h
