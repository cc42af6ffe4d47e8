"""Decoding times: strictly rising, never after the pts, whatever the frames' durations and order."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.media.remux import decode_times, reorder_depth


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
