"""Whose faces tracks show, and which tracks are not covered because of that. How a track's faces vote:
:mod:`farm.domain.votes`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import chain, combinations
from typing import Any

from farm.domain.detection import FACE
from farm.domain.edits import Action, Edit
from farm.domain.faces import Face, Reference, alike
from farm.domain.grouping import Grouping
from farm.domain.nesting import Nests, inside, nests
from farm.domain.recognisers import Likeness, Whom
from farm.domain.sampling import meetings
from farm.domain.track import FrameTracks
from farm.domain.votes import Opinion, Part, Says, Votes

#: Seconds: two tracks that are seen at the same time for longer are two people, unless they lie in one place.
_TOGETHER = Fraction(1)
#: A box is on another one where they share so much of the smaller one.
_ON = 0.2


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a track: its ``person``, a number, or None; and ``reason``: what was decided for it, and why,
    empty where nothing was to be decided.
    """

    person: int | None = None
    reason: str = ""

    def row(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Decided:
    """What follows from all faces of a video: what is known of each track, and the edits that a rule makes."""

    known: Mapping[int, Known]
    edits: Sequence[Edit] = ()


def decide(
    frames: Callable[[], Iterable[tuple[FrameTracks, int]]],
    faces: Iterator[Face],
    references: Sequence[Reference],
    whom: Whom,
    likeness: Likeness,
    time_base: Fraction,
) -> Decided:
    """Decide for all tracks of a video.

    ``frames``: gives them in order, each with the pts up to which it is shown; ``faces``: those that were looked at, in
    order of their pts; ``references``: of the photos, empty for :attr:`Whom.EVERYONE`. Memory grows with the tracks,
    not with the frames.
    """
    judge, grouping = _Judge(references, whom, likeness), Grouping(likeness)
    nested = nests(frame for frame, _ in frames())
    votes: dict[int, Votes] = {}
    waiting = next(faces, None)
    for frame, until in frames():
        boxes = [box for box in frame.boxes if box.kind == FACE]
        where = {box.track: box.box for box in boxes}
        met = [pair for pair in meetings(boxes) if not nested.together(*pair)]
        overlapping = {track for pair in met if inside(*(where[track] for track in pair)) >= _ON for track in pair}
        meeting = {track for pair in met for track in pair}
        for box in boxes:
            if box.track not in votes:
                votes[box.track] = Votes(whom, likeness, 1 / time_base, frame.pts)
            votes[box.track].frame(until, meets=box.track in meeting, overlaps=box.track in overlapping)
        while waiting is not None and waiting.pts <= frame.pts:
            if waiting.track not in overlapping:
                grouping.take(waiting)
            votes[waiting.track].face(waiting, judge.opinion(waiting))
            waiting = next(faces, None)
    people = grouping.people(nested)
    if whom is Whom.EVERYONE:
        return Decided({track: Known(people.get(track)) for track in sorted(votes)})
    parts = {track: own.parts() for track, own in votes.items()}
    rivals = _rivals(parts, judge, int(_TOGETHER / time_base), nested) if whom is Whom.BUT else set()
    known, edits = {}, []
    for track in sorted(votes):
        left = [part for part in parts[track] if part not in rivals]
        known[track] = Known(people.get(track), judge.reason(votes[track], left, parts[track]))
        edits += [_edit(track, part, judge.of_part(part)) for part in left]
    return Decided(known, edits)


def _edit(track: int, part: Part, reason: str) -> Edit:
    begins = None if part.whole[0] else part.begins
    ends = None if part.whole[1] else part.ends
    return Edit(action=Action.KEEP, track=track, begins=begins, ends=ends, where=(part.anchor,), reason=reason)


class _Judge:
    """What one face says, and reasons in words."""

    def __init__(self, references: Sequence[Reference], whom: Whom, likeness: Likeness) -> None:
        self.people = _people(references, likeness.alike)
        self.margin = likeness.margin
        self._whom, self._likeness = whom, likeness

    def opinion(self, face: Face) -> Opinion:
        if not face.says(self._likeness) or not self.people:
            return Opinion(Says.NOTHING)
        scored = sorted(
            (max((alike(face.vector, photo.vector), photo.name) for photo in person) for person in self.people),
            reverse=True,
        )
        best, name = scored[0]
        second = scored[1][0] if len(scored) > 1 else None
        clear = second is None or best - second >= self._likeness.margin
        same, other = best >= self._likeness.alike, best < self._likeness.unlike
        if self._whom is Whom.BUT:
            says = Says.FREE if same and clear else Says.COVER if other else Says.NOTHING
        else:
            says = Says.FREE if other else Says.COVER if same else Says.NOTHING
        return Opinion(says, told=True, likeness=best, name=name, second=second)

    def person(self, part: Part) -> int:
        """The number of the person that a part looks like."""
        name = part.tally.name
        return next(n for n, person in enumerate(self.people) if any(photo.name == name for photo in person))

    def reason(self, votes: Votes, left: Sequence[Part], parts: Sequence[Part]) -> str:
        if left:
            more = "" if len(left) == 1 else f"in {len(left)} parts: "
            return more + self.of_part(left[0])
        tally = votes.tally
        if not tally.count:
            return "covered: no face in it can be told (small, turned away, or seen for a moment only)"
        like = f"{tally.name} ({tally.mean:.2f})"
        if parts:
            return f"covered: another face at the same time is as much like {like}"
        if self._whom is Whom.BUT and votes.covers == tally.count:
            return f"covered: like nobody who is kept ({tally.mean:.2f})"
        if self._whom is Whom.ONLY and votes.covers == tally.count:
            return f"covered: {tally.count} of {tally.count} look like {like}"
        sure = tally.free if self._whom is Whom.BUT else votes.covers
        return f"covered: in doubt, {sure} of {tally.count} look like {like}"

    def of_part(self, part: Part) -> str:
        """Why a part of a track is not covered."""
        tally = part.tally
        if self._whom is Whom.ONLY:
            return f"not covered: {tally.free} of {tally.count} are unlike all photos ({tally.mean:.2f})"
        count, total = part.tally.seconds
        next_best = f", next best {total / count:.2f}" if count else ""
        return f"kept: {tally.free} of {tally.count} look like {tally.name} ({tally.mean:.2f}{next_best})"


def _people(references: Sequence[Reference], same: float) -> list[list[Reference]]:
    """The photos of each person: two of which one is like the other are of one."""
    people: list[list[Reference]] = []
    for photo in references:
        near = [person for person in people if any(alike(photo.vector, other.vector) >= same for other in person)]
        people = [person for person in people if person not in near] + [[photo, *chain.from_iterable(near)]]
    return people


def _rivals(parts: Mapping[int, Sequence[Part]], judge: _Judge, together: int, nested: Nests) -> set[Part]:
    """Parts that may not be of the person they look like: another track at the same time looks as much so."""
    lost: set[Part] = set()
    claims = [(track, part) for track, own in parts.items() for part in own]
    for (track, a), (other, b) in combinations(claims, 2):
        if track == other or nested.together(track, other):
            continue
        if min(a.ends, b.ends) - max(a.begins, b.begins) <= together:
            continue
        if judge.person(a) == judge.person(b):
            lost |= {one for one, rival in ((a, b), (b, a)) if one.tally.mean - rival.tally.mean < judge.margin}
    return lost
