"""Tracks: nothing clear is left uncovered, nothing crosses a cut, and chunks leave no trace."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.domain.detection import BIRTH, PLATE, Detection, FrameDetections, joined
from farm.domain.geometry import Box
from farm.domain.linker import CLEAR, LOOKS, link
from farm.domain.motion import Motion
from farm.domain.options import LinkOptions
from farm.domain.track import FrameTracks
from tests.unit.domain.test_detection import chunked

TB = Fraction(1, 1000)  # a tick is a millisecond
OPTIONS = LinkOptions(gap=1.0, hold=0.25)
FACE = Box(100.0, 100.0, 40.0, 50.0)
STRONG, WEAK = 0.9, 0.4


def frame(pts: int, *boxes: Box, score: float = STRONG, cut: bool = False) -> FrameDetections:
    return FrameDetections(pts, cut, tuple(Detection(box, score) for box in boxes))


def linked(frames: Iterable[FrameDetections], options: LinkOptions = OPTIONS) -> list[FrameTracks]:
    return list(link(iter(frames), TB, options))


def shown(tracks: Sequence[FrameTracks]) -> list[int]:
    """The pts of the frames that are covered."""
    return [f.pts for f in tracks if f.boxes]


def centres(tracks: Iterable[FrameTracks]) -> list[list[tuple[float, float]]]:
    """The centres of each frame's boxes: boxes are a little larger than what was found, about the same centre."""
    return [[b.box.centre for b in t.boxes] for t in tracks]


def covers(outer: Box, inner: Box) -> bool:
    """Whether one box lies in the other, to the rounding of an artefact."""
    e = 0.02
    return (
        outer.x <= inner.x + e
        and outer.y <= inner.y + e
        and outer.x + outer.w >= inner.x + inner.w - e
        and outer.y + outer.h >= inner.y + inner.h - e
    )


boxes = st.builds(
    Box,
    x=st.floats(-20, 200, width=16),
    y=st.floats(-20, 100, width=16),
    w=st.floats(1, 60, width=16),
    h=st.floats(1, 60, width=16),
)
detections = st.builds(
    Detection, box=boxes, score=st.floats(0.0625, 1, width=16), kind=st.sampled_from(["face", PLATE])
)
link_options = st.builds(
    LinkOptions,
    gap=st.sampled_from([0.0, 0.1, 0.25, 1.0]),
    hold=st.sampled_from([0.0, 0.1, 0.25, 1.0]),
)


motions = st.builds(
    Motion,
    a=st.sampled_from([1.0, 0.98, 1.05]),
    b=st.sampled_from([0.0, 0.01, -0.05]),
    tx=st.floats(-30, 30, width=16),
    ty=st.floats(-30, 30, width=16),
)


@st.composite
def streams(draw: st.DrawFn) -> list[FrameDetections]:
    """Frames at irregular times, some of them the first of a shot, and some that nobody looked at."""
    pts = draw(st.integers(-1000, 1000))
    frames = []
    for _ in range(draw(st.integers(0, 40))):
        found = draw(st.none() | st.lists(detections, max_size=3).map(tuple))
        cut = draw(st.integers(0, 9)) == 0
        frames.append(FrameDetections(pts, cut, found, motion=None if cut else draw(st.none() | motions)))
        pts += draw(st.sampled_from([1, 17, 33, 34, 120, 700, 1500]))
    return frames


def found_in(frame: FrameDetections) -> tuple[Detection, ...]:
    return frame.detections or ()


def shots(frames: Sequence[FrameDetections]) -> list[list[FrameDetections]]:
    parts: list[list[FrameDetections]] = []
    for f in frames:
        if f.cut or not parts:
            parts.append([])
        parts[-1].append(f)
    return parts


@given(streams(), link_options)
def test_one_output_a_frame_in_order_and_every_clear_detection_covered(
    frames: list[FrameDetections], options: LinkOptions
) -> None:
    tracks = linked(frames, options)
    assert [t.pts for t in tracks] == [f.pts for f in frames]
    for found, covered in zip(frames, tracks, strict=True):
        for d in found_in(found):
            if d.score >= CLEAR:
                assert any(covers(b.box, d.box) for b in covered.boxes)


@given(
    st.lists(st.sampled_from([17, 40, 200, 1000]), min_size=1, max_size=40),
    st.integers(1, 8),
    st.floats(BIRTH, 1),
    link_options,
    st.sampled_from([None, (640, 360)]),
)
def test_a_face_that_looks_like_one_time_and_again_is_covered_from_its_first_look_on(
    times: list[int], every: int, score: float, options: LinkOptions, size: tuple[int, int] | None
) -> None:
    """None of its looks is clear, and each frame waits until they have been, whatever the gap and the frame rate."""
    face = (Detection(FACE, score),)
    frames = [
        FrameDetections(pts, False, None if at % every else face) for at, pts in enumerate(accumulate(times, initial=0))
    ]
    assert all(covers(t.boxes[0].box, FACE) for t in link(iter(frames), TB, options, size))


@pytest.mark.parametrize(
    ("scores", "is_shown"),
    [
        ([CLEAR], True),
        ([CLEAR - 0.01], False),
        ([0, 0.6, 0.6, 0], True),
        ([0, 0.6, WEAK, 0.4], False),
        ([0.5, WEAK, WEAK, 0.5, WEAK, 0.5], True),
    ],
)
def test_what_weakly_looks_like_a_face_is_shown_if_it_does_so_again(scores: list[float], is_shown: bool) -> None:
    frames = [frame(40 * k, *[FACE] * bool(score), score=score) for k, score in enumerate([*scores, 0, 0, 0])]
    assert bool(shown(linked(frames))) == is_shown


def test_a_shot_of_few_looks_has_to_do_with_them() -> None:
    frames = [frame(40 * k, FACE, score=BIRTH) for k in range(LOOKS - 1)]
    assert shown(linked([*frames, frame(40 * LOOKS, cut=True)])) == [f.pts for f in frames]


@given(streams(), link_options)
def test_a_track_is_in_a_frame_once_and_numbers_follow_their_births(
    frames: list[FrameDetections], options: LinkOptions
) -> None:
    for t in linked(frames, options):
        numbers = [b.track for b in t.boxes]
        assert numbers == sorted(set(numbers))
    births = sum(d.score >= BIRTH for f in frames for d in found_in(f))
    assert {b.track for t in linked(frames, options) for b in t.boxes} <= set(range(births))


@given(streams(), link_options)
def test_a_shot_does_not_know_its_neighbours(frames: list[FrameDetections], options: LinkOptions) -> None:
    alone = [t for shot in shots(frames) for t in linked(shot, options)]
    together = linked(frames, options)
    assert [[b.box for b in t.boxes] for t in alone] == [[b.box for b in t.boxes] for t in together]


def test_a_plate_never_continues_a_face() -> None:
    plate = Detection(FACE, WEAK, PLATE)
    (first, second) = linked([frame(0, FACE), FrameDetections(40, False, (Detection(FACE, STRONG), plate))])
    assert [b.kind for b in first.boxes] == ["face"]
    assert [b.kind for b in second.boxes] == ["face"]
    alone = linked([frame(0, FACE), FrameDetections(40, False, (replace(plate, score=STRONG),))])
    assert [(b.track, b.kind) for b in alone[1].boxes] == [(0, "face"), (1, PLATE)]


@given(streams(), link_options)
def test_weak_detections_alone_cover_nothing(frames: list[FrameDetections], options: LinkOptions) -> None:
    weak = [replace(f, detections=tuple(d for d in found_in(f) if d.score < BIRTH)) for f in frames]
    assert shown(linked(weak, options)) == []


@given(streams(), link_options)
def test_frames_wait_no_longer_than_gap_or_hold(frames: list[FrameDetections], options: LinkOptions) -> None:
    """Or for as many looks as a track needs."""
    delay = round(max(options.gap, options.hold) * 1000)
    done = 0

    def source() -> Iterator[FrameDetections]:
        for k, f in enumerate(frames):
            cut = max((at for at in range(k) if frames[at].cut), default=0)
            looks = [f.pts for f in frames[cut:k] if f.detections is not None]
            settled = looks[-LOOKS] - round(options.hold * 1000) if len(looks) >= LOOKS else -inf
            until = min(frames[k - 1].pts - delay, settled)
            due = max(cut, sum(earlier.pts <= until for earlier in frames[:k]))
            assert done >= due
            yield f

    for _ in link(source(), TB, options):
        done += 1
    assert done == len(frames)


@given(streams(), st.sets(st.integers(1, 39)), st.sets(st.integers(0, 39)), link_options)
@settings(max_examples=60)
def test_masks_do_not_depend_on_where_chunks_are_cut(
    frames: list[FrameDetections], places: set[int], early: set[int], options: LinkOptions
) -> None:
    assert linked(joined(chunked(frames, places, early)), options) == linked(frames, options)
