"""Motions as maps of the picture: composed, inverted, written and read."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.domain.geometry import Box
from farm.domain.motion import STILL, Motion, motion_of

shifts = st.floats(-500, 500)


def turned(angle: float, zoom: float, tx: float, ty: float, aspect: float) -> Motion:
    return Motion(zoom * math.cos(angle), zoom * math.sin(angle), tx, ty, 0.8, aspect)


motions = st.builds(turned, st.floats(-3, 3), st.floats(0.5, 2), shifts, shifts, st.just(1.5))
boxes = st.builds(Box, shifts, shifts, st.floats(1, 300), st.floats(1, 300))


def sides(box: Box) -> tuple[float, float, float, float]:
    return box.x, box.y, box.w, box.h


@given(motions, boxes)
def test_the_inverse_leads_back(motion: Motion, box: Box) -> None:
    assert sides(motion.inverse().apply(motion.apply(box))) == pytest.approx(sides(box), abs=1e-6)


@given(motions, motions, shifts, shifts)
def test_one_motion_then_the_other(first: Motion, second: Motion, x: float, y: float) -> None:
    assert first.then(second).point(x, y) == pytest.approx(second.point(*first.point(x, y)), abs=1e-6)


@given(motions)
def test_a_motion_is_equal_after_it_was_written_and_read(motion: Motion) -> None:
    motion = motion.rounded()
    assert motion_of(json.loads(json.dumps(motion.row())), 1.5) == motion
    assert motion.rounded() == motion


def test_a_box_grows_with_the_zoom_and_stays_upright() -> None:
    assert sides(turned(math.pi / 2, 2, 0, 0, 1).apply(Box(9, 19, 2, 4))) == pytest.approx((-44, 16, 4, 8))
    assert STILL.apply(Box(1, 2, 3, 4)) == Box(1, 2, 3, 4)


def test_turning_where_pixels_are_not_square() -> None:
    """A quarter turn of a square: twice as wide pixels show 10 of them as 20 of height."""
    assert turned(math.pi / 2, 1, 0, 0, 2).point(10, 0) == pytest.approx((0, 20))


def test_the_quality_is_that_of_the_worse_one() -> None:
    assert Motion(quality=0.4).then(STILL).quality == 0.4
    assert STILL.then(Motion(quality=0.4)).quality == 0.4


@given(motions)
def test_to_have_stood_still_before_or_after_changes_nothing(motion: Motion) -> None:
    assert STILL.then(motion) == motion.then(STILL) == motion
