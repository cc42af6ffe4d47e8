"""The eight orientations: what a matrix means, and where a box of the upright picture lies in the coded one."""

from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from farm.domain.geometry import Box
from farm.domain.manifest import VideoStream
from farm.domain.orientation import coded_box, is_sideways, orientation_of, upright_size

ONE = 1 << 16
WIDTH, HEIGHT = 7, 4
CODED = np.arange(WIDTH * HEIGHT).reshape(HEIGHT, WIDTH)
#: EXIF's own words: which side of the coded picture row 0 and column 0 of the upright one are.
UPRIGHT = {
    1: CODED,
    2: CODED[:, ::-1],
    3: CODED[::-1, ::-1],
    4: CODED[::-1],
    5: CODED.T,
    6: np.rot90(CODED, -1),
    7: CODED[::-1, ::-1].T,
    8: np.rot90(CODED, 1),
}
MATRICES = {
    1: (1, 0, 0, 1),
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, 1, 1, 0),
    6: (0, 1, -1, 0),
    7: (0, -1, -1, 0),
    8: (0, -1, 1, 0),
}


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_every_upright_pixel_is_found_in_the_coded_picture(orientation: int) -> None:
    upright: NDArray[np.int64] = UPRIGHT[orientation]
    assert upright_size(WIDTH, HEIGHT, orientation) == upright.shape[::-1]
    assert is_sideways(orientation) == (upright.shape[0] == WIDTH)
    for y, x in np.ndindex(upright.shape):
        box = coded_box(Box(x, y, 1, 1), WIDTH, HEIGHT, orientation)
        assert (box.w, box.h) == (1, 1)
        assert CODED[int(box.y), int(box.x)] == upright[y, x]


@pytest.mark.parametrize("aspect", [None, Fraction(2), Fraction(1, 2)])
@pytest.mark.parametrize("orientation", MATRICES)
def test_a_box_as_shown_is_found_in_the_coded_picture_and_back(orientation: int, aspect: Fraction | None) -> None:
    a, b, c, d = (ONE * value for value in MATRICES[orientation])
    video = VideoStream(
        0, "h264", 640, 480, "yuv420p", Fraction(1, 25), None, aspect, 2, 2, 2, 2,
        matrix=(a, b, 0, c, d, 0, 0, 0, 1 << 30),
    )  # fmt: skip
    wide, high = video.shown_size
    box = Box(20, 30, 40, 80)
    assert video.shown_box(video.coded_box(box)) == box
    assert video.coded_box(Box(0, 0, wide, high)) == Box(0, 0, 640, 480)
    assert is_sideways(orientation) == (wide < high if aspect != Fraction(1, 2) else wide > high)


@pytest.mark.parametrize("orientation", MATRICES)
@pytest.mark.parametrize("scale", [ONE, 2 * ONE])
def test_a_matrix_says_which(orientation: int, scale: int) -> None:
    a, b, c, d = (scale * value for value in MATRICES[orientation])
    assert orientation_of((a, b, 0, c, d, 0, 640 * ONE, 0, 1 << 30)) == orientation


def test_no_matrix_is_upright() -> None:
    assert orientation_of(None) == 1


def test_a_matrix_in_between_is_the_nearest() -> None:
    a, b = round(ONE * 0.99), round(ONE * 0.14)  # 8 degrees
    assert orientation_of((a, b, 0, -b, a, 0, 0, 0, 1 << 30)) == 1
