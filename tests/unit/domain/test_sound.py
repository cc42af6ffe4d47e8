"""Which spans of the sound follow from edits."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.domain.edits import OF_SOUND, Action, Edit, digest_of, of_masks
from farm.domain.sound import SoundSpan, load_spans, sound_spans

MUTE, BEEP = Action.MUTE, Action.BEEP


def said(*edits: tuple[Action, int | None, int | None]) -> list[Edit]:
    return [Edit(action=a, number=n, begins=b, ends=e) for n, (a, b, e) in enumerate(edits, start=1)]


def test_the_later_of_two_edits_counts_where_they_overlap() -> None:
    assert sound_spans(said((MUTE, 10, 30), (BEEP, 20, 40))) == (SoundSpan(MUTE, 10, 20), SoundSpan(BEEP, 20, 40))
    assert sound_spans(said((BEEP, 20, 40), (MUTE, 10, 30))) == (SoundSpan(MUTE, 10, 30), SoundSpan(BEEP, 30, 40))


def test_equal_neighbours_are_one_span_and_open_ends_stay_open() -> None:
    assert sound_spans(said((MUTE, 10, 20), (MUTE, 20, 30), (MUTE, None, 11))) == (SoundSpan(MUTE, None, 30),)
    assert sound_spans(said((BEEP, None, None))) == (SoundSpan(BEEP),)


def test_an_undone_edit_and_edits_of_masks_make_no_span() -> None:
    edits = [*said((MUTE, 1, 2)), Edit(action=Action.UNDO, number=2, undoes=1), Edit(action=Action.COVER, number=3)]
    assert sound_spans(edits) == ()


def test_masks_do_not_depend_on_edits_of_sound() -> None:
    cover = Edit(action=Action.IGNORE, number=1)
    assert of_masks([cover, replace(said((MUTE, 1, 2))[0], number=2)]) == (cover,)
    assert digest_of(of_masks(said((MUTE, 1, 2)))) == digest_of(())


TIMES = st.tuples(st.none() | st.integers(0, 9), st.none() | st.integers(10, 20)) | st.tuples(
    st.integers(0, 9), st.integers(10, 20)
)


@given(st.lists(st.tuples(st.sampled_from(OF_SOUND), TIMES), max_size=8))
def test_each_moment_is_as_the_last_edit_of_it_says(rows: list[tuple[Action, tuple[int | None, int | None]]]) -> None:
    edits = said(*((action, *times) for action, times in rows))
    spans = sound_spans(edits)
    assert load_spans([span.row() for span in spans]) == spans
    for moment in range(-1, 22):
        holding = [s.action for s in (*edits,) if _holds(s.begins, s.ends, moment)]
        assert [s.action for s in spans if _holds(s.begins, s.ends, moment)] == holding[-1:]


def _holds(begins: int | None, ends: int | None, moment: int) -> bool:
    return (begins is None or begins <= moment) and (ends is None or moment < ends)


@pytest.mark.parametrize(
    "rows",
    [
        [{"action": "drop", "from": 1, "to": 2}],
        [{"action": "mute", "from": 1}],
        [{"action": "mute", "from": 1.5, "to": 2}],
        [{"action": "mute", "from": True, "to": 2}],
        [{"action": "mute", "from": 3, "to": 2}],
        [{"action": "mute", "from": 1, "to": 5}, {"action": "beep", "from": 4, "to": 6}],
    ],
)
def test_what_is_no_span_is_refused(rows: list[dict[str, object]]) -> None:
    with pytest.raises(ValueError, match=r"span|not a valid"):
        load_spans(rows)
