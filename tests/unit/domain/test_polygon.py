"""What a polygon encloses, and how it moves: against a count of the pixels' centres."""

from itertools import product

from hypothesis import given
from hypothesis import strategies as st

from farm.domain.detection import Detection
from farm.domain.edits import Action, Edit, KeyFrame, checked_polygon, load_edit
from farm.domain.geometry import Box
from farm.domain.masks import apply
from farm.domain.options import Look, Override, RedactOptions
from farm.domain.polygon import Polygon, ellipse_in, rectangle
from farm.domain.residuals import Residuals, covered_share
from farm.domain.track import FrameTracks, TrackedBox, dump_frame, load_frame, look_of

ARROW = checked_polygon([[0, 0], [40, 0], [40, 40], [20, 10], [0, 40]])
corners = st.lists(st.tuples(st.integers(-20, 60), st.integers(-20, 60)), min_size=3, max_size=9)
boxes = st.builds(Box, st.integers(-10, 50), st.integers(-10, 50), st.integers(1, 30), st.integers(1, 30))


def inside(polygon: Polygon, x: float, y: float) -> bool:
    """The even-odd rule, counted with a ray downwards."""
    count = 0
    for (ax, ay), (bx, by) in polygon.sides():
        if (ax > x) != (bx > x):
            count += y < ay + (by - ay) * (x - ax) / (bx - ax)
    return count % 2 == 1


@given(corners, boxes)
def test_a_polygon_encloses_a_box_only_if_all_points_of_it_are_inside(some: list[tuple[int, int]], box: Box) -> None:
    polygon = Polygon(tuple((float(x), float(y)) for x, y in some))
    if polygon.encloses(box):
        shares = [0.013, 0.21, 0.5, 0.77, 0.987]
        assert all(inside(polygon, box.x + box.w * a, box.y + box.h * b) for a, b in product(shares, shares))


def test_what_reaches_into_a_notch_is_not_enclosed() -> None:
    assert ARROW.encloses(Box(5, 1, 30, 8))
    assert ARROW.encloses(Box(0, 0, 10, 20))  # as with a box, its edge may be the polygon's
    assert not ARROW.encloses(Box(5, 5, 30, 20))  # its corners are inside
    assert not ARROW.encloses(Box(15, 30, 10, 5))
    assert not ARROW.encloses(Box(-1, 1, 10, 8))
    crossed = Polygon(((0, 0), (30, 0), (30, 30), (0, 30), (0, 0), (30, 0), (30, 30), (0, 30)))
    assert not crossed.encloses(Box(5, 5, 5, 5))  # enclosed twice: in doubt it is not
    box = Box(3, 4, 20, 10)
    assert rectangle(box).encloses(box)
    assert ellipse_in(box).bounds == box


def test_a_polygon_moves_corner_by_corner_and_ignores_what_it_encloses() -> None:
    keys = tuple(KeyFrame.of(pts, Polygon(((x, 0), (x + 10, 0), (x, 10)))) for pts, x in ((2, 0), (6, 40)))
    cover = Edit(action=Action.COVER, number=1, where=keys, override=Override(margin=0.0))
    assert load_edit(cover.body(), number=1) == cover
    masks = list(apply([cover], {}, [FrameTracks(pts, ()) for pts in range(8)], 8))
    polygons = [mask.boxes[0].polygon for mask in masks]
    assert [p and p.corners[0][0] for p in polygons] == [0, 0, 0, 10, 20, 30, 40, 40]
    assert [mask.boxes[0].box for mask in masks] == [p and p.bounds for p in polygons]
    assert [load_frame(dump_frame(mask)) for mask in masks] == masks
    ignore = Edit(action=Action.IGNORE, number=2, where=(KeyFrame.of(0, ARROW),))
    frame = FrameTracks(0, (TrackedBox(1, Box(5, 1, 30, 8)), TrackedBox(2, Box(5, 5, 30, 20))))
    (mask,) = apply([ignore], {}, [frame], 1)
    assert [box.track for box in mask.boxes] == [2]


def test_a_polygon_without_a_style_of_its_own_is_read_as_it_was_written() -> None:
    frame = FrameTracks(3, (TrackedBox(-1, ARROW.bounds, polygon=ARROW), TrackedBox(0, Box(1, 2, 3, 4))))
    assert load_frame(dump_frame(frame)) == frame
    assert look_of(frame.boxes[0], RedactOptions(margin=0.0)) == Look("blur", "rectangle", 0.06)


def test_an_audit_counts_what_a_polygon_encloses_and_not_its_bounds() -> None:
    face = Detection(Box(1, 5, 10, 10), 0.9)
    beside = Detection(Box(16, 30, 8, 8), 0.9)  # inside its bounds, in the notch
    assert covered_share(face.box, [ARROW]) > 0.9
    assert covered_share(beside.box, [ARROW]) == 0
    for covers, exempt in (([ARROW], []), ([], [ARROW])):
        found = Residuals()
        for pts in range(3):
            found.take(pts, (face, beside), covers, exempt)
        assert [residual.box for residual in found.found] == [beside.box]
