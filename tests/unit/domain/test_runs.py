"""The runs of a chunk: what is copied, and what is encoded."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.domain.runs import Group, plan_runs


@st.composite
def chunks(draw: st.DrawFn) -> tuple[int, list[Group], list[bool]]:
    groups, at = list[Group](), 0
    for size, whole in draw(st.lists(st.tuples(st.integers(1, 5), st.booleans()), max_size=12)):
        if whole:
            groups.append((at, at + size))
        at += size
    return at, groups, draw(st.lists(st.booleans(), min_size=at, max_size=at))


@given(chunks())
def test_runs_copy_just_the_untouched_groups(chunk: tuple[int, list[Group], list[bool]]) -> None:
    frames, groups, touched = chunk
    runs = plan_runs(frames, groups, touched)
    numbers = [n for run in runs for n in range(run.first, run.end)]
    assert numbers == list(range(frames))
    assert all(a.copied != b.copied for a, b in pairwise(runs))
    copied = [n for run in runs if run.copied for n in range(run.first, run.end)]
    assert copied == [n for first, end in groups if not any(touched[first:end]) for n in range(first, end)]
    kept = [group for run in runs for group in run.groups]
    assert [n for first, end in kept for n in range(first, end)] == copied


@pytest.mark.parametrize("groups", [[(0, 2), (1, 3)], [(2, 5)], [(2, 2)], [(-1, 1)]])
def test_groups_that_do_not_fit_are_refused(groups: list[Group]) -> None:
    with pytest.raises(ValueError, match="does not follow"):
        plan_runs(4, groups, [False] * 4)


def test_each_frame_is_touched_or_not() -> None:
    with pytest.raises(ValueError, match="of 4"):
        plan_runs(4, [], [False])
