"""Files as CVAT, Label Studio and others return them: key frames only, tracks numbered anew, drawn, moved, deleted."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from farm.domain.geometry import Box
from farm.domain.options import Override
from farm.domain.polygon import Polygon
from farm.domain.track import TrackedBox
from farm.errors import EditError
from farm.exchange.formats import FORMATS
from tests.exchanged import read, write

FRAMES = 11
#: Two faces in all frames; the first one moves by four pixels a frame.
MASKS = [
    [TrackedBox(3, Box(10.0 + 4 * n, 20, 30, 40), score=0.9), TrackedBox(5, Box(300, 200, 50, 60), score=0.8)]
    for n in range(FRAMES)
]


@pytest.fixture
def cvat(tmp_path: Path) -> Path:
    return write(tmp_path / "masks.xml", "cvat", MASKS)


@pytest.fixture
def studio(tmp_path: Path) -> Path:
    return write(tmp_path / "masks.json", "labelstudio", MASKS)


def boxes_of(path: Path, track: int) -> list[Box | None]:
    return [next((b.box for b in boxes if b.track == track), None) for boxes in read(path, FRAMES)]


def track_in(text: str, number: int) -> str:
    found: list[str] = re.findall(r"<track .*?</track>\n", text, re.DOTALL)
    return found[number]


def edited(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_between_key_frames_of_cvat_boxes_are_interpolated(cvat: Path) -> None:
    text = track_in(cvat.read_text(), 0)
    kept = re.sub(r'<box frame="([1-9])" .*?</box>\n', "", text)
    assert kept.count("<box") == 2
    edited(cvat, text, kept)
    assert boxes_of(cvat, 3) == [boxes[0].box for boxes in MASKS]


def test_a_track_of_cvat_without_an_end_is_seen_to_the_end(cvat: Path) -> None:
    text = track_in(cvat.read_text(), 1)
    edited(cvat, text, re.sub(r'<box frame="([1-9]|10)" .*?</box>\n', "", text))
    assert boxes_of(cvat, 5) == [MASKS[0][1].box] * FRAMES


def test_a_track_of_cvat_ends_where_it_is_outside_and_may_begin_again(cvat: Path) -> None:
    text = track_in(cvat.read_text(), 1)
    gone = re.sub(r'(<box frame="[3-6]" keyframe="1" outside=)"0"', r'\1"1"', text)
    edited(cvat, text, gone)
    assert [box is not None for box in boxes_of(cvat, 5)] == [not 3 <= n <= 6 for n in range(FRAMES)]


def test_a_track_that_was_deleted_in_cvat_is_gone(cvat: Path) -> None:
    edited(cvat, track_in(cvat.read_text(), 0), "")
    assert read(cvat, FRAMES) == [boxes[1:] for boxes in MASKS]


def test_a_box_that_was_moved_in_cvat_is_moved(cvat: Path) -> None:
    before = 'frame="4" keyframe="1" outside="0" occluded="0" xtl="26" ytl="20" xbr="56" ybr="60"'
    edited(cvat, before, 'frame="4" keyframe="1" outside="0" xtl="100.00" ytl="20.50" xbr="130.25" ybr="60.00"')
    found = read(cvat, FRAMES)
    assert found[4][0].box == Box(100, 20.5, 30.25, 39.5)
    assert found[:4] + found[5:] == MASKS[:4] + MASKS[5:]


def test_a_track_drawn_in_cvat_and_a_copy_of_one_get_numbers_of_their_own(cvat: Path) -> None:
    text = cvat.read_text()
    drawn = '<track id="2" label="plate" source="manual"><box frame="2" outside="0" xtl="1" ytl="2" xbr="3" ybr="4"/>'
    drawn += '<box frame="3" outside="1" xtl="1" ytl="2" xbr="3" ybr="4"/></track>'
    cvat.write_text(text.replace("</annotations>", f"{drawn}{track_in(text, 0)}</annotations>"))
    found = read(cvat, FRAMES)
    assert [(b.track, b.kind) for b in found[2]] == [(3, "face"), (5, "face"), (6, "plate"), (7, "face")]
    assert found[2][3].box == found[2][0].box
    assert [len(boxes) for boxes in found] == [3, 3, 4, *[3] * 8]


def studio_result(path: Path) -> tuple[Any, list[Any]]:
    task = json.loads(path.read_text())
    return task, task[0]["annotations"][0]["result"]


def test_between_key_frames_of_label_studio_boxes_are_interpolated(studio: Path) -> None:
    task, result = studio_result(studio)
    for region in result:
        sequence = region["value"]["sequence"]
        region["value"]["sequence"] = [sequence[0], sequence[4], sequence[-1]]
    studio.write_text(json.dumps(task))
    assert [[b.box for b in boxes] for boxes in read(studio, FRAMES)] == [[b.box for b in boxes] for boxes in MASKS]


def test_a_box_of_label_studio_lasts_while_it_is_enabled(studio: Path) -> None:
    task, result = studio_result(studio)
    sequence = result[0]["value"]["sequence"]
    result[0]["value"]["sequence"] = [sequence[1] | {"enabled": False}, sequence[6] | {"enabled": True}]
    del result[1]  # a deleted track
    studio.write_text(json.dumps(task))
    assert boxes_of(studio, 3) == [None, MASKS[1][0].box, *[None] * 4, *[MASKS[6][0].box] * 5]
    assert not any(boxes_of(studio, 5))


def test_a_region_of_label_studio_may_have_its_label_in_another_result(studio: Path) -> None:
    task, result = studio_result(studio)
    region = result[0]
    del region["value"]["labels"]
    region["id"] = "Xy12"
    result.append(
        {"id": "Xy12", "type": "labels", "value": {"sequence": region["value"]["sequence"], "labels": ["Plate"]}}
    )
    studio.write_text(json.dumps(task))
    found = read(studio, FRAMES)
    assert [(b.track, b.kind) for b in found[0]] == [(5, "face"), (6, "plate")]
    assert [boxes[1].box for boxes in found] == [boxes[0].box for boxes in MASKS]


def test_detections_of_another_program_in_coco(tmp_path: Path) -> None:
    images = [{"id": 7 - n, "width": 640, "height": 480} for n in range(3)]
    rows = [(6, 1, [1, 2, 3, 4]), (5, 2, [5.5, 6, 7, 8]), (6, 2, [9, 9, 9, 9])]
    annotations = [{"id": 9, "image_id": image, "category_id": c, "bbox": box} for image, c, box in rows]
    categories = [{"id": 1, "name": "Face"}, {"id": 2, "name": "plate"}]
    path = tmp_path / "d.json"
    path.write_text(json.dumps({"annotations": annotations, "images": images, "categories": categories}))
    found = read(path, 3)
    assert [[(b.track, b.kind, b.box.x) for b in boxes] for boxes in found] == [
        [(1, "plate", 5.5)], [(1, "face", 1), (2, "plate", 9)], [],
    ]  # fmt: skip


def test_detections_of_another_program_in_mot(tmp_path: Path) -> None:
    path = tmp_path / "det.txt"
    path.write_text("1,-1,10,20,30,40,25.3,-1,-1,-1\n1,-1,11,21,31,41,-2,-1,-1,-1\n3,4,1,2,3,4\n")
    with pytest.raises(EditError, match=r"mot needs the table det.frames.csv beside it"):
        read(path, 3)
    (tmp_path / "det.frames.csv").write_text("frame,time\n0,0\n1,0.041\n2,0.082\n")
    found = read(path, 3)
    assert [[(b.track, b.score, b.box.w) for b in boxes] for boxes in found] == [
        [(0, 1.0, 30), (1, 0.0, 31)], [], [(3, 0.0, 3)],
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["json", "csv", "coco", "cvat", "labelstudio"])
def test_a_polygon_whose_box_was_moved_is_that_box(form: str, tmp_path: Path) -> None:
    polygon = Polygon(((10, 20), (50, 20), (30.5, 60)))
    path = write(tmp_path / f"m{FORMATS[form].suffix}", form, [[TrackedBox(-1, polygon.bounds, polygon=polygon)]])
    assert read(path, 1)[0][0].polygon == polygon
    text = path.read_text()
    path.write_text(text.replace("10,20 50,20 30.5,60", "11,20 50,20 30.5,60"))
    assert read(path, 1)[0] == [TrackedBox(-1, polygon.bounds)]
    path.write_text(text.replace("10,20 50,20 30.5,60", "10,20 50,nan 30.5,60"))
    with pytest.raises(EditError, match=r"the corner 'nan' is not a number"):
        read(path, 1)


def test_what_a_picture_covers_comes_back_solid(tmp_path: Path) -> None:
    override = Override("image", "rectangle", None, "images/x")
    path = write(tmp_path / "m.csv", "csv", [[TrackedBox(1, Box(1, 2, 3, 4), override=override)]])
    assert read(path, 1)[0][0].override == Override("solid", "rectangle")
