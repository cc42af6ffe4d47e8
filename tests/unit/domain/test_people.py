"""Whose faces tracks show: what votes of faces leave uncovered, in parts of tracks, and why."""

from collections.abc import Sequence
from fractions import Fraction
from math import cos, pi, sin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.domain.faces import Face, Quality, Reference, Vector
from farm.domain.geometry import Box
from farm.domain.grouping import Grouping
from farm.domain.masks import with_ends
from farm.domain.nesting import Nests, nests
from farm.domain.people import Decided, decide
from farm.domain.recognisers import Likeness, Whom
from farm.domain.track import FrameTracks, TrackedBox

LIKENESS = Likeness(alike=0.6, unlike=0.3)
GOOD = Quality(60, 2, 0.1, 100)
FRAMES = 80  # 25 in a second
EVERY = 5

Row = Sequence[float | None]


def vector(angle: float) -> Vector:
    """A face; two of them are as alike as the cosine of the difference between their angles, in right angles."""
    return cos(angle * pi / 2), sin(angle * pi / 2)


ANNA, BOB = Reference("anna.jpg", vector(0)), Reference("bob.jpg", vector(1))


def beside(track: int, number: int) -> Box:
    """Tracks that never meet."""
    return Box(300 * track, 0, 60, 80)


def crossing(track: int, number: int) -> Box:
    """Two tracks that cross in the middle."""
    return Box(8 * number if track == 0 else 8 * (FRAMES - number), 10 * track, 60, 80)


def decided(
    tracks: Sequence[Row],
    references: Sequence[Reference] = (ANNA,),
    whom: Whom = Whom.BUT,
    box: object = beside,
    quality: Quality | None = GOOD,
) -> Decided:
    """``tracks``: the angle of each track's face in every fifth frame; None where none is found."""
    at = box if callable(box) else beside
    frames = [
        FrameTracks(n, tuple(TrackedBox(t, at(t, n)) for t, row in enumerate(tracks) if n < EVERY * len(row)))
        for n in range(FRAMES)
    ]
    faces = [
        Face(t, n, at(t, n), *((None, ()) if row[n // EVERY] is None else (quality, vector(row[n // EVERY] or 0))))
        for n in range(0, FRAMES, EVERY)
        for t, row in enumerate(tracks)
        if n // EVERY < len(row)
    ]
    return decide(lambda: with_ends(frames, FRAMES), iter(faces), references, whom, LIKENESS, Fraction(1, 25))


def free(found: Decided, track: int) -> list[int]:
    """The frames in which a track is not covered."""
    spans = [(e.begins or 0, FRAMES if e.ends is None else e.ends) for e in found.edits if e.track == track]
    return [n for n in range(FRAMES) if any(begins <= n and n + 1 <= ends for begins, ends in spans)]


def test_who_is_on_a_photo_is_kept_and_nobody_else() -> None:
    found = decided([[0.1] * 16, [0.9] * 16])
    (edit,) = found.edits
    assert (edit.track, edit.begins, edit.ends) == (0, None, None)
    assert edit.reason == "kept: 16 of 16 look like anna.jpg (0.99)"
    assert found.known[0].reason == edit.reason
    assert found.known[1].reason == "covered: like nobody who is kept (0.16)"


def test_only_who_is_on_a_photo_is_covered() -> None:
    found = decided([[0.1] * 16, [0.9] * 16, [0.6] * 16], whom=Whom.ONLY)
    (edit,) = found.edits
    assert (edit.track, edit.reason) == (1, "not covered: 16 of 16 are unlike all photos (0.16)")
    assert found.known[0].reason == "covered: 16 of 16 look like anna.jpg (0.99)"
    assert found.known[2].reason == "covered: in doubt, 0 of 16 look like anna.jpg (0.59)"


@pytest.mark.parametrize("whom", [Whom.BUT, Whom.ONLY])
@pytest.mark.parametrize(
    ("row", "quality"),
    [
        ([0.7] * 16, GOOD),  # in doubt
        ([None] * 16, GOOD),
        ([0.1] * 2, GOOD),  # for a moment
        ([0.9] * 2, GOOD),
        ([0.1] * 16, Quality(20, 2, 0.1, 100)),  # small
        ([0.9] * 16, Quality(60, 9, 0.1, 100)),  # no face
        ([0.9] * 16, Quality(60, 2, 0.8, 100)),  # from the side
        ([0.1] * 16, None),
        ([0.1, 0.9] * 8, GOOD),
        ([0.1, 0.7, 0.7] * 5, GOOD),
    ],
)
def test_in_doubt_a_track_is_covered(row: Row, quality: Quality | None, whom: Whom) -> None:
    found = decided([row], whom=whom, quality=quality)
    assert not found.edits
    assert found.known[0].reason.startswith("covered: ")


def test_a_track_that_goes_from_one_person_to_another_is_kept_in_part() -> None:
    switched = [[0.1] * 8 + [0.9] * 8, [0.9] * 8 + [0.1] * 8]
    for whom, track in ((Whom.BUT, 0), (Whom.ONLY, 1)):
        found = decided(switched, whom=whom, box=crossing)
        first, second = free(found, track), free(found, 1 - track)
        assert first[0] == 0
        assert first[-1] <= 35 <= second[0] - 5
        assert second[-1] == FRAMES - 1


def test_a_face_beside_that_says_the_opposite_is_never_passed_over() -> None:
    row: list[float | None] = [0.1] * 16
    row[8] = 0.9
    assert free(decided([row]), 0) == [*range(36), *range(45, 80)]
    row[8] = None
    assert free(decided([row]), 0) == [*range(80)]
    row[6:13] = [None] * 7  # for longer than a moment
    assert free(decided([row]), 0) == [*range(26), *range(65, 80)]


def test_what_a_box_shows_that_lies_on_another_one_is_not_believed() -> None:
    def slowly(track: int, number: int) -> Box:
        return Box(100 + 2 * (number if track == 0 else FRAMES - number), 10 * track, 60, 80)

    hidden: Row = [0.9] * 6 + [0.1] * 5 + [0.9] * 5  # behind Anna, her face is in the box
    found = decided([[0.1] * 16, hidden], box=slowly)
    assert free(found, 0) == [*range(80)]
    assert free(found, 1) == []


def test_the_next_best_person_has_to_be_less_alike() -> None:
    twin = Reference("twin.jpg", vector(0.62))
    assert not decided([[0.3] * 16], (ANNA, twin)).edits
    (edit,) = decided([[0.05] * 16], (ANNA, twin)).edits
    assert edit.reason == "kept: 16 of 16 look like anna.jpg (1.00, next best 0.63)"
    same = Reference("anna again.jpg", vector(0.3))  # two photos of one person are no rivals
    assert len(decided([[0.15] * 16], (ANNA, same)).edits) == 1


def test_two_at_a_time_are_not_one_person() -> None:
    found = decided([[0.1] * 16, [0.12] * 16])
    assert not found.edits
    assert "another face at the same time is as much like anna.jpg" in found.known[0].reason
    (edit,) = decided([[0.05] * 16, [0.7] * 16]).edits
    assert edit.track == 0
    assert len(decided([[0.05] * 16, [0.95] * 16], (ANNA, BOB)).edits) == 2


def test_several_boxes_around_one_face_are_one_person() -> None:
    def around(track: int, number: int) -> Box:
        return Box(100 + number, 100, 200, 240) if track == 0 else Box(150 + number, 150, 100, 120)

    found = decided([[0.1] * 16, [0.1] * 16], box=around)
    assert (free(found, 0), free(found, 1)) == ([*range(80)], [*range(80)])
    assert found.known[0].person == found.known[1].person == 1
    frames = [FrameTracks(n, tuple(TrackedBox(t, crossing(t, n)) for t in (0, 1))) for n in range(FRAMES)]
    assert not nests(frames).together(0, 1)


def test_without_photos_tracks_are_grouped() -> None:
    found = decided([[0.1] * 4, [0.9] * 16, [0.5, 0.1] * 8, [0.1] * 2], (), Whom.EVERYONE)
    assert not found.edits
    assert {track: known.person for track, known in found.known.items()} == {0: 1, 1: 2, 2: 3, 3: None}


def test_tracks_of_one_person_are_a_group_unless_they_are_seen_at_once() -> None:
    def face(track: int, pts: int, angle: float) -> Face:
        return Face(track, pts, Box(0, 0, 9, 9), GOOD, vector(angle))

    grouping = Grouping(LIKENESS)
    for pts in range(30):
        if pts < 10:
            grouping.take(face(4, pts, 0.02))
            grouping.take(face(5, pts, 0.06))
        elif pts < 20:
            grouping.take(face(6, pts, 0.03))
            grouping.take(face(7, pts, 1.2))
        else:
            grouping.take(face(8, pts, 1.2 if pts % 2 else 0.0))  # of two people
    assert grouping.people(Nests([])) == {4: 1, 6: 1, 5: 2, 7: 3}


@given(
    st.lists(st.sampled_from([0.1, 0.2, 0.7, 0.9, 1.0, None]), min_size=16, max_size=16),
    st.sampled_from([Whom.BUT, Whom.ONLY]),
    st.sampled_from([beside, crossing]),
)
def test_what_is_not_covered_lies_between_faces_that_say_so(row: Row, whom: Whom, box: object) -> None:
    found = decided([row, [0.7] * 16], whom=whom, box=box)
    says = [None if a is None or a == 0.7 else (a < 0.5) == (whom is Whom.BUT) for a in row]
    for number in free(found, 0):
        before = [at for at, said in enumerate(says) if said is not None and at * EVERY <= number]
        after = [at for at, said in enumerate(says) if said is not None and at * EVERY >= number]
        assert before or after
        assert all(says[at] for at in (*before[-1:], *after[:1]))
