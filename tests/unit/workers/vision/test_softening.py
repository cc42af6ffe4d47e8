"""The low-pass filter of faces is that of OpenCV, bit by bit: what is left of a face was measured with that."""

import cv2
import numpy as np
import pytest

from workers.vision.redactors.softening import blurred


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("cells", [(1, 1), (9, 11), (12, 10), (32, 20)])
@pytest.mark.parametrize("fineness", [1, 1.5, 2])
def test_it_is_opencvs(kind: type[np.uint8 | np.uint16], cells: tuple[int, int], fineness: float) -> None:
    wide, high = (int(fineness * side) for side in cells)
    deviations = 2.0 * wide / cells[0], 2.0 * high / cells[1]
    random, peak = np.random.default_rng(3), np.iinfo(kind).max
    planes = [
        random.integers(0, peak, (high, wide), kind, endpoint=True),
        (random.integers(0, 2, (high, wide)) * peak).astype(kind),
        np.full((high, wide), peak, kind),
    ]
    for plane, found in zip(planes, blurred(planes, *deviations), strict=True):
        assert found.dtype == kind
        assert (found == cv2.GaussianBlur(plane, (0, 0), sigmaX=deviations[0], sigmaY=deviations[1])).all()


def test_a_long_line_is_filtered_too() -> None:
    plane = np.random.default_rng(4).integers(0, 256, (12, 300), np.uint8)
    (found,) = blurred([plane], 4.0, 4.0)
    assert (found == cv2.GaussianBlur(plane, (0, 0), sigmaX=4.0)).all()
