"""Tracks where the camera moves and few frames are looked at: what is known of the motion keeps faces covered."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.domain.detection import FACE, PLATE, Detection, FrameDetections
from farm.domain.geometry import Box
from farm.domain.linker import CLEAR, EDGE_SECONDS, GROWTH, link
from farm.domain.motion import STILL, Motion
from farm.domain.options import LinkOptions
from farm.domain.track import FrameTracks
from tests.unit.domain.test_linker import covers, found_in, link_options, streams

FPS = 25
SIZE = (640, 360)
EVERY = 8
STRONG = 0.9


def around(zoom: float, angle: float, tx: float, ty: float, aspect: float = 1.0) -> Motion:
    """Zoom and turn about the middle of the picture, then a shift."""
    turned = Motion(zoom * math.cos(angle), zoom * math.sin(angle), aspect=aspect)
    (x, y), (x0, y0) = turned.point(SIZE[0] / 2, SIZE[1] / 2), (SIZE[0] / 2, SIZE[1] / 2)
    return Motion(turned.a, turned.b, tx + x0 - x, ty + y0 - y, aspect=aspect)


shifts = st.floats(-25, 25)
shaken = st.builds(around, st.just(1.0), st.just(0.0), shifts, shifts)
zoomed = st.builds(around, st.floats(0.96, 1.04), st.floats(-0.03, 0.03), shifts, shifts, st.just(1.0))
stretched = st.builds(around, st.floats(0.96, 1.04), st.floats(-0.03, 0.03), shifts, shifts, st.just(4 / 3))
cameras = st.one_of(*(st.lists(kind, min_size=9, max_size=40) for kind in (shaken, zoomed, stretched)))
boxes = st.builds(Box, st.floats(200, 400), st.floats(100, 200), st.floats(15, 80), st.floats(15, 80))


def from_the_first(camera: Sequence[Motion]) -> list[Motion]:
    """The motion from the first frame to each. ``camera``: from each frame to the next."""
    return list(accumulate(camera, Motion.then, initial=Motion(aspect=camera[0].aspect)))


def filmed(camera: Sequence[Motion], looks: Mapping[int, Sequence[Detection]]) -> list[FrameDetections]:
    found = {at: tuple(seen) for at, seen in looks.items()}
    return [
        FrameDetections(at, cut=False, detections=found.get(at), motion=motion)
        for at, motion in enumerate([None, *camera])
    ]


def linked(
    frames: Iterable[FrameDetections], options: LinkOptions | None = None, size: tuple[int, int] | None = SIZE
) -> list[FrameTracks]:
    return list(link(frames, Fraction(1, FPS), options or LinkOptions(), size))


def uncovered(tracks: Sequence[FrameTracks], places: Sequence[Box]) -> list[int]:
    """The frames in which no box contains a face that is at ``places``, frame by frame."""
    pairs = enumerate(zip(tracks, places, strict=True))
    return [at for at, (shown, box) in pairs if not any(covers(b.box, box) for b in shown.boxes)]


def visible(box: Box) -> Box:
    """The part of a box inside the picture."""
    x, y = max(0.0, box.x), max(0.0, box.y)
    return Box(x, y, max(0.0, min(SIZE[0], box.x + box.w) - x), max(0.0, min(SIZE[1], box.y + box.h) - y))


@given(cameras, boxes, st.sampled_from([None, SIZE]))
@settings(max_examples=60)
def test_a_face_that_stands_still_in_the_scene_is_covered_however_the_camera_moves(
    camera: list[Motion], box: Box, size: tuple[int, int] | None
) -> None:
    """It is looked at every eighth frame, and covered in all: in the middle of the box, where the motion leads."""
    places = [motion.apply(box) for motion in from_the_first(camera)]
    looks = {at: [Detection(places[at], STRONG)] for at in range(0, len(places), EVERY)}
    tracks = linked(filmed(camera, looks), size=size)
    held = round(LinkOptions().hold * FPS)
    seen = max(looks) + 1 + held
    assert uncovered(tracks[:seen], places[:seen]) == []
    assert {b.track for shown in tracks for b in shown.boxes} == {0}
    for shown, place in zip(tracks[: max(looks) + 1], places, strict=False):
        assert shown.boxes[0].box.centre == pytest.approx(place.centre, abs=0.02)


@given(st.lists(shaken, min_size=9, max_size=40), boxes, st.floats(-0.4, 0.4), st.floats(-0.4, 0.4))
@settings(max_examples=60)
def test_a_face_that_walks_through_a_shaken_picture_is_covered(
    camera: list[Motion], box: Box, across: float, down: float
) -> None:
    """It moves steadily in the scene, by up to two fifths of its size between looks: that alone is drawn as a line."""
    dx, dy = across * box.w / EVERY, down * box.h / EVERY
    places = [motion.apply(box.moved(dx * at, dy * at)) for at, motion in enumerate(from_the_first(camera))]
    looks = {at: [Detection(places[at], STRONG)] for at in range(0, len(places), EVERY)}
    tracks = linked(filmed(camera, looks))
    assert uncovered(tracks[: max(looks) + 1], places[: max(looks) + 1]) == []


def test_without_the_motion_it_is_not() -> None:
    """What the tests above would not show if they were too easy."""
    camera = [around(1, 0, 24 * (-1) ** (at // 3), 0) for at in range(40)]
    places = [motion.apply(Box(300, 150, 30, 30)) for motion in from_the_first(camera)]
    looks = {at: [Detection(places[at], STRONG)] for at in range(0, 41, EVERY)}
    assert uncovered(linked(filmed(camera, looks)), places) == []
    assert uncovered(linked(filmed([STILL] * 40, looks)), places) != []


@pytest.mark.parametrize("fps", [Fraction(1, 2), 1, 5, 8, 12, 15, 25, 60])
@pytest.mark.parametrize("gap", [0.0, 0.1, 1.0])
def test_a_face_is_covered_between_looks_whatever_the_frame_rate(fps: Fraction | int, gap: float) -> None:
    """And from the beginning of a shot to its first look, and from its last look to the end."""
    frames = filmed([STILL] * 60, {at: [Detection(Box(100, 100, 40, 50), STRONG)] for at in range(7, 54, 15)})
    frames[30] = replace(frames[30], cut=True)
    options = LinkOptions(gap=gap, hold=0)
    tracks = list(link(frames, 1 / Fraction(fps), options, SIZE))
    assert all(shown.boxes for shown in tracks)
    assert len({b.track for shown in tracks for b in shown.boxes}) == 2, "one in each shot"


def test_a_face_that_the_next_look_does_not_show_is_covered_up_to_it() -> None:
    """Which frame it left in is not known."""
    looks = {at: [Detection(Box(100, 100, 40, 50), STRONG)] if at in (16, 24) else [] for at in range(0, 41, EVERY)}
    tracks = linked(filmed([STILL] * 40, looks), LinkOptions(hold=0))
    assert [shown.pts for shown in tracks if shown.boxes] == list(range(9, 32))


def test_a_black_frame_is_a_look_at_nothing() -> None:
    """Frames wait for the next look: not for one behind all the frames of a damaged part."""
    frames = [FrameDetections(at, cut=False, detections=None, black=at >= 10) for at in range(1000)]
    frames[4] = replace(frames[4], detections=(Detection(Box(100, 100, 40, 50), STRONG),))
    taken = 0

    def counted() -> Iterable[FrameDetections]:
        nonlocal taken
        for frame in frames:
            taken += 1
            yield frame

    shown = []
    for number, row in enumerate(link(counted(), Fraction(1, FPS), LinkOptions(gap=1.0, hold=0.25), SIZE)):
        assert taken - number <= FPS + 3
        shown += [row.pts] if row.boxes else []
    assert shown == list(range(11))


def test_where_the_motion_of_a_frame_is_not_known_the_rest_still_counts() -> None:
    camera = [around(1, 0, 10, 0)] * 40
    places = [Box(100.0 + 10 * at, 150, 30, 30) for at in range(41)]
    looks = {at: [Detection(places[at], STRONG)] for at in range(0, 41, EVERY)}
    frames = filmed(camera, looks)
    frames[20] = FrameDetections(20, cut=False, detections=None)
    lost = uncovered(linked(frames), places)
    assert set(lost) <= set(range(17, 24)), "only between the looks around that frame"


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("clipped", [False, True])
@pytest.mark.parametrize(
    ("speed", "every", "panned"),
    [(1.5, 4, False), (3, 4, False), (6, 4, False), (1.5, 8, True), (3, 8, True), (6, 8, True)],
)
@pytest.mark.parametrize("way", [(-1, 0), (1, 0), (0, -1), (1, 1)])
def test_a_face_at_the_edge_is_covered_until_it_is_gone(
    way: tuple[int, int], speed: float, every: int, panned: bool, clipped: bool, reverse: bool
) -> None:
    """It leaves (or enters), or the camera turns away from it. It is found while two thirds of it show.

    It is held for :data:`EDGE_SECONDS`: a faster one is gone before, and a slower one is found for longer. A detector
    may find no more than what is in the picture; a box between two such is a tenth short at most, less than the margin.
    """
    box = Box(SIZE[0] / 2 - 20, SIZE[1] / 2 - 25, 40, 50)
    reach = [(side + length) / 2 for side, length in zip((40, 50), SIZE, strict=True)]
    steps = math.ceil(min(r for r, w in zip(reach, way, strict=True) if w) / speed) + 5
    places = [box.moved(way[0] * speed * at, way[1] * speed * at) for at in range(steps)]
    shift = around(1, 0, way[0] * speed, way[1] * speed)
    if reverse:
        places, shift = places[::-1], shift.inverse()
    inside = [visible(place) for place in places]
    found = [at for at in range(0, steps, every) if inside[at].area >= 2 / 3 * box.area]
    boxes = inside if clipped else places
    looks = {at: [Detection(boxes[at], STRONG)] if at in found else [] for at in range(0, steps, every)}
    tracks = linked(filmed([shift if panned else STILL] * (steps - 1), looks))
    held = math.floor(EDGE_SECONDS * FPS)
    begin, end = (found[0] - held, found[-1]) if reverse else (0, found[-1] + held)
    due = [at for at in range(steps) if inside[at].area > 0 and begin <= at <= end]
    short = 0.1 if clipped else 0
    assert [at for at in due if not any(covers(b.box.grown(short), inside[at]) for b in tracks[at].boxes)] == []


@given(st.lists(st.floats(-0.2, 0.2), min_size=20, max_size=40))
@settings(max_examples=60)
def test_sizes_pulse_less_than_the_detectors(changes: list[float]) -> None:
    """A face of one size whose boxes jitter."""
    found = [Box(300, 150, 40, 50).grown(change) for change in changes]
    tracks = linked(filmed([STILL] * (len(found) - 1), {at: [Detection(b, STRONG)] for at, b in enumerate(found)}))
    widths = [shown.boxes[0].box.w for shown in tracks]
    assert uncovered(tracks, found) == []
    assert pulse(widths) <= pulse([b.grown(GROWTH).w for b in found]) + 0.05


def pulse(widths: Sequence[float]) -> float:
    """The mean change of a width from one frame to the next."""
    return sum(abs(b - a) for a, b in pairwise(widths)) / max(1, len(widths) - 1)


def test_a_box_that_jumps_between_two_sizes_hardly_pulses() -> None:
    """From look to look."""
    found = [Box(300, 150, 40, 50).grown(0.125 * (at % 2)) for at in range(41)]
    for every in (1, EVERY):
        looks = {at: [Detection(found[at // every], STRONG)] for at in range(0, 41, every)}
        widths = [shown.boxes[0].box.w for shown in linked(filmed([STILL] * 40, looks))][2 * every :: every]
        assert max(widths) - min(widths) <= 0.7 * (50 - 40)


@given(streams(), link_options)
def test_faces_and_plates_know_nothing_of_each_other(frames: list[FrameDetections], options: LinkOptions) -> None:
    def of(kind: str) -> list[FrameDetections]:
        seen = [None if f.detections is None else tuple(d for d in f.detections if d.kind == kind) for f in frames]
        return [replace(f, detections=found) for f, found in zip(frames, seen, strict=True)]

    both = list(link(frames, Fraction(1, 1000), options, SIZE))
    for kind in (FACE, PLATE):
        alone = list(link(of(kind), Fraction(1, 1000), options, SIZE))
        assert [[b.box for b in t.boxes] for t in alone] == [[b.box for b in t.boxes if b.kind == kind] for t in both]


@given(streams(), link_options)
def test_no_box_is_smaller_than_a_clear_detection(frames: list[FrameDetections], options: LinkOptions) -> None:
    """With edges too."""
    for found, shown in zip(frames, link(frames, Fraction(1, 1000), options, SIZE), strict=True):
        for d in found_in(found):
            if d.score >= CLEAR:
                assert any(b.kind == d.kind and covers(b.box, d.box) for b in shown.boxes)
