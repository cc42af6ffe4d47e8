"""Decoding times: strictly rising, never after the pts, whatever the frames' durations and order."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.errors import VerificationError
from farm.media.composing.decode_times import decode_times
from farm.media.composing.remux import joined_format, segment_packets
from farm.media.reading.frame_times import reorder_depth


def reordered(pts: list[int], size: int) -> list[int]:
    """Decoding order of a closed group of pictures: in each run of ``size`` the last is decoded first."""
    order: list[int] = pts[:1]
    for at in range(1, len(pts), size):
        run = pts[at : at + size]
        order += [run[-1], *run[:-1]]
    return order


@given(steps=st.lists(st.integers(1, 10**6), max_size=40), start=st.integers(0, 10**12), size=st.integers(1, 6))
def test_dts_rise_strictly_and_never_pass_the_pts(steps: list[int], start: int, size: int) -> None:
    pts = [start]
    for step in steps:
        pts.append(pts[-1] + step)
    order = reordered(pts, size)
    depth = reorder_depth(order)
    dts = list(decode_times(iter(pts), depth))[: len(order)]
    assert len(dts) == len(order)
    assert all(a < b for a, b in pairwise(dts))
    assert all(d <= p for d, p in zip(dts, order, strict=True))


def test_the_depth_is_the_least_that_works() -> None:
    order = [0, 40, 20, 10, 30]  # a pyramid: 0 4 2 1 3
    depth = reorder_depth(order)
    assert depth == 2
    too_small = list(decode_times(iter(sorted(order)), depth - 1))
    assert any(d > p for d, p in zip(too_small, order, strict=False))


@pytest.mark.parametrize("depth", [1, 2])
def test_times_before_zero_are_avoided_where_there_is_room(depth: int) -> None:
    assert next(decode_times(iter([30, 1030, 2030]), depth)) >= 0


def test_one_frame_and_none() -> None:
    assert list(decode_times(iter([5]), 0)) == [5]
    assert not list(decode_times(iter([]), 2))
    assert reorder_depth([]) == 0


@pytest.mark.parametrize(
    ("codec", "time_base", "expected"),
    [
        ("h264", Fraction(1, 90000), "mp4"),
        ("ffv1", Fraction(1, 15360), "mp4"),
        ("prores", Fraction(1, 600), "mov"),
        ("vp8", Fraction(1, 1000), "matroska"),
        ("vp8", Fraction(1, 25), "matroska"),
        ("vp8", Fraction(1, 30), "nut"),
    ],
)
def test_the_joined_file_is_of_a_kind_that_keeps_its_times(codec: str, time_base: Fraction, expected: str) -> None:
    assert joined_format(codec, time_base) == expected


@pytest.mark.parametrize(
    "content", [b"", b"#EXTM3U\nother.ts\n", b"ffconcat version 1.0\nfile other.mp4\n", b"\x1a\x45\xdf\xa3"]
)
def test_a_segment_is_never_taken_for_a_list_of_other_files(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.seg"
    path.write_bytes(content)
    with pytest.raises(VerificationError, match="this segment cannot be read"):
        list(segment_packets(path))
    with pytest.raises(VerificationError, match="this segment cannot be read"):
        list(segment_packets(tmp_path / "missing"))
