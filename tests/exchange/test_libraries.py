"""Datumaro and Label Studio's SDK read what the farm writes, and the farm what they write (make exchange)."""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from farm.domain.geometry import Box
from farm.domain.options import Override
from farm.domain.track import TrackedBox
from farm.exchange.formats import table_beside
from tests.exchanged import Masks, read, write

pytestmark = pytest.mark.exchange

PYTHON = os.environ.get("FARM_EXCHANGE_PYTHON")
SCRIPT = Path(__file__).with_name("convert.py")
FRAMES = 40
STYLE = Override("solid", None, 0.25)
#: A face that moves and pauses, a plate in a part of the frames, and a box that an edit added.
MASKS = [
    [
        *([TrackedBox(-2, Box(500, 400.5, 20, 20), score=0.0)] if n > 30 else []),
        *([TrackedBox(0, Box(10.25 + 3 * n, 20.5, 30.75, 40), score=0.875)] if n % 20 < 15 else []),
        *([TrackedBox(4, Box(300, 200.01 + n, 50, 60), "plate", 0.5, STYLE)] if 5 <= n < 25 else []),
    ]
    for n in range(FRAMES)
]


def ask(*words: object) -> Any:
    """What the script says, in the environment of the libraries."""
    if not PYTHON:
        pytest.fail("FARM_EXCHANGE_PYTHON names no environment with datumaro and label-studio-sdk: make exchange")
    done = subprocess.run(
        [PYTHON, "-W", "ignore", SCRIPT, *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def boxes(masks: Masks) -> list[list[tuple[str, Box]]]:
    return [[(b.kind, Box(*map(float, (b.box.x, b.box.y, b.box.w, b.box.h)))) for b in frame] for frame in masks]


def in_any_order(masks: Masks) -> list[list[tuple[str, Box]]]:
    return [sorted(frame, key=str) for frame in boxes(masks)]


def rounded(rows: list[list[Any]]) -> list[tuple[str, Box]]:
    """Boxes, which Datumaro keeps in 32 bits, to the hundredth of a pixel."""
    return [(row[0], Box(*row[1:5]).rounded()) for row in rows]


def test_coco(tmp_path: Path) -> None:
    (tmp_path / "in" / "images").mkdir(parents=True)
    (tmp_path / "in" / "annotations").mkdir()
    write(tmp_path / "in" / "annotations" / "instances_default.json", "coco", MASKS)
    rows = ask("datumaro", "coco_instances", tmp_path / "in", tmp_path / "out")
    assert [sorted(rounded(rows[f"frame_{n:06}"]), key=str) for n in range(FRAMES)] == in_any_order(MASKS)
    assert read(tmp_path / "out" / "annotations" / "instances_default.json", FRAMES) == MASKS


def test_mot(tmp_path: Path) -> None:
    (tmp_path / "in" / "gt").mkdir(parents=True)
    (tmp_path / "in" / "gt" / "labels.txt").write_text("face\nplate\n")
    path = write(tmp_path / "in" / "gt" / "gt.txt", "mot", MASKS)
    rows = ask("datumaro", "mot_seq", tmp_path / "in", tmp_path / "out")
    assert [rounded(rows.get(str(n + 1), [])) for n in range(FRAMES)] == boxes(MASKS)
    again = tmp_path / "out" / "gt" / "gt.txt"
    shutil.copy(table_beside(path), table_beside(again))
    found = read(again, FRAMES)  # Datumaro numbers tracks anew
    assert in_any_order(found) == in_any_order(MASKS)


def test_cvat(tmp_path: Path) -> None:
    write(tmp_path / "annotations.xml", "cvat", MASKS)
    rows = ask("datumaro", "cvat", tmp_path / "annotations.xml")
    shown = [[row for row in rows.get(f"frame_{n:06}", []) if not row[5]["outside"]] for n in range(FRAMES)]
    assert [rounded(frame) for frame in shown] == boxes(MASKS)
    assert shown[0][0][5]["score"] == "0.875"


def test_label_studio(tmp_path: Path) -> None:
    path = write(tmp_path / "masks.json", "labelstudio", MASKS)
    every = tmp_path / "every.json"
    assert ask("studio", path, every) is True
    assert read(every, FRAMES) == MASKS  # there was nothing to interpolate


def test_key_frames_of_label_studio_are_interpolated_as_its_sdk_does(tmp_path: Path) -> None:
    path = write(tmp_path / "masks.json", "labelstudio", MASKS)
    tasks = json.loads(path.read_text())
    for region in tasks[0]["annotations"][0]["result"]:
        sequence = region["value"]["sequence"]
        region["value"]["sequence"] = [k for k in sequence if k["frame"] % 7 == 1 or not k["enabled"]]
    path.write_text(json.dumps(tasks))
    every = tmp_path / "every.json"
    ask("studio", path, every)
    found = read(path, FRAMES)
    assert boxes(found) == boxes(read(every, FRAMES))
    assert 0 < sum(map(len, found)) < sum(map(len, MASKS)) + FRAMES
    assert found[0] == [replace(box, override=None) for box in MASKS[0]]
