"""Imported masks stand in place of the tracks; regions say where else nothing is covered."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.domain.artefacts import import_name, key_of
from farm.domain.edits import Action, Edit, KeyFrame, based, effective, load_edit
from farm.domain.geometry import Box, intersection_over_union, outside
from farm.domain.masks import allowed, apply, replaced
from farm.domain.track import FrameTracks, TrackedBox, number_in, number_text
from farm.errors import JobFailed
from tests.unit.domain.test_edits import BOXES, EVERY, FACE, FRAMES, covered, edit

KEY = key_of(import_name("a" * 64), "b" * 64)
LEFT, RIGHT = Box(0, 0, 50, 50), Box(90, 0, 50, 50)


def only(box: Box, begins: int | None = None, ends: int | None = None) -> Edit:
    return Edit(action=Action.ONLY, where=(KeyFrame(0, box),), begins=begins, ends=ends)


def imported(number: int) -> Edit:
    return Edit(action=Action.REPLACE, number=number, masks=KEY)


def test_only_what_touches_a_region_is_covered() -> None:
    assert covered([only(LEFT)]) == {1: EVERY}
    assert covered([only(LEFT), only(RIGHT)]) == {1: EVERY, 2: EVERY}
    assert covered([only(Box(200, 200, 5, 5))]) == {}
    for corner in (Box(30, 30, 5, 5), Box(5, 5, 5, 5), Box(30, 5, 5, 5), Box(5, 30, 5, 5)):
        assert covered([only(corner)]) == {1: EVERY}  # it touches


def test_a_region_leaves_the_rest_as_it_is_outside_its_time() -> None:
    assert covered([only(LEFT, begins=2, ends=4)]) == {1: EVERY, 2: [0, 1, *range(4, 10)]}
    assert covered([only(LEFT, begins=2, ends=4), only(RIGHT, begins=3, ends=8)]) == {
        1: [0, 1, 2, 3, 8, 9], 2: [0, 1, *range(3, 10)],
    }  # fmt: skip
    halves = [replace(frame, pts=2 * frame.pts) for frame in FRAMES]  # frames 4 and 8 show the edges of the time
    assert covered([only(LEFT, begins=5, ends=9)], halves)[2] == [0, 2, 4, 8, 10, 12, 14, 16, 18]


def test_what_was_added_and_what_is_covered_again_is_covered_outside_a_region_too() -> None:
    added = Edit(action=Action.COVER, where=(KeyFrame(0, Box(300, 300, 5, 5)),))
    assert covered([added, only(LEFT), edit(Action.RESTORE, track=2)]) == {1: EVERY, 2: EVERY, -1: EVERY}


@given(st.lists(BOXES, max_size=4), BOXES)
def test_more_regions_cover_no_less(regions: list[Box], one: Box) -> None:
    fewer = covered([only(box) for box in regions]) if regions else {}
    more = covered([only(box) for box in (*regions, one)])
    assert all(set(frames) <= set(more.get(track, [])) for track, frames in fewer.items())


def test_faces_outside_a_region_may_be_seen_in_an_audit() -> None:
    edits = [only(LEFT, begins=2, ends=4), only(RIGHT, begins=2, ends=3)]
    seen = {
        frame.pts: [area for area in allowed(edits, {}, frame, frame.pts + 1) if isinstance(area, Box)]
        for frame in FRAMES[:5]
    }
    assert not seen[0]
    assert not seen[4]
    for pts, inside in ((2, [LEFT, RIGHT]), (3, [LEFT])):
        assert all(intersection_over_union(free, box) == 0 for free in seen[pts] for box in inside)
    assert any(free.x <= 50 and free.x + free.w >= 90 for free in seen[2])
    assert any(free.x <= 50 and free.x + free.w >= 1000 for free in seen[3])


@given(st.lists(BOXES, max_size=4), st.floats(-50, 350), st.floats(-50, 350))
def test_a_point_is_either_in_a_box_or_outside_of_all(boxes: list[Box], x: float, y: float) -> None:
    def holds(box: Box) -> bool:
        return box.x <= x <= box.x + box.w and box.y <= y <= box.y + box.h

    free = outside(boxes)
    assert any(map(holds, [*boxes, *free]))
    assert all(intersection_over_union(one, box) == 0 for one in free for box in boxes)


def test_the_last_import_counts_and_what_follows_it() -> None:
    drop, keep = replace(edit(Action.DROP), number=1), replace(edit(Action.KEEP), number=3)
    assert based([drop, keep]) == (None, [drop, keep])
    assert based([drop, imported(2), keep]) == (KEY, [keep])
    other = replace(imported(4), masks=KEY.replace("b", "c"))
    assert based([drop, imported(2), keep, other]) == (other.masks, [])
    undone = effective([drop, imported(2), keep, other, Edit(action=Action.UNDO, number=5, undoes=4)])
    assert based(undone)[0] == KEY


def test_an_import_takes_the_boxes_and_nothing_else() -> None:
    other = [FrameTracks(pts, (TrackedBox(9, FACE),)) for pts in EVERY]
    tracks = [replace(frame, black=frame.pts == 3, sketch=str(frame.pts)) for frame in FRAMES]
    found = list(apply((), {}, replaced(tracks, other), 10))
    assert [(f.pts, f.black, f.sketch, [b.track for b in f.boxes]) for f in found] == [
        (pts, pts == 3, str(pts), [9]) for pts in EVERY
    ]


@pytest.mark.parametrize("wrong", [FRAMES[:-1], FRAMES[1:], [*FRAMES, FrameTracks(10, ())], []])
def test_an_import_of_other_frames_is_refused(wrong: list[FrameTracks]) -> None:
    with pytest.raises(JobFailed, match="of other frames"):
        list(replaced(FRAMES, wrong))


def test_an_import_is_read_as_it_was_written() -> None:
    assert load_edit(imported(0).body()) == imported(0)
    assert "masks" not in edit(Action.DROP).body()  # the names of masks that were made before stay the same
    undo = {"action": "undo", "undoes": 1, "masks": KEY}
    for body in ({"action": "replace"}, {"action": "replace", "masks": "x"}, undo):
        with pytest.raises(ValueError, match="replace, and nothing else, names the masks that it takes"):
            load_edit(body)


def test_a_track_is_named_as_it_is_shown() -> None:
    assert [number_in(number_text(track)) for track in (-12, 0, 3)] == [-12, 0, 3]
    for text in ("", "-3", "3.0", "++3", "x"):
        with pytest.raises(ValueError, match="use the number of a track, such as 3 or"):
            number_in(text)
