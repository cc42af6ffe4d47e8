"""The arithmetic of `make quality`, proved without footage."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from farm.domain.detection import Detection
from farm.domain.geometry import Box
from farm.domain.track import FrameTracks, TrackedBox
from tests.quality.clips import misfit
from tests.quality.dense import compare
from tests.quality.footage import Annotated
from tests.quality.intervals import most_by_chance, wilson
from tests.quality.leak import Leak, Result, combined, falls, no_better, rows
from tests.quality.recall import Tally, counted, threshold_at
from tests.quality.recognition import search
from tests.quality.running import Redacted
from tests.quality.settings import DEFACE, Setting
from tests.quality.sizes import height_class, size_class


def test_wilson() -> None:
    assert wilson(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)
    assert wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.7225, 1), abs=1e-4)
    with pytest.raises(ValueError, match="3 of 2"):
        wilson(3, 2)


def test_most_by_chance() -> None:
    # binomial, 200 trials of 0.005: at least 3 with a probability of 8.0 %, at least 4 with 1.9 %
    assert most_by_chance(200, 1 / 200) == 3
    assert most_by_chance(10, 0.5) == 8  # at least 9: 1.07 %, at least 8: 5.5 %
    assert most_by_chance(5, 1) == 5


def test_a_face_is_found_only_before_all_others() -> None:
    gallery = np.eye(3, 4, dtype=np.float32)
    found = search(gallery[[0, 1, 1]], gallery)
    assert (found.hits, found.of) == (2, 3)
    assert search(np.full((3, 4), 0.5, np.float32), gallery).hits == 0  # a tie is no hit


def test_size_classes() -> None:
    assert [size_class(Box(0, 0, 50, side)) for side in (11.9, 12, 24, 48, 90)] == [
        None,
        "12-24",
        "24-48",
        "48+",
        "48+",
    ]
    assert [height_class(Box(0, 0, 5, side)) for side in (7, 8, 50, 500)] == [None, 8, 48, 96]


def result(name: str, clip: str, leaked: int, series: str = "size") -> Result:
    leak = Leak({"12-24": 100, "24-48": 50, "48+": 0}, {"12-24": leaked, "24-48": 1, "48+": 0}, 10, 20.0, 3, 1.0, 40.0)
    return Result(Setting(name, "farm", (), series), clip, leak, Redacted(Path("x"), 10, 30.0, 20.0))


def test_a_stronger_setting_that_covers_less_is_named() -> None:
    fine = [result("640", "a", 10), result("1280", "a", 10), result("640", "b", 9), result("1280", "b", 3)]
    assert falls(fine) == []
    assert falls([*fine, result("1920", "a", 11)]) == ["a, 12-24 px: `1920` leaks 1.00 points more than `1280`"]
    assert falls([result("640", "a", 3, ""), result("1280", "a", 10, "")]) == []


def test_a_preset_that_is_no_better_than_deface_is_named() -> None:
    rival = replace(result("deface", "a", 10), setting=DEFACE)
    assert no_better([rival, result("fast", "a", 9, "preset"), result("480", "a", 30)]) == []
    (line,) = no_better([rival, result("fast", "a", 10, "preset"), result("fast", "b", 30, "preset")])
    assert line == "a: `fast` leaks 7.33 %, `deface` 7.33 %"


def test_a_preset_has_limits_of_its_own() -> None:
    rival = replace(result("deface", "a", 50), setting=DEFACE)
    thorough = Setting("thorough", "farm", ("--quality", "thorough"), "preset")
    good = replace(result("", "a", 5), setting=thorough)
    assert no_better([rival, good]) == []
    bad = replace(good, leak=replace(result("", "a", 10).leak, outside=5.01))
    assert no_better([rival, bad]) == [
        "a: `thorough` leaks 7.33 %, a 5th of `deface` 6.80 %",
        "a: `thorough` changes 5.01 % outside, not 5 %",
    ]


def test_clips_together() -> None:
    both = combined([result("640", "a", 10), result("640", "b", 20)])
    assert both.leak.share() == pytest.approx(100 * 32 / 300)
    assert both.leak.share("12-24") == 15
    assert (both.leak.faces, both.leak.ever, both.made.detect) == (20, 20.0, 20.0)
    assert rows([both])[1][:5] == ["`640`", "10.67", "15.00", "2.00", "0.00"]


def test_a_picture_is_told_by_its_boxes() -> None:
    boxes = (Box(10, 10, 20, 30), Box(100, 40, 22, 28), Box(60, 90, 10, 12))
    other = (Box(10, 10, 25, 30), Box(120, 40, 22, 28), Box(60, 70, 10, 12))
    shown = [(n, [1.5 * (boxes[n].x - 5), 1.5 * boxes[n].y, 1.5 * boxes[n].w, 1.5 * boxes[n].h]) for n in (0, 2)]
    assert misfit(Annotated(Path("a"), (200, 200), boxes, boxes), shown) < 1e-6
    assert misfit(Annotated(Path("b"), (200, 200), other, other), shown) > 5
    assert misfit(Annotated(Path("c"), (200, 200), boxes[:2], boxes[:2]), shown) == float("inf")


def test_hits_and_false_boxes() -> None:
    faces = [Box(0, 0, 20, 20), Box(100, 0, 60, 60)]
    hard = Box(200, 0, 9, 9)
    found = [
        Detection(Box(1, 1, 20, 20), 0.9),
        Detection(Box(-1, 0, 20, 20), 0.8),  # the same face again
        Detection(hard, 0.7),
        Detection(Box(300, 0, 10, 10), 0.6),
    ]
    hits, false, by_height = counted(found, faces, [*faces, hard])
    assert hits == [(0.9, 16)]
    assert false == [(0.6, 100.0)]
    assert by_height == Counter({16: 1, 48: 1})


def test_threshold_at_an_area() -> None:
    tally = Tally([(0.9, 8), (0.2, 8)], [(0.8, 10.0), (0.5, 10.0), (0.3, 10.0)], Counter({8: 2}), 1000.0)
    assert threshold_at(tally, 0.02) == pytest.approx(0.3, abs=1e-6)
    assert threshold_at(tally, 0.02) > 0.3
    assert threshold_at(tally, 0.5) == 0.2


def test_compared_with_dense_looks() -> None:
    face, far = Box(100, 100, 40, 50), Box(400, 100, 20, 20)
    strong = [FrameTracks(n, (TrackedBox(0, face), TrackedBox(1, far))) for n in range(2)]
    weak = [FrameTracks(0, (TrackedBox(5, face),)), FrameTracks(1, (TrackedBox(5, face.moved(30, 0)),))]
    found = compare(strong, weak, (640, 360))
    assert found.seen == Counter({"24-48": 2, "12-24": 2})
    assert found.covered == Counter({"24-48": 1, "12-24": 0})
    assert 0 < found.beyond < 0.01
    with pytest.raises(ValueError, match="pts"):
        compare(strong, weak[::-1], (640, 360))
