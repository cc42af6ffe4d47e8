"""Which frames are looked at: of each group the sharpest, more where looks disagree, wherever chunks are cut."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from weakref import WeakSet

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from farm.domain.detection import PLATE, ChunkDetections, Detection, FrameDetections, joined
from farm.domain.geometry import Box
from farm.domain.matching import unmatched
from farm.domain.motion import STILL, Motion
from workers.stages.looking import LEAST_DISPUTED, Looking, beyond
from workers.vision.measuring import Examined

SIZE = (100, 80)


@dataclass(frozen=True)
class Shown:
    """A frame of a video, and what a detector would find in it."""

    sharpness: int = 1
    motion: Motion | None = STILL
    cut: bool = False
    black: bool = False
    faces: tuple[Detection, ...] = ()
    ticks: int = 40  # from the frame before


Video = list[Shown]


@dataclass(frozen=True, slots=True)
class How:
    """How it is looked at."""

    every: int = 8
    finest: int = 4
    batch: int = 1
    longest: int | None = None


class Picture:
    """Stands for a decoded frame."""

    def __init__(self, number: int) -> None:
        self.number = number


def face(x: float, score: float = 0.9, kind: str = "face") -> Detection:
    return Detection(Box(x, 30, 10, 12), score, kind)


class Run:
    """A chunk of a video, looked at as the stage detect does it."""

    def __init__(self, video: Video, start: int, stop: int, how: How) -> None:
        self.shown: list[int] = []  # to the detector
        self.most_held = 0  # pictures at a time, and rows
        self.most_waiting = 0
        self._video, self._pictures = video, WeakSet[Picture]()
        self._pts = list(accumulate(shown.ticks for shown in video))
        looking: Looking[Picture] = Looking(
            range(start, stop), how.every, how.finest, SIZE, self._look, how.batch, how.longest
        )
        end = min(len(video), stop + beyond(start, stop - start, how.every))
        rows: list[FrameDetections] = []
        for number in range(start, end):
            rows += looking.push(self._seen(number, first=number == start))
            self.most_held = max(self.most_held, len(self._pictures))
            self.most_waiting = max(self.most_waiting, number + 1 - start - len(rows))
        rows += looking.finish()
        assert [row.pts for row in rows] == self._pts[start:end]
        self.rows, later = rows[: stop - start], rows[stop - start :]
        seen = tuple((row.pts, row.detections) for row in later if row.detections is not None)
        after = later[0] if later else FrameDetections(0, cut=False, detections=None)
        self.chunk = ChunkDetections(stop - start, after.cut, after.motion, seen)

    def _seen(self, number: int, *, first: bool) -> Examined[Picture]:
        """A frame as it is measured: nothing is known of the one before a chunk, and nothing of a black one."""
        shown, pts = self._video[number], self._pts[number]
        if shown.black:
            row = FrameDetections(pts, cut=False, detections=None, black=True)
            return Examined(number, row, 0, None)
        unknown = first or self._video[number - 1].black
        cut, motion = (False, None) if unknown else (shown.cut, shown.motion)
        picture = Picture(number)
        self._pictures.add(picture)
        return Examined(number, FrameDetections(pts, cut, None, motion=motion), shown.sharpness, picture)

    def _look(self, pictures: Sequence[Picture]) -> list[list[Detection]]:
        assert pictures
        self.shown += [picture.number for picture in pictures]
        return [list(self._video[picture.number].faces) for picture in pictures]


def whole(video: Video, how: How) -> list[FrameDetections]:
    return Run(video, 0, len(video), how).rows if video else []


def looks(rows: Sequence[FrameDetections]) -> list[int]:
    return [number for number, row in enumerate(rows) if row.detections is not None]


def groups(rows: Sequence[FrameDetections], video: Video, how: How) -> dict[tuple[int, int, int], list[int]]:
    """The frames of each group that may be looked at: the sharpest of each ``finest``. All black groups have none.

    By the number of ``every``, the shot, and the pts of the group's first frame.
    """
    shot, key, begun, found = 0, (-1, 0), 0, dict[tuple[int, int, int], dict[int, list[int]]]()
    for number, row in enumerate(rows):
        shot += row.cut
        if key != (number // how.every, shot) or (how.longest is not None and row.pts - begun >= how.longest):
            key, begun = (number // how.every, shot), row.pts
        parts = found.setdefault((*key, begun), {})
        if not row.black:
            parts.setdefault(number // min(how.finest, how.every), []).append(number)
    return {key: [look_of(part, video) for part in parts.values()] for key, parts in found.items()}


def look_of(candidates: list[int], video: Video) -> int:
    return max(candidates, key=lambda k: (video[k].sharpness, -k))


def agree(rows: Sequence[FrameDetections], video: Video, a: int, b: int) -> bool:
    """Whether what is found in two frames is the same, with the measured motion taken out."""
    motion = STILL
    for row in rows[a + 1 : b + 1]:
        if row.motion is None or row.motion.quality < 0.3:
            return False
        motion = motion.then(row.motion)
    both = [(video[a].faces, video[b].faces, motion), (video[b].faces, video[a].faces, motion.inverse())]
    missing = [box for of, others, moved in both for box in unmatched(of, others, moved.apply, LEAST_DISPUTED)]
    return not any(0 <= x < SIZE[0] and 0 <= y < SIZE[1] for x, y in (box.centre for box in missing))


def expected_looks(rows: Sequence[FrameDetections], video: Video, how: How) -> set[int]:
    """By the rule, with all of the video known at once."""
    parts = groups(rows, video, how)
    found = {look_of(candidates, video) for candidates in parts.values() if candidates}
    for (key, first), (later, second) in pairwise(parts.items()):
        if first and second and later[1] == key[1]:
            todo = [(look_of(first, video), look_of(second, video))]
            while todo:
                a, b = todo.pop()
                between = [k for k in first + second if a < k < b]
                if between and not agree(rows, video, a, b):
                    middle = min(between, key=lambda k: (abs(2 * k - a - b), k))
                    found.add(middle)
                    todo += [(a, middle), (middle, b)]
    return found


motions = st.none() | st.builds(
    Motion, tx=st.sampled_from([0.0, 5.0, -9.0, 60.0]), quality=st.sampled_from([0.2, 0.3, 0.9])
)
faces = st.builds(
    face,
    st.sampled_from([-20.0, 0.0, 20.0, 24.0, 60.0, 95.0]),
    st.sampled_from([0.4, 0.6, 0.9]),
    st.sampled_from(["face", "face", PLATE]),
)
frames = st.builds(
    Shown,
    sharpness=st.integers(0, 5),
    motion=st.just(STILL) | motions,
    ticks=st.sampled_from([40, 40, 100, 9000]),
    black=st.integers(0, 9).map(lambda n: n == 0),
    faces=st.lists(faces, max_size=2).map(tuple),
)
cuts = st.builds(Shown, sharpness=st.integers(0, 5), motion=st.none(), cut=st.just(True))
steady = st.builds(Shown, sharpness=st.integers(0, 5), faces=st.sampled_from([(), (face(20),)]))
repeated = st.tuples(st.one_of(frames, frames, steady, cuts), st.integers(1, 6))
videos = st.lists(repeated, max_size=20).map(lambda parts: [one for one, times in parts for _ in range(times)])
hows = st.builds(
    How, st.integers(1, 10), st.sampled_from([1, 2, 3, 4, 8]), st.sampled_from([1, 2, 5]), st.sampled_from([None, 360])
)
places = st.sets(st.integers(1, 120))

DARK = Shown(black=True)


@given(videos, hows, places)
@settings(max_examples=300)
@example([Shown()] * 8 + [DARK] * 8 + [Shown(faces=(face(20),))] * 8, How(), {8})
@example([Shown()] * 40, How(8, 4, 5), {3, 6, 9, 13})
def test_chunks_change_nothing(video: Video, how: How, places: set[int]) -> None:
    bounds = sorted({0, len(video), *(place for place in places if place < len(video))})
    runs = [Run(video, start, stop, how) for start, stop in pairwise(bounds)]
    assert list(joined((run.chunk, run.rows) for run in runs)) == whole(video, how)


@given(videos, hows)
@settings(max_examples=300)
@example([Shown()] * 8 + [DARK] * 8 + [Shown(faces=(face(20),))] * 8, How())
def test_the_looks_are_those_of_the_rule(video: Video, how: How) -> None:
    rows = whole(video, how)
    assert set(looks(rows)) == expected_looks(rows, video, how)


@given(videos, hows)
def test_each_group_has_a_look_and_each_side_of_a_cut_one_in_its_group(video: Video, how: How) -> None:
    rows = whole(video, how)
    looked = set(looks(rows))
    for candidates in groups(rows, video, how).values():
        assert not candidates or look_of(candidates, video) in looked


@given(videos, hows)
def test_what_is_found_is_written_and_nobody_looks_twice_or_at_black(video: Video, how: How) -> None:
    if video:
        run = Run(video, 0, len(video), how)
        assert sorted(run.shown) == looks(run.rows)
        for number in run.shown:
            assert run.rows[number].detections == video[number].faces
            assert not video[number].black


@given(videos, hows, st.integers(0, 60), st.integers(1, 60))
def test_few_pictures_and_frames_are_held(video: Video, how: How, start: int, length: int) -> None:
    if start < len(video):
        run = Run(video, start, min(len(video), start + length), how)
        candidates = -(-how.every // min(how.finest, how.every)) + 1
        assert run.most_held <= (how.batch + 2) * candidates + 1
        assert run.most_waiting <= (how.batch + 3) * how.every


@pytest.mark.parametrize("shown", [Shown(), Shown(motion=None), Shown(black=True)])
def test_memory_does_not_grow_with_the_chunk(shown: Shown) -> None:
    """Each frame is sharper than the one before it."""
    run = Run([replace(shown, sharpness=k) for k in range(2000)], 0, 2000, How(batch=3))
    assert run.most_held <= 2 * (3 + 2) + 1
    assert run.most_waiting <= 60


def test_where_looks_agree_nobody_looks_between() -> None:
    """The camera moves, and what stands still with it."""
    video = [Shown(motion=Motion(tx=2.0), faces=(face(10 + 2 * k),)) for k in range(33)]
    assert looks(whole(video, How(8, 1))) == [0, 8, 16, 24, 32]
    still = [replace(shown, motion=STILL) for shown in video]
    assert looks(whole(still, How(8, 1))) != [0, 8, 16, 24, 32]


@pytest.mark.parametrize(("finest", "expected"), [(8, [0, 8]), (4, [0, 4, 8]), (2, [0, 4, 6, 8]), (1, [0, 4, 5, 6, 8])])
def test_a_face_that_appears_is_found_by_halves(finest: int, expected: list[int]) -> None:
    video = [Shown(sharpness=20 - k, faces=(face(20),) if k > 4 else ()) for k in range(9)]
    assert looks(whole(video, How(8, finest))) == expected


@pytest.mark.parametrize("score", [0.36, 0.59])
def test_what_is_not_clear_is_no_disagreement(score: float) -> None:
    video = [Shown(faces=(face(20, score),) if k > 4 else ()) for k in range(9)]
    assert looks(whole(video, How(8, 1))) == [0, 8]


def test_where_the_motion_is_not_known_all_is_looked_at() -> None:
    for motion in (None, Motion(quality=0.1)):
        video = [Shown(motion=motion) for _ in range(9)]
        assert looks(whole(video, How(8, 1))) == list(range(9))


def test_the_sharpest_frame_of_a_group_is_looked_at() -> None:
    video = [Shown(sharpness=k % 5) for k in range(16)]
    assert looks(whole(video, How())) == [4, 9]


@pytest.mark.parametrize(
    ("ticks", "expected"), [(16, 2), (41, 2), (50, 2), (67, 4), (100, 4), (200, 8), (360, 16), (1000, 16)]
)
def test_no_group_is_longer_than_it_may_be(ticks: int, expected: int) -> None:
    """Looks are not further apart where frames are: at one frame a second, each is looked at."""
    video = [Shown(ticks=ticks) for _ in range(16)]
    assert len(looks(whole(video, How(longest=360)))) == expected
    assert len(looks(whole(video, How()))) == 2


def test_a_pause_ends_a_group() -> None:
    video = [Shown(ticks=30_000 if k == 5 else 40) for k in range(16)]
    assert looks(whole(video, How(longest=360))) == [0, 5, 8]


@pytest.mark.parametrize(("first", "frames", "after"), [(0, 8, 8), (0, 9, 15), (0, 1, 15), (8, 7, 9), (3, 5, 8)])
def test_a_worker_sees_on_to_the_end_of_the_next_group(first: int, frames: int, after: int) -> None:
    assert beyond(first, frames, 8) == after
