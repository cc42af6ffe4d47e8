"""All that a drawn ellipse or polygon touches is covered with full strength, in every plane; the rest is not."""

import av
import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from farm.domain.geometry import Box, Region
from farm.domain.options import Override, RedactOptions
from farm.domain.polygon import Polygon, ellipse_in
from farm.domain.track import TrackedBox, look_of
from farm.media.planes import format_of, planes_of
from workers.vision.redactors.base import create_redactor
from workers.vision.redactors.covers import FULL
from workers.vision.redactors.outlines import polygon_weights
from workers.vision.redactors.painting import paint_all

SIZE = 96, 64
Mask = NDArray[np.bool_]
numbers = st.one_of(st.floats(-20, 120), st.floats(-1e5, 1e5))
polygons = st.lists(st.tuples(numbers, numbers), min_size=3, max_size=9).map(lambda c: Polygon(tuple(c)).rounded())


def touched(polygon: Polygon, width: int, height: int) -> Mask:
    """The pixels that a polygon touches or encloses, by either rule where its sides cross."""
    found = np.zeros((height, width), bool)
    crossings, turns = np.zeros((2, height, width), int)
    rows, columns = np.mgrid[0:height, 0:width] + 0.5
    for (ax, ay), (bx, by) in polygon.sides():
        share = np.linspace(0, 1, 4000)
        x, y = np.floor(ax + (bx - ax) * share).astype(int), np.floor(ay + (by - ay) * share).astype(int)
        near = (x >= 0) & (y >= 0) & (x < width) & (y < height)
        found[y[near], x[near]] = True
        if ay != by:
            crossed = ((ay > rows) != (by > rows)) & (columns < ax + (bx - ax) * (rows - ay) / (by - ay))
            crossings += crossed
            turns += np.where(crossed, 1 if by > ay else -1, 0)
    everything: Mask = found | (crossings % 2 == 1) | (turns != 0)
    return everything


@settings(deadline=None, max_examples=80)
@given(polygons, st.sampled_from([0.1, 1.0, 7.3]))
def test_what_a_polygon_touches_or_encloses_has_full_strength(polygon: Polygon, reach: float) -> None:
    weights = polygon_weights(polygon, reach, Region(0, 0, *SIZE), FULL)
    assert (weights[touched(polygon, *SIZE)] == FULL).all()


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.floats(0, 96), st.floats(0, 64)), min_size=3, max_size=9), st.sampled_from([0.1, 5.0]))
def test_what_is_farther_than_its_reach_is_not_covered(corners: list[tuple[float, float]], reach: float) -> None:
    polygon = Polygon(tuple(corners)).rounded()
    weights = polygon_weights(polygon, reach, Region(0, 0, *SIZE), FULL)
    drawn = touched(polygon, *SIZE).astype(np.uint8)
    outer, _ = cv2.findContours(drawn, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(drawn, outer, -1, 1, cv2.FILLED)
    away = cv2.distanceTransform(1 - drawn, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    assert (weights[away > reach + 4] == 0).all()


def test_where_sides_cross_all_that_they_enclose_is_covered() -> None:
    twice = Polygon(((10, 10), (60, 10), (60, 50), (10, 50), (20, 20), (50, 20), (50, 40), (20, 40)))
    against = Polygon(((10, 10), (60, 10), (60, 50), (10, 50), (10, 10), (30, 20), (30, 60), (80, 60), (80, 20)))
    for polygon in (twice, against):
        weights = polygon_weights(polygon, 0.5, Region(0, 0, *SIZE), FULL)
        assert (weights[20:40, 20:50] == FULL).all()


STAR = Polygon(
    ((50.5, 8.2), (60, 30), (90.3, 31), (66, 44), (75, 60.4), (50, 50), (21.7, 59), (33, 42), (9, 30), (40, 29))
)


@pytest.mark.parametrize("fields", [False, True])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "yuv410p", "gray", "gbrp", "bgra"])
@pytest.mark.parametrize("drawn", ["polygon", "ellipse"])
def test_drawn_shapes_are_covered_in_every_plane_and_the_rest_is_untouched(
    pix_fmt: str, drawn: str, fields: bool
) -> None:
    box = Box(20.3, 10.7, 50, 31.1)
    if drawn == "polygon":
        added = TrackedBox(-1, STAR.bounds, polygon=STAR)
    else:
        added = TrackedBox(-1, box, override=Override(shape="ellipse", margin=0.0))
    options = RedactOptions(style="solid", margin=0.0)
    frame = av.VideoFrame(*SIZE, pix_fmt)
    for plane in planes_of(frame):
        plane[...] = 200
    look = look_of(added, options)
    paint_all(frame, [([added.area], create_redactor(options), look)], fields=fields)
    shape = STAR if drawn == "polygon" else ellipse_in(box, 400)
    inside, layout = touched(shape, *SIZE), format_of(pix_fmt)
    grown = added.area.grown(look.margin)
    for number, plane in enumerate(planes_of(frame)):
        chroma = layout.family == "yuv" and number > 0
        across, down = (layout.across, layout.down) if chroma else (1, 1)
        blocks = inside.reshape(SIZE[1] // down, down, SIZE[0] // across, across).any(axis=(1, 3))
        covered = layout.neutral if chroma else (0 if layout.family == "rgb" else 16 << (layout.bits - 8))
        assert (plane[blocks] == covered).all()
        rows, columns = np.arange(plane.shape[0]) * down, np.arange(plane.shape[1]) * across
        edge = 2 * max(across, 2 * down)
        far = ((rows < grown.y - edge) | (rows > grown.y + grown.h + edge))[:, None] | (
            (columns < grown.x - edge) | (columns > grown.x + grown.w + edge)
        )[None, :]
        assert (plane[far] == 200).all()
    if drawn == "polygon":
        assert planes_of(frame)[0][12, 15] == 200  # between the points of the star
