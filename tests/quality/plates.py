"""Part ``plates``: how many annotated licence plates the detector ``plates`` finds, with and without tiles."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from farm.errors import FarmError
from tests.quality.footage import Skipped, annotated, footage_folder
from tests.quality.options import Options
from tests.quality.recall import detector_of, look
from tests.quality.report import Section, table

#: The sets of pictures in which every plate is annotated.
SETS = ("openalpr_us", "openalpr_eu", "openalpr_br", "kaggle_cars")
#: Options of the section "detect" that are compared; the thresholds are the detector's own.
LOOKS: Mapping[str, Mapping[str, Any]] = {
    "640": {"size": 640},
    "640, two by two tiles": {"size": 640, "tiles": 2},
    "1280": {"size": 1280},
    "of `balanced`": {},
}


def measure(options: Options) -> Section:
    """A row for each size; columns are sets of pictures."""
    folder = footage_folder()
    rows: list[list[object]] = [["", *SETS, "found %", "false area %"]]
    for name, words in LOOKS.items():
        try:
            rows.append([name, *_cells(folder, {**words, "detector": "plates"}, options)])
        except FarmError as reason:
            raise Skipped(str(reason)) from reason
        print(f"plates: {name}", file=sys.stderr, flush=True)
    ran = (
        "Pictures of openalpr and of cars, each at its own size, with the thresholds that `--detector plates` has. "
        "A plate is found by a box that overlaps it by 0.3 (intersection over union)."
    )
    return Section("plates", "Licence plates on pictures", ran, [table(rows)])


def _cells(folder: Path, words: Mapping[str, Any], options: Options) -> list[str]:
    found, known, false, area, cells = 0, 0, 0.0, 0.0, []
    detector = detector_of(words)
    for name in SETS:
        pictures = annotated(folder, [name])[: options.limit or None]
        tally = look(detector, pictures)
        plates = sum(len(picture.boxes) for picture in pictures)
        cells.append(f"{len(tally.hits)} of {plates}")
        found, known = found + len(tally.hits), known + plates
        false, area = false + sum(covered for _, covered in tally.false), area + tally.area
    return [*cells, f"{100 * found / known:.1f}", f"{100 * false / area:.2f}"]
