"""A file that is damaged, or about another video, is refused in one line, and with little memory."""

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from farm.domain.geometry import Box
from farm.domain.track import TrackedBox
from farm.errors import EditError
from farm.exchange.base import LARGEST
from farm.exchange.bounded import json_values
from farm.exchange.formats import FORMATS, format_named, format_of, table_beside
from tests.exchanged import read, write

MASKS = [[TrackedBox(3, Box(10 + n, 20, 30, 40), score=0.9)] for n in range(3)] + [[]]
FRAMES = len(MASKS)

_FILES = {
    "json": [
        ('"sha256": "a', '"sha256": "b', "was made for another source: clip & <b>.mp4"),
        ('"width": 640', '"width": 1280', "is of pictures of 1280 x 480 pixels, the video has 640 x 480"),
        ('"frames": 4', '"frames": 5', "has 5 frames, the video has 4"),
        ('"pts": 41', '"pts": 40', "frame 1 has pts 40, in the video 41"),
        ('"time": 0.041', '"time": 0.05', "frame 1 is at 0.05 s, in the video at 0.041000 s"),
        ('"frame": 1', '"frame": 2', "frame 1 is missing"),
        ('"frame": 1', '"frame": 0', "frame 0 is there twice"),
        ('"x": 11.0', '"x": NaN', "is no JSON: "),
        ('"x": 11.0', '"x": 1e999', "is no JSON: "),
        ('"x": 11.0', '"x": null', "frame 1, box 1: the coordinate None is not a number"),
        ('"x": 11.0', '"x": 1e7', "frame 1, box 1: a box has numbers of at most 1000000"),
        ('"w": 30.0', '"w": -30.0', "frame 0, box 1: a box has a width and a height above 0"),
        ('"h": 40.0', '"h": 0', "frame 0, box 1: a box has a width and a height above 0"),
        ('"kind": "face"', '"kind": "dog"', "frame 0, box 1: the label is 'dog'; use face or plate"),
        ('"score": 0.9', '"score": 1.5', "frame 0, box 1: the score 1.5 is not between 0 and 1"),
        ('"score": 0.9', '"score": 0.9, "style": "fog"', 'frame 0, box 1: style: "fog" is not valid; choose blur'),
        ('"track": 3', '"track": "three"', "track 'three' is not a whole number"),
        ('"boxes": [{', '"boxes": {"a": [{', "is no JSON: "),
        ('"boxes": []}', '"boxes": 4}', "frame 3 has no list of boxes"),
        ('"blurfarm masks 1"', '"blurfarm masks 2"', "is no JSON of COCO's, of Label Studio's or of `farm detections`"),
        ("\n]}\n", "\n", "is no JSON: "),
        ("\n]}\n", "\n]}{}", "is no JSON: "),
    ],
    "csv": [
        ("frame,pts", "number,pts", "masks.csv needs the columns frame, x, y, w, h, and may have"),
        ("score,style", "score,score", "its first line is 'frame,pts,time"),
        ("1,41,0.041", "1,40,0.041", "frame 1 has pts '40', in the video 41"),
        ("1,41,0.041000", "1,41,0.5", "frame 1 is at '0.5' s"),
        ("1,41,0.041", "2,82,0.082", "frame 1 is missing before frame 2 (sort the lines by frame)"),
        ("3,120,", "2,82,", "frame 2 is there twice, once without a box"),
        ("3,120,0.120000,,,,,,,,,,,\n", "", "has 3 frames, the video has 4"),
        ("face,10,", "face,nan,", "frame 0, box 1: the coordinate 'nan' is not a number"),
        ("face,10,", "face,,", "frame 0, box 1: the coordinate '' is not a number"),
        (",3,face,11", ",3,face,11,11", "line 3 has 15 columns, not 14"),
        ("0,0,0.000000,3", "0,0,0.000000,3,face,1,1,1,1,,,,,\n0,0,0.000000,3", "frame 0 has track 3 twice"),
    ],
    "coco": [
        ('"width": 640', '"width": 320', "is of pictures of 320 x 480 pixels"),
        ('"id": 2, "file_name"', '"id": 1, "file_name"', "frame 1 is there twice"),
        ('"id": 4, "file_name"', '"id": 9, "file_name"', "has 4 images with ids from 1 to 9"),
        ('"image_id": 3', '"image_id": 7', "has a box in frame 7; the video has frames 1 to 4"),
        ('"category_id": 1', '"category_id": 8', "annotation 1: the label is None; use face or plate"),
        ('"bbox": [10.0, ', '"bbox": [', "annotation 1: has no bbox of x, y, width and height"),
        ('"track_id": 3', '"of": 3', "annotation 2: either all annotations have a track_id, or none"),
    ],
    "mot": [
        ("1,4,10", "1,4", "a line of MOT has 6, 7, 9 or 10 numbers"),
        ("2,4,11", "9,4,11", "has a box in frame 9; the video has frames 1 to 4"),
        ("2,4,11", "1,4,11", "frame 1 has track 3 twice"),
        ("0.9,1,1", "0.9,7,1", "class 7; 1 is face, 2 is plate"),
        ("1,4,10", "1;4;10", "frame '1;4;10' is not a whole number"),
    ],
    "cvat": [
        ("<size>4<", "<size>40<", "has 40 frames, the video has 4"),
        ("<size>4</size>", "", "does not say how many frames it is about"),
        ("<width>640<", "<width>64<", "is of pictures of 64 x 480 pixels"),
        ("<frame_filter>", "<frame_filter>step=2", "is about a part of the frames: frame_filter is 'step=2'"),
        ('<box frame="1"', '<box frame="0"', "frame 0 has track 0 twice"),
        ('<box frame="1"', '<box frame="10"', "the video has 4 frames, from 0 on"),
        ('xtl="11"', 'xtl="inf"', "frame 1, track 0 of CVAT's: xtl 'inf' is not a number"),
        ('xbr="41"', 'xbr="1"', "frame 1, track 0 of CVAT's: a box has a width and a height above 0"),
        ("<box ", '<box rotation="45" ', "the box is rotated: only upright ones are read"),
        ("</track>", '<polygon frame="1" points="1,2"/></track>', "has a polygon in a track of CVAT's"),
        ("</meta>", '</meta><image id="0"/>', 'is "CVAT for images" (export the task as "CVAT for video 1.1")'),
        ("annotations", "annotation", "is not from CVAT: it begins with <annotation>"),
        ('label="face"', 'label="person"', "track '0': the label is 'person'; use face or plate"),
        ("</annotations>", "", "is no XML: "),
        ("utf-8", "klingon", "is no XML: "),
    ],
    "labelstudio": [
        ('"framesCount": 4', '"framesCount": 100', "has 100 frames, the video has 4"),
        ('"frame": 1,', '"frame": 0,', "frame 0, result 1: the video has 4 frames, from 1 on"),
        ('"rotation": 0', '"rotation": 5', "the box is rotated"),
        ('"labels": ["face"]', '"labels": ["person"]', "region 'track3': the label is 'person'"),
        ('"videorectangle"', '"videopolygon"', "has a result of the type 'videopolygon'"),
        ("]}]}]", "]}, {}]}]", "has 1 tasks with 2 annotations: one of one is read"),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("form", "before", "after", "said"), [(form, *row) for form, rows in _FILES.items() for row in rows]
)
def test_a_file_is_refused_in_a_line_that_says_why(
    form: str, before: str, after: str, said: str, tmp_path: Path
) -> None:
    path = write(tmp_path / f"masks{FORMATS[form].suffix}", form, MASKS)
    text = path.read_text()
    assert before in text
    every = before in ("annotations", '"framesCount": 4')
    path.write_text(text.replace(before, after, -1 if every else 1))
    with pytest.raises(EditError) as refused:
        read(path, FRAMES)
    line = str(refused.value)
    assert said in line
    assert path.name in line
    assert "\n" not in line


@pytest.mark.parametrize("form", ["coco", "mot", "cvat", "labelstudio"])
def test_the_table_of_frames_is_compared_with_the_video(form: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"masks{FORMATS[form].suffix}", form, MASKS)
    table = table_beside(path)
    table.write_text(table.read_text().replace("1,41,", "1,43,"))
    with pytest.raises(EditError, match=r"masks.*: frame 1 has pts '43', in the video 41"):
        read(path, FRAMES)
    table.unlink()
    if form != "mot":  # which says nothing of the video itself
        assert read(path, FRAMES) == MASKS


def test_names_and_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(EditError, match=r"'yolo' is no format of masks \(use json, csv, coco, mot, cvat, labels"):
        format_named("yolo")
    with pytest.raises(EditError, match=r"masks.bin: its format is not known by its name \(use --format: json"):
        format_of(tmp_path / "masks.bin")
    for path in (tmp_path, tmp_path / "gone.json"):
        with pytest.raises(EditError, match=r": is no file"):
            read(path, FRAMES)
    binary = tmp_path / "m.csv"
    binary.write_bytes(b"\xff\xfe\x00" * 100)
    with pytest.raises(EditError, match=r"m\.csv is no text in UTF-8"):
        read(binary, FRAMES)


def _bomb(path: Path) -> Path:
    lines = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 9))
    path.write_text(f'<!DOCTYPE x [<!ENTITY l0 "lol">{lines}]><annotations>&l8;</annotations>')
    return path


def _outside(path: Path) -> Path:
    path.write_text('<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><annotations>&e;</annotations>')
    return path


def _huge(path: Path) -> Path:
    with path.open("wb") as file:
        file.truncate(LARGEST + 1)
    return path


def _filled(begin: str, middle: str, count: int, end: str = "") -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        path.write_text(begin + middle * count + end)
        return path

    return make


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("m.xml", _bomb, "has a document type or entities, which are not read (remove them)"),
        ("m.xml", _outside, "has a document type or entities"),
        ("m.json", _huge, f"has {LARGEST + 1} bytes; {LARGEST} are read at most"),
        ("m.json", _filled('[{"a":"', "x", 8 << 20, '"}]'), "has a part of more than 1048576 bytes in one piece"),
        ("m.json", _filled('{"categories":', "[", 4 << 20), "has values that are nested more than 32 deep"),
        ("m.json", _filled('[{"data":{"a":[', "1,", 1 << 20, "1]}}]"), "has more than 262144 values in item.data"),
        ("m.xml", _filled("<annotations>", "<a>", 1 << 20), "has elements that are nested more than 32 deep"),
        ("m.xml", _filled('<annotations a="', "x", 8 << 20, '"/>'), "has a part of more than 1048576 bytes"),
        ("m.csv", _filled("frame,x,y,w,h\n", "1", 8 << 20), "has a line of more than 1048576 characters"),
    ],
)  # fmt: skip
def test_a_hostile_file_costs_little_memory(name: str, make: Callable[[Path], Path], said: str, tmp_path: Path) -> None:
    path = make(tmp_path / name)
    tracemalloc.start()
    try:
        with pytest.raises(EditError) as refused:
            read(path, FRAMES)
        assert tracemalloc.get_traced_memory()[1] < 160 << 20
    finally:
        tracemalloc.stop()
    assert said in str(refused.value)


def test_what_is_not_wanted_of_a_json_file_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_text(json.dumps({"other": [{"a": 1}] * 50_000, "wanted": {"b": [1, {"c": None}]}}))
    tracemalloc.start()
    try:
        assert list(json_values(path, {"wanted", "wanted.b.item"})) == [
            ("wanted.b.item", 1), ("wanted.b.item", {"c": None}), ("wanted", {"b": []}),
        ]  # fmt: skip
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
