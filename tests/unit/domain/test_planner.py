"""Chunks: every frame in exactly one, cut at key frames, as long as asked."""

import time
from array import array
from fractions import Fraction
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.domain import planner
from farm.domain.manifest import Chunk
from farm.domain.planner import LONGEST_SECONDS, SHORTEST_SECONDS

TB = Fraction(1, 90_000)
plan_chunks = partial(planner.plan_chunks, stream=3)
FRAME = 3_000  # 30 frames a second


def regular(seconds: int, key_every: float) -> tuple[list[int], list[tuple[int, bool]], int]:
    pts = list(range(0, seconds * 90_000, FRAME))
    keys = [(p, False) for p in pts[:: round(key_every * 30)]]
    return pts, keys, seconds * 90_000


def lengths(chunks: tuple[Chunk, ...]) -> list[float]:
    return [float((c.pts_end - c.pts_start) * TB) for c in chunks]


@st.composite
def sources(draw: st.DrawFn) -> tuple[list[int], list[tuple[int, bool]], int]:
    steps = draw(st.lists(st.integers(1, 90_000), min_size=1, max_size=80))
    pts = [draw(st.integers(-(10**6), 10**9))]
    for step in steps[1:]:
        pts.append(pts[-1] + step)
    flags = draw(st.lists(st.sampled_from([None, None, False, True]), min_size=len(pts), max_size=len(pts)))
    keys = [(p, flag) for p, flag in zip(pts, flags, strict=True) if flag is not None]
    return pts, keys, pts[-1] + steps[0]


@given(sources(), st.none() | st.floats(0.001, 100), st.integers(1, 9))
def test_every_frame_lies_in_exactly_one_chunk_cut_at_a_key_frame(
    source: tuple[list[int], list[tuple[int, bool]], int], seconds: float | None, workers: int
) -> None:
    pts, keys, end = source
    chunks = plan_chunks(pts, keys, end, TB, seconds, workers)
    assert [c.index for c in chunks] == list(range(len(chunks)))
    assert chunks[0].pts_start == pts[0]
    assert chunks[-1].pts_end == end
    assert all(a.pts_end == b.pts_start for a, b in pairwise(chunks))
    assert [c.frames for c in chunks] == [sum(c.pts_start <= p < c.pts_end for p in pts) for c in chunks]
    assert all(c.frames for c in chunks)
    assert {c.pts_start for c in chunks[1:]} <= {key for key, _ in keys}


@given(sources(), st.none() | st.floats(0.001, 100), st.integers(1, 9))
def test_decoding_starts_at_the_chunks_key_frame_or_one_earlier_where_leading_pictures_follow(
    source: tuple[list[int], list[tuple[int, bool]], int], seconds: float | None, workers: int
) -> None:
    pts, keys, end = source
    places = [key for key, _ in keys]
    for chunk in plan_chunks(pts, keys, end, TB, seconds, workers)[1:]:
        at = places.index(chunk.pts_start)
        assert chunk.seek_pts == (places[at - 1] if keys[at][1] and at else chunk.pts_start)


@given(sources(), st.floats(0.001, 30))
def test_a_chunk_ends_at_the_first_key_frame_at_or_after_the_length_asked_for(
    source: tuple[list[int], list[tuple[int, bool]], int], seconds: float
) -> None:
    pts, keys, end = source
    chunks = plan_chunks(pts, keys, end, TB, seconds, 2)
    wanted = Fraction(str(seconds)) / TB
    for chunk in chunks:
        inside = [key for key, _ in keys if chunk.pts_start + wanted <= key < chunk.pts_end]
        assert inside == []
    assert all(c.pts_end - c.pts_start >= wanted for c in chunks[:-1])


def shortest_longest(bounds: list[int], count: int) -> int:
    """The longest of at most ``count`` chunks between ``bounds`` when it is as short as can be: by trying all."""
    best = [b - bounds[0] for b in bounds]
    for _ in range(count - 1):
        best = [min((max(best[j], b - bounds[j]) for j in range(i)), default=0) for i, b in enumerate(bounds)]
    return best[-1]


@given(sources(), st.integers(1, 9))
def test_the_longest_chunk_is_as_short_as_their_number_allows(
    source: tuple[list[int], list[tuple[int, bool]], int], workers: int
) -> None:
    pts, keys, end = source
    chunks = plan_chunks(pts, keys, end, TB, None, workers)
    seconds = (end - pts[0]) * TB
    count = max(1, min(-(-seconds // (LONGEST_SECONDS * workers)) * workers, seconds // SHORTEST_SECONDS))
    bounds = [pts[0], *(key for key, _ in keys if key > pts[0]), end]
    assert len(chunks) <= count
    assert max(c.pts_end - c.pts_start for c in chunks) == shortest_longest(bounds, count)


@pytest.mark.parametrize("workers", [1, 2, 3, 4])
@pytest.mark.parametrize("seconds", [12, 24, 60])
def test_short_clips_are_cut_into_equal_chunks_for_all_workers(seconds: int, workers: int) -> None:
    chunks = plan_chunks(*regular(seconds, 1), TB, None, workers)
    assert len(chunks) % workers == 0
    assert max(lengths(chunks)) <= min(LONGEST_SECONDS, seconds / workers)
    assert max(lengths(chunks)) - min(lengths(chunks)) <= workers


def test_a_second_is_not_cut_up() -> None:
    assert lengths(plan_chunks(*regular(1, 0.1), TB, None, 8)) == [1.0]


def test_more_workers_than_seconds() -> None:
    assert lengths(plan_chunks(*regular(4, 0.5), TB, None, 64)) == [1.0] * 4


def test_long_videos_are_cut_into_chunks_of_about_ten_seconds() -> None:
    chunks = plan_chunks(*regular(3600, 2), TB, None, 2)
    assert len(chunks) % 2 == 0
    assert set(lengths(chunks)) == {10.0}


def test_one_long_group_does_not_make_the_other_chunks_long() -> None:
    pts, _, end = regular(60, 1)
    keys = [(0, False), *((s * 90_000, False) for s in range(20, 60))]
    assert max(lengths(plan_chunks(pts, keys, end, TB, None, 2))[1:]) <= LONGEST_SECONDS


def test_without_key_frames_there_is_one_chunk() -> None:
    pts, _, end = regular(60, 1)
    assert plan_chunks(pts, [], end, TB, None, 4) == (Chunk(0, 3, 0, end, len(pts), 0),)
    assert plan_chunks(pts, [(0, False)], end, TB, 1.0, 4) == (Chunk(0, 3, 0, end, len(pts), 0),)


def test_frames_before_the_first_key_frame_belong_to_the_first_chunk() -> None:
    chunks = plan_chunks([0, 1, 2, 3], [(2, True), (3, True)], 4, Fraction(1), 1.0, 1)
    assert chunks == (Chunk(0, 3, 0, 2, 2, 0), Chunk(1, 3, 2, 3, 1, 2), Chunk(2, 3, 3, 4, 1, 2))


def test_an_open_group_is_decoded_from_the_key_frame_before_even_where_no_frame_is_shown_there() -> None:
    chunks = plan_chunks([0, 1, 2, 4, 5], [(0, False), (3, False), (4, True)], 6, Fraction(1), 1.0, 1)
    assert [(c.pts_start, c.seek_pts) for c in chunks] == [(0, 0), (4, 3)]


@given(sources(), st.data(), st.none() | st.floats(0.001, 100), st.integers(1, 9))
def test_some_frames_only_are_cut_at_the_first_of_them_behind_a_key_frame_and_decoded_from_it(
    source: tuple[list[int], list[tuple[int, bool]], int], data: st.DataObject, seconds: float | None, workers: int
) -> None:
    shown, keys, end = source
    pts = [p for p in shown if data.draw(st.booleans())] or shown[-1:]
    places = [key for key, _ in keys]
    chunks = plan_chunks(pts, keys, end, TB, seconds, workers, shown)
    assert [p for c in chunks for p in pts if c.pts_start <= p < c.pts_end] == pts
    for chunk in chunks:
        assert chunk.pts_start in pts
        before = [index for index, key in enumerate(places) if key <= chunk.pts_start]
        if chunk.pts_start == shown[0] or not before:
            assert chunk.seek_pts == chunk.pts_start
        else:
            at = before[-1]
            assert chunk.seek_pts == places[at - 1 if keys[at][1] and at else at]


def test_a_sample_is_cut_between_key_frames_where_none_of_them_is_in_it() -> None:
    chunks = plan_chunks([1, 5, 9], [(0, False), (4, False), (8, True)], 12, Fraction(1), 1.0, 1, range(12))
    assert [(c.pts_start, c.pts_end, c.seek_pts) for c in chunks] == [(1, 5, 0), (5, 9, 4), (9, 12, 4)]


def test_a_length_in_decimals_is_meant_as_written() -> None:
    chunks = plan_chunks(range(10), [(p, False) for p in range(10)], 10, Fraction(1, 10), 0.3, 1)
    assert [c.pts_start for c in chunks] == [0, 3, 6, 9]


@pytest.mark.parametrize(
    ("pts", "keys", "end", "time_base", "seconds", "workers"),
    [
        ([], [], 1, TB, None, 1),
        ([1, 0], [], 2, TB, None, 1),
        ([0, 0], [], 2, TB, None, 1),
        ([0, 1], [(1, False), (0, False)], 2, TB, None, 1),
        ([0, 1], [(0, False), (0, True)], 2, TB, None, 1),
        ([0, 1], [], 1, TB, None, 1),
        ([0, 1], [], 2, Fraction(0), None, 1),
        ([0, 1], [], 2, TB, 0.0, 1),
        ([0, 1], [], 2, TB, -1.0, 1),
        ([0, 1], [], 2, TB, float("inf"), 1),
        ([0, 1], [], 2, TB, float("nan"), 1),
        ([0, 1], [], 2, TB, None, 0),
    ],
)
def test_what_cannot_be_planned_is_refused(
    pts: list[int], keys: list[tuple[int, bool]], end: int, time_base: Fraction, seconds: float | None, workers: int
) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the message is for the log
        plan_chunks(pts, keys, end, time_base, seconds, workers)


def test_half_a_million_frames_are_planned_in_seconds() -> None:
    pts = array("q", range(0, 500_000 * FRAME, FRAME))
    keys = [(p, False) for p in pts]
    started = time.perf_counter()
    for seconds in (None, 2.0):
        assert sum(c.frames for c in plan_chunks(pts, keys, 500_000 * FRAME, TB, seconds, 3)) == 500_000
    assert time.perf_counter() - started < 20
