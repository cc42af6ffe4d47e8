"""Edits say what they mean or are refused in words; masks are what edits make of tracks, in doubt covered."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.domain.artefacts import image_name, key_of
from farm.domain.edits import OF_SOUND, OF_TRACKS, Action, Edit, KeyFrame, effective, load_edit
from farm.domain.geometry import Box
from farm.domain.masks import anchored, apply
from farm.domain.options import SHAPES, STYLES, Look, Override, RedactOptions
from farm.domain.polygon import Polygon
from farm.domain.track import FrameTracks, TrackedBox, dump_frame, load_frame, look_of

FACE = Box(10, 10, 20, 20)
#: Ten frames of one tick, two tracks that stand still.
FRAMES = [
    FrameTracks(pts, (TrackedBox(1, FACE, score=0.9), TrackedBox(2, FACE.moved(100, 0), score=0.8)))
    for pts in range(10)
]


def covered(edits: Sequence[Edit], frames: Sequence[FrameTracks] = FRAMES) -> dict[int, list[int]]:
    """By track, the frames that it covers."""
    numbered = [replace(edit, number=n) for n, edit in enumerate(edits, 1)]
    left = effective(numbered)
    found: dict[int, list[int]] = {}
    for mask in apply(left, anchored(left, frames), frames, frames[-1].pts + 1):
        for box in mask.boxes:
            found.setdefault(box.track, []).append(mask.pts)
    return found


def edit(action: Action, track: int | None = 1, at: int = 5, **more: Any) -> Edit:
    box = FACE if track == 1 else FACE.moved(100, 0)
    return Edit(action=action, where=(KeyFrame(at, box),), track=track, **more)


EVERY = list(range(10))


def test_without_edits_the_masks_are_the_tracks() -> None:
    assert list(apply((), {}, FRAMES, 10)) == FRAMES


@pytest.mark.parametrize("action", [Action.DROP, Action.KEEP])
def test_a_track_is_uncovered_and_the_other_is_not(action: Action) -> None:
    assert covered([edit(action)]) == {2: EVERY}


def test_the_last_edit_of_a_track_counts() -> None:
    assert covered([edit(Action.DROP), edit(Action.RESTORE)]) == {1: EVERY, 2: EVERY}
    assert covered([edit(Action.RESTORE), edit(Action.DROP)]) == {2: EVERY}
    assert covered([edit(Action.DROP), edit(Action.RESTORE, begins=4, ends=6)]) == {1: [4, 5], 2: EVERY}


def test_in_doubt_a_frame_is_covered() -> None:
    """Of frames that show the edge of a span: what uncovers leaves them covered, what covers takes them."""
    every_second = [replace(frame, pts=2 * frame.pts) for frame in FRAMES]
    drop = [edit(Action.DROP, at=8, begins=5, ends=11)]
    assert [pts for pts in (2 * n for n in EVERY) if pts not in covered(drop, every_second)[1]] == [6, 8]
    box = Edit(action=Action.COVER, where=(KeyFrame(0, FACE),), begins=5, ends=11)
    assert covered([box], every_second)[-1] == [4, 6, 8, 10]


def test_undo_and_redo() -> None:
    drop, undo = edit(Action.DROP), Edit(action=Action.UNDO, undoes=1)
    assert covered([drop, undo]) == {1: EVERY, 2: EVERY}
    assert covered([drop, undo, Edit(action=Action.UNDO, undoes=2)]) == {2: EVERY}
    assert covered([drop, undo, Edit(action=Action.UNDO, undoes=2), Edit(action=Action.UNDO, undoes=3)])[1] == EVERY


def test_a_cover_moves_between_its_key_frames_and_stays_outside_of_them() -> None:
    keys = (KeyFrame(2, Box(0, 0, 10, 10)), KeyFrame(6, Box(40, 0, 20, 10)))
    masks = apply(
        [Edit(action=Action.COVER, number=3, where=keys)], {}, [FrameTracks(pts, ()) for pts in range(10)], 10
    )
    boxes = [mask.boxes[0].box for mask in masks]
    assert [box.x for box in boxes] == [0, 0, 0, 10, 20, 30, 40, 40, 40, 40]
    assert [box.w for box in boxes] == [10, 10, 10, 12.5, 15, 17.5, 20, 20, 20, 20]


def test_ignored_is_what_lies_wholly_inside() -> None:
    around = Edit(action=Action.IGNORE, where=(KeyFrame(0, Box(0, 0, 50, 50)),))
    assert covered([around]) == {2: EVERY}
    assert covered([around, edit(Action.RESTORE)]) == {1: EVERY, 2: EVERY}
    part = Edit(action=Action.IGNORE, where=(KeyFrame(0, Box(0, 0, 29, 50)),))
    assert covered([part]) == {1: EVERY, 2: EVERY}


def test_an_edit_finds_its_track_by_place_whatever_its_number() -> None:
    drop = edit(Action.DROP)
    renumbered = [
        replace(f, boxes=tuple(replace(b, track=b.track + 40, box=b.box.moved(3, 0)) for b in f.boxes)) for f in FRAMES
    ]
    assert covered([drop], renumbered) == {42: EVERY}
    gone = [replace(f, boxes=tuple(b for b in f.boxes if b.track != 1)) for f in FRAMES]
    assert anchored([replace(drop, number=7)], gone) == {7: None}
    assert covered([drop], gone) == {2: EVERY}


def test_a_style_is_of_its_track_and_time_and_the_last_one_counts() -> None:
    first = edit(Action.STYLE, override=Override(style="solid", margin=0.5))
    later = edit(Action.STYLE, begins=4, ends=6, override=Override(style="pixelate"))
    box = Edit(action=Action.COVER, where=(KeyFrame(0, FACE),), override=Override(shape="rectangle"))
    numbered = [replace(one, number=n) for n, one in enumerate((first, later, box), 1)]
    masks = list(apply(numbered, anchored(numbered, FRAMES), FRAMES, 10))
    said = [{b.track: b.override for b in mask.boxes} for mask in masks]
    rectangle = Override(shape="rectangle")
    assert said[3] == {-3: rectangle, 1: Override("solid", None, 0.5), 2: None}
    assert said[4] == {-3: rectangle, 1: Override("pixelate", None, 0.5), 2: None}
    assert [load_frame(dump_frame(mask)) for mask in masks] == masks
    assert look_of(masks[4].boxes[1], RedactOptions()) == Look("pixelate", "ellipse", 0.5)


def test_all_of_a_box_that_was_added_is_covered() -> None:
    box = TrackedBox(-1, FACE)
    assert look_of(box, RedactOptions(margin=0.0)) == Look("blur", "rectangle", 0.06)
    assert look_of(box, RedactOptions(margin=0.5)) == Look("blur", "rectangle", 0.5)
    ellipse = replace(box, override=Override(shape="ellipse", margin=0.0))
    assert look_of(ellipse, RedactOptions()) == Look("blur", "ellipse", 0.06)
    assert look_of(replace(ellipse, track=1), RedactOptions()) == Look("blur", "ellipse", 0.0)


def test_black_frames_stay_black() -> None:
    frames = [replace(FRAMES[0], black=True)]
    assert [mask.black for mask in apply([edit(Action.DROP, at=0)], {0: 1}, frames, 1)] == [True]


BOXES: st.SearchStrategy[Any] = st.builds(
    Box, *(st.integers(0, 200) for _ in range(2)), *(st.integers(1, 100) for _ in range(2))
)
SPANS = st.tuples(st.none() | st.integers(0, 9), st.none() | st.integers(10, 20))


CORNERS = st.tuples(st.floats(0, 200), st.floats(0, 200))
POLYGONS = st.builds(Polygon, st.tuples(st.just((0.0, 0.0)), CORNERS, CORNERS, st.just((200.5, 200.5))))
AREAS: list[st.SearchStrategy[Any]] = [BOXES, POLYGONS]


OVERRIDES = st.builds(
    Override,
    st.sampled_from(STYLES),
    st.none() | st.sampled_from(SHAPES),
    st.none() | st.floats(0, 5),
    st.none() | st.just(key_of(image_name("ab" * 32), "ab" * 32)),
)


@st.composite
def edits(draw: st.DrawFn) -> Edit:
    action = draw(st.sampled_from([a for a in Action if a not in (Action.UNDO, Action.REPLACE)]))
    begins, ends = draw(SPANS)
    count = draw(st.integers(1, 3)) if action is Action.COVER else 1
    times = sorted(draw(st.sets(st.integers(0, 9), min_size=count, max_size=count)))
    drawn = draw(st.sampled_from(AREAS)) if action in (Action.COVER, Action.IGNORE) else BOXES
    where = tuple(KeyFrame.of(pts, draw(drawn).rounded()) for pts in times if action not in OF_SOUND)
    track = draw(st.integers(0, 9)) if action in OF_TRACKS else None
    override = draw(OVERRIDES) if action in (Action.STYLE, Action.COVER) else None
    return Edit(action=action, begins=begins, ends=ends, where=where, track=track, override=override)


@given(edits())
def test_an_edit_is_read_as_it_was_written(one: Edit) -> None:
    assert load_edit(one.body()) == one


@given(st.lists(edits(), max_size=6), st.integers(0, 9))
def test_a_frames_mask_depends_on_nothing_else(some: list[Edit], cut: int) -> None:
    """The masks of a part of the frames are those of the whole: the condition for any chunks."""
    numbered = [replace(one, number=n) for n, one in enumerate(some, 1)]
    anchors = anchored(numbered, FRAMES)
    whole = list(apply(numbered, anchors, FRAMES, 10))
    head = list(apply(numbered, anchors, FRAMES[:cut], cut))
    tail = list(apply(numbered, anchors, FRAMES[cut:], 10))
    assert head + tail == whole


GOOD: dict[str, Any] = {"action": "cover", "where": [[0, 1, 2, 3, 4]]}


@pytest.mark.parametrize(
    ("wrong", "line"),
    [
        (
            {"action": "hide"},
            f"no edit is called 'hide'; use {', '.join(Action)}",
        ),
        ({"colour": 1}, "an edit has no colour"),
        ({"where": []}, "cover takes one box"),
        ({"where": [[0, 1, 2, 3]]}, "a key frame is [time, x, y, w, h]"),
        ({"where": [[0.5, 1, 2, 3, 4]]}, "time: 0.5 is not a whole number"),
        ({"where": [[0, 1, 2, float("nan"), 4]]}, "a box has numbers of at most 1000000"),
        ({"where": [[0, 1, 2, float("inf"), 4]]}, "a box has numbers of at most 1000000"),
        ({"where": [[0, 1, 2, 0, 4]]}, "a box has a width and a height above 0"),
        ({"where": [[0, 1, 2, True, 4]]}, "a box is four numbers"),
        ({"where": [[0, [[1, 2], [3, 4]]]]}, "a polygon has 3 to 100 corners, not 2"),
        ({"where": [[0, [[1, 2]] * 101]]}, "a polygon has 3 to 100 corners, not 101"),
        ({"where": [[0, [[1, 2], [3, 4], [5]]]]}, "a polygon has corners of two numbers each"),
        ({"where": [[0, [[1, 2], [3, 4], [5, True]]]]}, "a polygon has corners of two numbers each"),
        ({"where": [[0, "triangle"]]}, "a polygon has corners of two numbers each"),
        ({"where": [[0, [[1, 2], [3, 4], [5, float("nan")]]]]}, "a polygon has numbers of at most 1000000"),
        ({"where": [[0, [[1, 2], [3, 2], [5, 2]]]]}, "a polygon has a width and a height above 0"),
        ({"where": [[0, [[1, 2], [3, 4], [5, 6]]], [1, 1, 2, 3, 4]]}, "key frames are all boxes, or all polygons"),
        ({"action": "keep", "where": [[0, [[1, 2], [3, 4], [5, 6]]]]}, "keep takes one box"),
        ({"where": [[5, 1, 2, 3, 4], [0, 1, 2, 3, 4]]}, "key frames are in order of time"),
        ({"where": [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]}, "key frames are in order of time"),
        ({"action": "drop", "where": [[0, 1, 2, 3, 4], [1, 1, 2, 3, 4]]}, "drop takes one box"),
        ({"from": 5, "to": 5}, "an edit ends after it begins"),
        ({"from": "soon"}, "from: 'soon' is not a whole number"),
        ({"kind": "dog"}, "'dog': no kind of box"),
        ({"action": "style"}, "style says how a track is covered"),
        ({"override": {}}, "{}: a style has image, margin, shape, style"),
        ({"override": {"colour": "red"}}, "a style has image, margin, shape, style"),
        ({"override": {"style": "emoji"}}, "redact.style"),
        ({"override": {"image": "images/logo.png"}}, "'images/logo.png': no picture in the store"),
        ({"override": {"margin": -1}}, "redact.margin"),
        ({"override": {"margin": float("nan")}}, "redact.margin"),
        ({"action": "drop", "override": {"style": "solid"}}, "drop has no style"),
        ({"undoes": 1}, "undo, and nothing else, names the edit that it undoes"),
        ({"action": "undo", "where": []}, "undo, and nothing else, names the edit that it undoes"),
    ],
)
def test_an_edit_that_means_nothing_is_refused_in_words(wrong: dict[str, Any], line: str) -> None:
    load_edit(GOOD)
    with pytest.raises(ValueError, match=re.escape(line)):
        load_edit({**GOOD, **wrong})
