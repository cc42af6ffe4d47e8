"""Which findings of an audit are residual faces, and how they are gathered over looks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.domain.detection import FACE, PLATE, Detection
from farm.domain.detectors import DetectOptions
from farm.domain.geometry import Box
from farm.domain.residuals import Audit, Residual, Residuals, covered_share, dump_look, load_audit, load_look

FACE_BOX = Box(100, 100, 40, 50)


def gathered(
    looks: list[list[Detection]], covers: tuple[Box, ...] = (), exempt: tuple[Box, ...] = ()
) -> list[Residual]:
    residuals = Residuals()
    for pts, faces in enumerate(looks):
        residuals.take(10 * pts, faces, covers, exempt)
    assert residuals.looks == len(looks)
    return residuals.found


def seen(x: float = 100, score: float = 0.9, kind: str = FACE) -> Detection:
    return Detection(Box(x, 100, 40, 50), score, kind)


def test_a_face_that_nothing_covers_is_found_once_however_often_it_is_seen() -> None:
    looks = [[seen(100, 0.7)], [seen(108, 0.95)], [], [seen(118, 0.8)], [], [], []]
    (face,) = gathered(looks)
    assert (face.begins, face.ends, face.pts, face.box.x, face.score, face.looks) == (0, 30, 10, 108, 0.95, 3)


def test_what_is_far_apart_in_place_or_time_is_another_face() -> None:
    assert len(gathered([[seen(100), seen(300)]])) == 2
    assert len(gathered([[seen()], [], [], [], [seen()]])) == 2
    assert len(gathered([[seen()], [seen(kind=PLATE)]])) == 2


@pytest.mark.parametrize(
    ("covers", "found"),
    [
        ((FACE_BOX.grown(0.3),), 0),
        ((Box(100, 100, 20, 50), Box(120, 100, 20, 50)), 0),  # together
        ((Box(100, 100, 20, 50),), 1),  # half of it
        ((Box(300, 100, 40, 50),), 1),
    ],
)
def test_a_face_is_residual_where_masks_lack_much_of_it(covers: tuple[Box, ...], found: int) -> None:
    assert len(gathered([[seen()]], covers)) == found


@pytest.mark.parametrize("exempt", [FACE_BOX, FACE_BOX.grown(0.2), Box(0, 0, 400, 400)])
def test_a_face_that_may_be_seen_is_not_residual(exempt: Box) -> None:
    assert gathered([[seen()]], exempt=(exempt,)) == []
    assert len(gathered([[seen()]], exempt=(Box(130, 100, 40, 50),))) == 1


def test_one_weak_finding_is_none_and_three_are_one() -> None:
    assert gathered([[seen(score=0.55)]]) == []
    assert len(gathered([[seen(score=0.55)]] * 3)) == 1
    assert len(gathered([[seen(score=0.66)]])) == 1


SIDES = st.floats(1, 100)
BOXES = st.builds(Box, st.floats(-50, 50), st.floats(-50, 50), SIDES, SIDES)


@given(BOXES, st.lists(BOXES, max_size=4))
def test_the_share_that_boxes_cover(box: Box, covers: list[Box]) -> None:
    share = covered_share(box, covers)
    assert 0 <= share <= 1
    assert covered_share(box, [*covers, box]) == 1
    assert covered_share(box, []) == 0
    assert all(covered_share(box, [cover]) <= share for cover in covers)


def test_lines_and_requests_come_back() -> None:
    faces = (Detection(Box(1.25, -2.5, 3, 4), 0.5, FACE), Detection(Box(0, 0, 1, 1), 1.0, PLATE))
    assert load_look(dump_look(-7, faces)) == (-7, faces)
    audit = Audit(DetectOptions(size=960), 4)
    assert load_audit(audit.request()) == audit
