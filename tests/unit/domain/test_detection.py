"""Detections as they are written, and the cuts that frames show."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.domain.detection import (
    SIGNATURE_SIZE,
    ChunkDetections,
    Detection,
    FrameDetections,
    dump_chunk,
    dump_frame,
    is_cut,
    load_chunk,
    load_frame,
    with_boundary_cuts,
)
from farm.domain.geometry import Box

PIXELS = SIGNATURE_SIZE[0] * SIGNATURE_SIZE[1]
RAMP = bytes(k * 255 // PIXELS for k in range(PIXELS))
UPSIDE_DOWN = RAMP[::-1]
GREY = bytes([128]) * PIXELS

numbers = st.floats(allow_nan=False, allow_infinity=False)
detections = st.builds(Detection, box=st.builds(Box, *[numbers] * 4), score=numbers, kind=st.text())
frames = st.builds(FrameDetections, st.integers(), st.booleans(), st.lists(detections, max_size=4).map(tuple))
signatures = st.binary(min_size=PIXELS, max_size=PIXELS)


@given(frames)
def test_a_frame_is_equal_after_it_was_written_and_read(frame: FrameDetections) -> None:
    line = dump_frame(frame)
    assert "\n" not in line
    assert load_frame(line) == frame


@given(st.integers(0), signatures, signatures)
def test_a_chunks_header_is_equal_after_it_was_written_and_read(count: int, first: bytes, last: bytes) -> None:
    chunk = ChunkDetections(count, first, last)
    assert load_chunk(dump_chunk(chunk)) == chunk


@pytest.mark.parametrize("line", ['{"format": 0}', "[1, 2]", "{}", "not json"])
def test_another_format_is_refused(line: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - json's own or ours
        load_chunk(line)


@given(signatures)
def test_a_picture_is_no_cut_from_itself(picture: bytes) -> None:
    assert not is_cut(picture, picture)


@given(signatures, signatures)
def test_a_cut_is_one_in_both_directions(a: bytes, b: bytes) -> None:
    assert is_cut(a, b) == is_cut(b, a)


def test_another_picture_is_a_cut() -> None:
    assert is_cut(RAMP, UPSIDE_DOWN)


def test_brightness_and_contrast_are_no_cut() -> None:
    assert not is_cut(RAMP, bytes(100 + v // 2 for v in RAMP))


def test_a_flat_picture_is_no_cut() -> None:
    assert not is_cut(RAMP, GREY)
    assert not is_cut(GREY, RAMP)
    assert not is_cut(GREY, GREY)


@pytest.mark.parametrize(("a", "b"), [(b"", b""), (b"12", b"1")])
def test_signatures_that_cannot_be_compared_are_refused(a: bytes, b: bytes) -> None:
    with pytest.raises(ValueError, match="different sizes"):
        is_cut(a, b)


@given(
    st.lists(st.sampled_from([RAMP, UPSIDE_DOWN, GREY]), min_size=1, max_size=20),
    st.sets(st.integers(1, 19)),
)
def test_cuts_are_where_the_frames_show_them_wherever_chunks_end(pictures: list[bytes], places: set[int]) -> None:
    count = len(pictures)
    seen = [False, *(is_cut(a, b) for a, b in pairwise(pictures))]
    chunks = []
    for start, stop in pairwise(sorted({0, count, *(p for p in places if p < count)})):
        rows = [FrameDetections(k, k > start and seen[k], ()) for k in range(start, stop)]
        chunks.append((ChunkDetections(len(rows), pictures[start], pictures[stop - 1]), rows))
    assert [f.cut for f in with_boundary_cuts(chunks)] == seen
