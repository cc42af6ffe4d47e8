"""Presets, and the sizes of a look."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.domain.detectors import LARGEST_SIZE, QUALITIES, DetectOptions
from farm.domain.quality import PRESETS, resolved, size_of, sizes

lengths = st.integers(64, LARGEST_SIZE)


@pytest.mark.parametrize(
    ("size", "all_of_them"),
    [(64, (64,)), (640, (640,)), (1280, (1280, 640)), (1920, (1920, 1280, 640)), (3840, (3840, 2560, 1280, 640))],
)
def test_a_large_size_has_smaller_ones_beside_it(size: int, all_of_them: tuple[int, ...]) -> None:
    assert sizes(size) == all_of_them


@given(lengths, lengths)
def test_a_larger_size_finds_a_face_of_any_size_that_a_smaller_one_finds(one: int, other: int) -> None:
    """It is shown at least as large, and at most thrice as large or in a picture of 640 that it may fill."""
    small, large = sizes(min(one, other)), sizes(max(one, other))
    for size in small:
        assert any(size <= own <= max(3 * size, 640) for own in large)


def test_every_quality_has_a_preset_that_can_be_used() -> None:
    assert tuple(PRESETS) == QUALITIES
    costs = []
    for quality in QUALITIES:
        looks = resolved(DetectOptions(quality=quality))
        assert looks.threshold is None
        costs.append(sum(size**2 for size in looks.sizes) / looks.every)
    assert costs == sorted(costs)
    default = resolved(DetectOptions())
    assert default == resolved(DetectOptions(quality="balanced"))
    assert [one.network.name for one in default.networks] == ["centerface"]  # the weights that an index carries


def test_what_is_said_comes_before_the_preset() -> None:
    asked = DetectOptions(quality="thorough", detector="stub", size=320, every=3, tiles=2, threshold=0.2, merge="wbf")
    looks = resolved(asked)
    assert [one.network.name for one in looks.networks] == ["stub"]
    assert (looks.sizes, looks.every, looks.tiles, looks.threshold, looks.merge) == ((320,), 3, 2, 0.2, "wbf")


@pytest.mark.parametrize(
    ("values", "size"),
    [({}, 1280), ({"size": 640}, 640), ({"size": None, "quality": "thorough"}, 1920), ({"quality": "best"}, 1280)],
)
def test_the_size_of_a_job_of_any_version(values: dict[str, object], size: int) -> None:
    assert size_of(values) == size


@given(lengths, lengths)
def test_a_small_size_has_stricter_thresholds(one: int, other: int) -> None:
    small, large = (resolved(DetectOptions(size=size)).factor for size in sorted((one, other)))
    assert PRESETS["balanced"].factor <= large <= small < 1
