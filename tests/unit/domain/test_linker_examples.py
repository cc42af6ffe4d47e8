"""Tracks of a camera that does not move, by example: gaps, holds, cuts, pairs."""

from collections.abc import Iterator

import pytest

from farm.domain.detection import Detection, FrameDetections
from farm.domain.geometry import Box
from farm.domain.linker import GROWTH, LOOKS, link
from farm.domain.options import LinkOptions
from tests.unit.domain.test_linker import FACE, OPTIONS, STRONG, TB, WEAK, centres, covers, frame, linked, shown


def test_a_gap_is_filled_along_the_line_between_its_ends() -> None:
    ends = {0: FACE, 400: FACE.moved(40, -20)}
    tracks = linked(frame(p, *[ends[p]] if p in ends else []) for p in range(0, 500, 100))
    line = [FACE.moved(10.0 * k, -5.0 * k) for k in range(5)]
    assert centres(tracks) == [[pytest.approx(box.centre, abs=0.01)] for box in line]
    assert all(covers(t.boxes[0].box, box) for t, box in zip(tracks, line, strict=True))
    assert {b.track for t in tracks for b in t.boxes} == {0}


def test_filling_goes_by_time_not_by_frames() -> None:
    ends = {0: FACE, 400: FACE.moved(40, 0)}
    tracks = linked(frame(p, *[ends[p]] if p in ends else []) for p in (0, 10, 300, 400))
    assert [x - FACE.centre[0] for ((x, _),) in centres(tracks)] == pytest.approx([0, 1, 30, 40], abs=0.01)


@pytest.mark.parametrize(("length", "filled"), [(1000, True), (1001, False)])
def test_a_gap_is_filled_up_to_its_limit(length: int, filled: bool) -> None:
    tracks = linked([frame(0, FACE), frame(500), frame(length, FACE)])
    assert shown(tracks) == ([0, 500, length] if filled else [0, length])


def test_a_track_is_held_before_and_after() -> None:
    tracks = linked(frame(p, *[FACE] if 1000 <= p <= 1100 else []) for p in range(0, 3000, 50))
    assert shown(tracks) == list(range(750, 1351, 50))


def test_a_hold_longer_than_the_gap() -> None:
    options = LinkOptions(gap=0.1, hold=0.5)
    tracks = linked((frame(p, *[FACE] if p == 1000 else []) for p in range(0, 3000, 100)), options)
    assert shown(tracks) == list(range(500, 1501, 100))


def test_what_is_held_longer_than_the_gap_is_not_continued() -> None:
    options = LinkOptions(gap=0.1, hold=0.5)
    tracks = linked([frame(0, FACE), frame(150), frame(300, FACE)], options)
    assert {b.track for t in tracks for b in t.boxes} == {0, 1}


def test_the_surest_pair_is_made_first() -> None:
    """Two tracks, then the second one's face alone: named first or not, the first track does not take it."""
    near, far = FACE, FACE.moved(25, 0)
    for second in (far.moved(-5, 0), far):
        tracks = linked([frame(0, near, far), frame(40, second)])
        assert tracks[1].boxes[-1].track == 1
        assert tracks[1].boxes[-1].box == second.grown(GROWTH)


def test_a_strong_detection_chooses_before_a_weak_one() -> None:
    weak, strong = Detection(FACE.moved(1, 0), WEAK), Detection(FACE.moved(15, 0), STRONG)
    tracks = linked([frame(0, FACE), FrameDetections(40, False, (weak, strong))])
    assert [(b.track, b.box) for b in tracks[1].boxes] == [(0, strong.box.grown(GROWTH))]


def test_a_held_box_moves_on_as_the_face_moved() -> None:
    tracks = linked(frame(p, *[FACE.moved(p / 10, 0)] if 500 <= p <= 900 else []) for p in range(0, 2000, 50))
    expected = [FACE.moved(p / 10, 0) for p in range(250, 1151, 50)]
    assert centres(t for t in tracks if t.boxes) == [[pytest.approx(box.centre, abs=0.01)] for box in expected]


def test_neither_fill_nor_hold_crosses_a_cut() -> None:
    times = range(0, 2000, 50)
    tracks = linked(frame(p, *[FACE] if p in (900, 1200) else [], cut=p == 1000) for p in times)
    assert shown(tracks) == [*range(650, 1000, 50), *range(1000, 1451, 50)]
    before = {b.track for t in tracks if t.pts < 1000 for b in t.boxes}
    after = {b.track for t in tracks if t.pts >= 1000 for b in t.boxes}
    assert (before, after) == ({0}, {1})


def test_a_cut_on_the_frame_of_a_face_keeps_the_face() -> None:
    assert shown(linked([frame(0), frame(40, FACE, cut=True), frame(80, cut=True)])) == [40]


def test_weak_detections_continue_a_track_on_both_sides_of_a_strong_one() -> None:
    scores = {400: WEAK, 500: STRONG, 600: WEAK, 700: WEAK}
    tracks = linked(frame(p, *[FACE] if p in scores else [], score=scores.get(p, 0)) for p in range(0, 1500, 50))
    assert shown(tracks) == list(range(150, 951, 50))
    assert {b.track for t in tracks for b in t.boxes} == {0}


def test_a_fast_face_is_one_track() -> None:
    """It moves by eight tenths of its width a frame: the boxes hardly overlap."""
    tracks = linked(frame(p, FACE.moved(32 * k, 0)) for k, p in enumerate(range(0, 400, 40)))
    assert {b.track for t in tracks for b in t.boxes} == {0}


def test_two_faces_that_cross_keep_their_tracks() -> None:
    def at(k: int) -> list[Box]:
        return [Box(10.0 * k, 0, 30, 30), Box(300 - 10.0 * k, 0, 30, 30)]

    tracks = linked(frame(40 * k, *([] if 13 <= k <= 16 else at(k))) for k in range(31))
    expected = [[pytest.approx(box.centre, abs=0.02) for box in at(k)] for k in range(31)]
    assert centres(tracks) == expected


def test_frames_that_go_back_in_time_are_refused() -> None:
    with pytest.raises(ValueError, match="pts 0 after 0"):
        linked([frame(0), frame(0)])


def test_memory_is_bounded_by_the_delay() -> None:
    """An endless video: what is remembered after a long time is what was remembered after a short one."""
    taken = 0

    def endless() -> Iterator[FrameDetections]:
        nonlocal taken
        while True:
            yield frame(taken * 40, FACE, FACE.moved(200, 0), cut=taken % 1000 == 999)
            taken += 1

    outputs = link(endless(), TB, OPTIONS)
    for done in range(1, 5000):
        next(outputs)
        assert taken - done <= 25 + LOOKS  # a second, and looks
