"""Key frames of a carried box: what is left out lies between those that are kept."""

from hypothesis import given
from hypothesis import strategies as st

from farm.domain.carrying import Carried, Carry, load_carried, load_carry, thinned
from farm.domain.edits import KeyFrame
from farm.domain.geometry import Box
from farm.domain.masks import at

SIDES = st.floats(5, 200).map(lambda n: round(n, 2))
PLACES = st.floats(-100, 1000).map(lambda n: round(n, 2))
BOXES = st.builds(Box, PLACES, PLACES, SIDES, SIDES)
PATHS = st.lists(st.tuples(st.integers(1, 9), BOXES), min_size=1, max_size=30)
STEPS = st.lists(st.tuples(st.floats(-3, 3), st.floats(-1, 1)), min_size=1, max_size=250)


def keys_of(path: list[tuple[int, Box]]) -> list[KeyFrame]:
    keys, pts = [], 0
    for step, box in path:
        pts += step
        keys.append(KeyFrame(pts, box))
    return keys


def walk(steps: list[tuple[float, float]]) -> list[KeyFrame]:
    """A box that moves and grows a little from frame to frame."""
    x, size, keys = 100.0, 40.0, []
    for pts, (dx, growth) in enumerate(steps):
        x, size = x + dx, max(10.0, size + growth)
        keys.append(KeyFrame(pts, Box(x, 2 * x, size, size * 1.3).rounded()))
    return keys


@given(st.one_of(PATHS.map(keys_of), STEPS.map(walk)))
def test_a_box_misses_by_less_than_a_fiftieth_where_key_frames_are_left_out(keys: list[KeyFrame]) -> None:
    left = list(thinned(keys))
    assert (left[0], left[-1]) == (keys[0], keys[-1])
    assert set(left) <= set(keys)
    for key in keys:
        box, most = at(left, key.pts).box, 0.02 * min(key.box.w, key.box.h) + 1e-6
        for edge, other in ((key.box.x, box.x), (key.box.y + key.box.h, box.y + box.h)):
            assert abs(edge - other) <= most


def test_a_box_that_moves_evenly_has_few_key_frames() -> None:
    keys = [KeyFrame(n, Box(3.0 * n, 5, 20, 20)) for n in range(250)]
    assert len(list(thinned(keys))) == 4  # one for a hundred frames
    assert list(thinned([])) == []


@given(PATHS.map(keys_of), st.none() | st.integers(), st.none() | st.integers())
def test_what_is_asked_for_and_found_comes_back(keys: list[KeyFrame], before: int | None, after: int | None) -> None:
    found = Carried(tuple(keys), before, after)
    assert load_carried(found.dump()) == found
    asked = Carry(keys[0], -3, 9)
    assert load_carry(asked.request()) == asked
