"""Boxes and regions."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.domain.geometry import Box, Region, covering_region, interpolated, intersection_over_union

places = st.floats(-5000, 5000)
sides = st.floats(0.01, 5000)
boxes = st.builds(Box, x=places, y=places, w=sides, h=sides)
margins = st.floats(0, 5)


@given(boxes, margins)
def test_a_grown_box_keeps_its_centre_and_gains_the_margin_on_each_side(box: Box, margin: float) -> None:
    grown = box.grown(margin)
    assert grown.centre == pytest.approx(box.centre, abs=1e-6)
    assert grown.w == pytest.approx(box.w * (1 + 2 * margin))
    assert grown.h == pytest.approx(box.h * (1 + 2 * margin))
    assert grown.x <= box.x
    assert grown.y <= box.y


@given(boxes, places, places)
def test_a_moved_box_keeps_its_size(box: Box, dx: float, dy: float) -> None:
    assert box.moved(dx, dy) == Box(box.x + dx, box.y + dy, box.w, box.h)


@given(boxes)
def test_a_rounded_box_is_equal_after_it_was_written_and_read(box: Box) -> None:
    rounded = box.rounded()
    assert rounded.rounded() == rounded
    assert Box(*json.loads(json.dumps([rounded.x, rounded.y, rounded.w, rounded.h]))) == rounded
    assert rounded.x == pytest.approx(box.x, abs=0.0051)
    assert rounded.w == pytest.approx(box.w, abs=0.0051)


@given(boxes, boxes)
def test_overlap_is_symmetric_and_between_nothing_and_all(a: Box, b: Box) -> None:
    share = intersection_over_union(a, b)
    assert 0 <= share <= 1 + 1e-9
    assert share == pytest.approx(intersection_over_union(b, a))
    assert intersection_over_union(a, a) == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize(
    ("other", "share"),
    [
        (Box(0, 0, 10, 10), 1),
        (Box(5, 0, 10, 10), 1 / 3),
        (Box(0, 0, 5, 5), 1 / 4),
        (Box(10, 0, 10, 10), 0),
        (Box(50, 50, 10, 10), 0),
        (Box(2, 2, 0, 5), 0),
    ],
)
def test_overlap_of_known_boxes(other: Box, share: float) -> None:
    assert intersection_over_union(Box(0, 0, 10, 10), other) == pytest.approx(share)


@given(boxes, boxes, st.floats(0, 1))
def test_between_two_boxes_every_coordinate_is_between_theirs(a: Box, b: Box, share: float) -> None:
    between = interpolated(a, b, share)
    for name in ("x", "y", "w", "h"):
        low, high = sorted((getattr(a, name), getattr(b, name)))
        assert low - 1e-6 <= getattr(between, name) <= high + 1e-6
    assert interpolated(a, b, 0) == a


def test_a_box_without_extent_has_no_area() -> None:
    assert Box(0, 0, -5, 10).area == 0
    assert Box(0, 0, 4, 5).area == 20


@given(boxes, st.integers(1, 4000), st.integers(1, 4000), st.sampled_from([1, 2, 4]))
def test_a_covering_region_lies_in_the_picture_and_covers_what_is_in_it(
    box: Box, width: int, height: int, align: int
) -> None:
    region = covering_region(box, width, height, align)
    assert region.x0 >= 0
    assert region.y0 >= 0
    assert region.x1 <= width
    assert region.y1 <= height
    assert region.x0 <= max(0, box.x)
    assert region.y0 <= max(0, box.y)
    assert region.x1 >= min(width, box.x + box.w)
    assert region.y1 >= min(height, box.y + box.h)
    assert region.x0 % align == 0
    assert region.x1 % align == 0 or region.x1 == width


@pytest.mark.parametrize(
    ("region", "empty"), [(Region(0, 0, 1, 1), False), (Region(1, 0, 1, 1), True), (Region(0, 2, 1, 1), True)]
)
def test_a_region_is_empty_when_it_holds_no_pixel(region: Region, empty: bool) -> None:
    assert region.empty is empty


def test_a_box_outside_the_picture_covers_nothing() -> None:
    assert covering_region(Box(-50, 0, 40, 40), 100, 100).empty
    assert covering_region(Box(120, 0, 40, 40), 100, 100).empty
