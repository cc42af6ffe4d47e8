"""Faces at a height, cut, redacted and averaged: on pictures made here."""

import numpy as np
import pytest
from numpy.typing import NDArray

from farm.domain.geometry import Box
from tests.quality.averaging import averaged
from tests.quality.recognition import FULLY, square_of
from tests.quality.redacting import face_at_height
from tests.quality.reid import STYLES, hiding, inverted, options_of

BOX = Box(150, 120, 80, 100)


def picture(finest: int = 4) -> NDArray[np.uint8]:
    """Grey with white squares of ``finest`` pixels in a face, and a black frame around the face."""
    made = np.full((400, 400, 3), 128, np.uint8)
    made[110:230, 140:240] = 0
    rows, columns = np.indices((100, 80)) // finest
    made[120:220, 150:230] = np.where((rows + columns) % 2, 255, 60)[:, :, None]
    return made


@pytest.mark.parametrize("height", [24, 48, 100, 400])
def test_the_box_is_where_the_face_is(height: int) -> None:
    face = face_at_height(picture(200), BOX, height, shift=(3.5, -1.25))
    assert face.box.h == pytest.approx(height)
    assert face.box.w == pytest.approx(0.8 * height, rel=0.02)
    inner = face.box.grown(-0.15)
    cut = face.picture[round(inner.y) : round(inner.y + inner.h), round(inner.x) : round(inner.x + inner.w)]
    assert cut.min() >= 55  # none of the black frame


@pytest.mark.parametrize("aspect", [0.6, 0.8, 1.0, 1.4])
def test_the_square_lies_in_the_cover(aspect: float) -> None:
    box = Box(10, 20, 100 * aspect, 100)
    square = square_of(box, 0.3)
    assert square.w == pytest.approx(square.h)
    assert square.centre == pytest.approx(box.centre)
    corner = square.w / 2 / (0.8 * box.w), square.h / 2 / (0.8 * box.h)
    assert np.hypot(*corner) == pytest.approx(FULLY)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("height", [24, 96])
def test_nothing_of_the_squares_remains(style: str, height: int) -> None:
    face = hiding(style)(face_at_height(picture(12), BOX, height))
    middle = face.cut(square_of(BOX_AT(height), 0.3).grown(-0.2))
    assert np.ptp(middle.astype(int).mean(axis=2)) < 30  # of 195
    undone = inverted(face).cut(square_of(BOX_AT(height), 0.3).grown(-0.2))
    assert (
        likeness(undone, face_at_height(picture(12), BOX, height).cut(square_of(BOX_AT(height), 0.3).grown(-0.2))) < 0.4
    )


@pytest.mark.parametrize("style", ["blur", "pixelate"])
def test_many_frames_say_no_more_than_one(style: str) -> None:
    original = face_at_height(picture(12), BOX, 48)
    mean = averaged(picture(12), BOX, 48, options_of(style), seed=3)
    true = original.cut(square_of(original.box, 0.3).grown(-0.2))
    for face in (mean, inverted(mean)):
        assert likeness(face.cut(square_of(face.box, 0.3).grown(-0.2)), true) < 0.4


def BOX_AT(height: float) -> Box:  # noqa: N802 - BOX at another height
    return face_at_height(picture(), BOX, height).box


def likeness(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """The correlation of two pictures of nearly one size."""
    side = min(a.shape[0], b.shape[0])
    x, y = (p[:side, :side].mean(axis=2).ravel() - p[:side, :side].mean() for p in (a, b))
    return abs(float(x @ y)) / max(1e-9, float(np.sqrt((x @ x) * (y @ y))))
