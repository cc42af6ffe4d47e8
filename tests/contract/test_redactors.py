"""What every redaction style keeps to."""

import numpy as np
import pytest
from numpy.typing import NDArray

from farm.domain.options import STYLES, load_options
from workers.vision.redactors.base import Patch, Redactor, create_redactor


@pytest.fixture(params=sorted(STYLES))
def redactor(request: pytest.FixtureRequest) -> Redactor:
    return create_redactor(load_options({"redact": {"style": request.param}}).redact)


def plane(rows: int, columns: int) -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (rows + 4, columns + 4), np.uint8)[2:-2, 2:-2]


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 2), (33, 64), (400, 300)])
@pytest.mark.parametrize("cells", [(1, 1), (6, 9)])
def test_shape_type_and_source_untouched(redactor: Redactor, shape: tuple[int, int], cells: tuple[int, int]) -> None:
    pixels = plane(*shape)
    before = pixels.copy()
    within = min(cells[0], shape[1]), min(cells[1], shape[0])
    (content,) = redactor([Patch(pixels, within, 16)])
    assert content.shape == shape
    assert content.dtype == np.uint8
    assert (pixels == before).all()
    assert not np.shares_memory(content, pixels)


def test_equal_patches_give_equal_contents(redactor: Redactor) -> None:
    patches = [Patch(plane(50, 40), (6, 8), 16) for _ in range(2)]
    first, second = redactor(patches)
    (alone,) = redactor(patches[:1])
    assert (first == second).all()
    assert (first == alone).all()


def test_fine_structure_is_gone(redactor: Redactor) -> None:
    (content,) = redactor([Patch(plane(120, 120), (8, 8), 16)])
    assert content.astype(float).std() < 12  # of 74


@pytest.mark.parametrize("periods", [3, 4.5, 6, 9, 11.5, 12, 17, 24])
@pytest.mark.parametrize("phase", [0.0, 0.8, 1.6])
def test_nothing_finer_than_a_third_of_the_face_remains(redactor: Redactor, periods: float, phase: float) -> None:
    # wherever it lies over the cells: what aliases into them could be gathered from the frames of a moving face
    wave = 100 * np.sin(np.linspace(0, 2 * np.pi * periods, 240) + phase)
    pixels = np.tile(np.rint(128 + wave).astype(np.uint8), (240, 1))
    for turned in (pixels, np.ascontiguousarray(pixels.T)):
        (content,) = redactor([Patch(turned, (6, 6), 16)])
        middle = content[80:160, 80:160].astype(float)  # the picture ends at the edges: that is a broad structure
        assert np.ptp(middle) <= 10  # of 200


def test_pixelate_shows_squares() -> None:
    mosaic = create_redactor(load_options({"redact": {"style": "pixelate"}}).redact)
    (content,) = mosaic([Patch(plane(120, 180), (9, 6), 16)])
    for values in (content, content.T):
        edges = (values[1:] != values[:-1]).any(axis=1)
        assert edges.sum() < values.shape[0] // 20  # a cell is 20 pixels
