"""Part ``recall``: how many annotated faces a detector finds, by height, at equal areas of false boxes."""

import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from farm.domain.detection import Detection
from farm.domain.geometry import Box, intersection_over_union
from farm.domain.options import load_options
from farm.domain.runtimes import fastest
from farm.errors import FarmError
from farm.models.store import ModelStore
from farm.settings import load_settings
from tests.conftest import WEIGHTS
from tests.quality.footage import Annotated, Skipped, annotated, footage_folder
from tests.quality.options import Options
from tests.quality.report import Section, table
from tests.quality.settings import LOOKS
from tests.quality.sizes import HEIGHTS, height_class
from workers.vision.detectors.base import Detector
from workers.vision.detectors.combined import create_detector
from workers.vision.device import Device, runtimes

#: A detection and a face are the same from this overlap on (intersection over union).
_SAME = 0.3
#: Area of false boxes, as a share of all pictures' area.
FALSE_AREAS = (0.001, 0.003, 0.01)


@dataclass(frozen=True, slots=True)
class Tally:
    """What a detector found in pictures.

    ``hits``: score and height class of each annotated face that it found; ``false``: score and area of each box that
    is no annotated face; ``faces``: annotated faces by height class; ``area``: of all pictures.
    """

    hits: list[tuple[float, int]]
    false: list[tuple[float, float]]
    faces: Counter[int]
    area: float


def measure(options: Options) -> Section:
    """A row for each detector at each area of false boxes."""
    pictures = annotated(footage_folder())
    pictures = pictures[:: max(1, len(pictures) // options.limit)] if options.limit else pictures
    head: list[object] = ["", "false area %", "score", "found %", *(f"{low}+ px" for low in HEIGHTS)]
    rows: list[list[object]] = [head]
    left_out, faces = [], 0
    for name, words in LOOKS.items():
        try:
            tally = look(detector_of(words), pictures)
        except FarmError as reason:
            left_out.append(f"{name}: {reason}")
            continue
        faces = tally.faces.total()
        rows += [[name, f"{100 * area:g}", *cells_at(tally, area)] for area in FALSE_AREAS]
        print(f"recall: {name}", file=sys.stderr, flush=True)
    if len(rows) == 1:
        raise Skipped("; ".join(left_out))
    ran = (
        f"{len(pictures)} annotated pictures with {faces} faces of at least {HEIGHTS[0]} pixels, each at its own size. "
        f"A face is found by a box that overlaps it by {_SAME} (intersection over union). The threshold is set so that "
        "boxes without an annotated face cover the given share of all pictures; columns are by height of the face."
    )
    return Section("recall", "Recall on pictures", ran, [table(rows), *(f"Not measured: {line}" for line in left_out)])


def detector_of(words: Mapping[str, Any]) -> Detector:
    """The detector of these options on the fastest runtime here. Raises FarmError as ``create_detector``."""
    cpu = Device("cpu", 0)
    runtime = fastest(runtimes("auto", cpu))
    detect = replace(load_options({"detect": dict(words)}).detect, runtime=runtime)
    store = ModelStore(load_settings(models_dir=Path(os.environ.get("FARM_MODELS_DIR", WEIGHTS))))
    return create_detector(detect, cpu, threads=1, weights=store.ensure)


def look(detector: Detector, pictures: Sequence[Annotated]) -> Tally:
    """Let a detector look at every picture. Raises FarmError as the detector does."""
    tally = Tally([], [], Counter(), 0.0)
    for picture in pictures:
        size = detector.picture_size(*picture.size)
        shrinks = size[0] < picture.size[0]
        shown = cv2.resize(picture.read(), size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        (found,) = detector.detect([np.asarray(shown, np.uint8)], picture.size)
        hits, false, faces = counted(found, picture.boxes, picture.all_boxes)
        area = tally.area + picture.size[0] * picture.size[1]
        tally = Tally(tally.hits + hits, tally.false + false, tally.faces + faces, area)
    return tally


def counted(
    found: Sequence[Detection], faces: Sequence[Box], known: Sequence[Box]
) -> tuple[list[tuple[float, int]], list[tuple[float, float]], Counter[int]]:
    """Hits, false boxes and faces by height, of one picture. ``known``: with boxes that nobody asks for.

    Best first, a detection takes the face that it overlaps most of those that are left; a second one on a face is
    neither a hit nor false.
    """
    classes = [height_class(face) for face in faces]
    hits, false, taken = [], [], set()
    for detection in sorted(found, key=lambda d: -d.score):
        left = [i for i in range(len(faces)) if i not in taken]
        best = max(left, key=lambda i: intersection_over_union(detection.box, faces[i]), default=None)
        if best is not None and intersection_over_union(detection.box, faces[best]) >= _SAME:
            taken.add(best)
            if (reached := classes[best]) is not None:
                hits.append((detection.score, reached))
        elif not any(intersection_over_union(detection.box, face) >= _SAME for face in known):
            false.append((detection.score, detection.box.area))
    return hits, false, Counter(c for c in classes if c is not None)


def threshold_at(tally: Tally, share: float) -> float:
    """The lowest score at which false boxes cover at most this share of the pictures."""
    room, last = share * tally.area, 0.0
    for score, area in sorted(tally.false, reverse=True):
        room -= area
        if room < 0:
            return score + 1e-9
        last = score
    return min([last, *(score for score, _ in tally.hits)])


def cells_at(tally: Tally, share: float) -> list[str]:
    """Score, recall and recall by height at an area of false boxes."""
    score = threshold_at(tally, share)
    found = Counter(height for s, height in tally.hits if s >= score)
    by_height = [f"{100 * found[low] / tally.faces[low]:.1f}" if tally.faces[low] else "–" for low in HEIGHTS]
    return [f"{score:.2f}", f"{100 * found.total() / max(1, tally.faces.total()):.1f}", *by_height]
