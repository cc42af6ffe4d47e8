"""Whose faces tracks show, and which of them are not covered because of that.

Fail closed, by the parts of a track: it is left uncovered from one face that says so to the next one. What lies between
a face that says so and one that says the opposite is covered, since a track may go from one person to another where two
meet. Faces that say nothing (small, turned away, in doubt) are passed over only for a moment, and never where faces
meet. A part needs several faces that say so, and their mean.
"""

from bisect import bisect
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from fractions import Fraction
from itertools import chain, combinations

from farm.domain.edits import KeyFrame
from farm.domain.faces import Face, Reference, alike
from farm.domain.recognisers import Likeness, Whom
from farm.domain.sampling import meetings
from farm.domain.track import FrameTracks

#: Faces that have to say so, at least, and the share of those in doubt between them, at most.
_VOTES, _DOUBTS = 3, Fraction(1, 2)
#: Seconds between two faces that say so, at most; where faces meet, so long and with none between them.
_BRIDGE, _MEETING = Fraction(1), Fraction(1, 2)
#: Two tracks that are seen at the same time for longer than this are two people.
_TOGETHER = Fraction(1)


class Says(Enum):
    """What a face says of its track: not to be covered, to be covered, or nothing."""

    FREE = auto()
    COVER = auto()
    NOTHING = auto()


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one face says. ``likeness``: to the nearest person, ``name``: of that photo; ``second``: to the next
    person; None where there is none. ``told``: whether it can be told whose face it is.
    """

    face: Face
    says: Says
    told: bool = False
    likeness: float = 0.0
    name: str = ""
    second: float | None = None


@dataclass(slots=True)
class Course:
    """When a track is seen, in pts: from ``first`` until ``end``; ``met``: from and until it meets another one."""

    first: int
    end: int
    met: list[tuple[int, int]] = field(default_factory=list)

    def meets(self, begins: int, ends: int) -> bool:
        """Whether the track meets another one between two times."""
        return any(since < ends and until > begins for since, until in self.met)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a track that is not covered: from ``begins`` to ``ends`` (pts; None: its own beginning or end).

    ``anchor``: where the track is in it. ``opinions``: of the faces that can be told.
    """

    begins: int | None
    ends: int | None
    anchor: KeyFrame
    opinions: tuple[Opinion, ...]

    @property
    def name(self) -> str:
        """The photo that most of the faces are like."""
        return _commonest(self.opinions)

    @property
    def likeness(self) -> float:
        """The mean likeness of its faces."""
        return _mean(self.opinions)


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided for a track, and why."""

    track: int
    parts: tuple[Part, ...]
    reason: str


def courses(frames: Iterable[tuple[FrameTracks, int]]) -> dict[int, Course]:
    """The course of each track. ``frames``: of the video, each with the pts up to which it is shown."""
    found: dict[int, Course] = {}
    for frame, until in frames:
        for box in frame.boxes:
            found.setdefault(box.track, Course(frame.pts, until)).end = until
        for track in {track for pair in meetings(frame.boxes) for track in pair}:
            met = found[track].met
            if met and met[-1][1] == frame.pts:
                met[-1] = met[-1][0], until
            else:
                met.append((frame.pts, until))
    return found


class Judge:
    """Decides for tracks. ``whom``: who is covered; ``time_base``: seconds of a tick of pts."""

    def __init__(self, references: Sequence[Reference], whom: Whom, likeness: Likeness, time_base: Fraction) -> None:
        self._people = _people(references, likeness.alike)
        self._whom, self._likeness = whom, likeness
        self._bridge, self._meeting, self._together = (
            int(seconds / time_base) for seconds in (_BRIDGE, _MEETING, _TOGETHER)
        )

    def decide(self, courses: Mapping[int, Course], faces: Iterable[Face], ends: Mapping[int, int]) -> list[Decision]:
        """The decision for each track, by its number. ``faces``: those that were looked at; ``ends``: for the pts of
        each of their frames, the pts up to which it is shown.
        """
        opinions: dict[int, list[Opinion]] = defaultdict(list)
        for face in sorted(faces, key=lambda face: face.pts):
            opinions[face.track].append(self.opinion(face))
        parts = {track: self._parts(course, opinions[track], ends) for track, course in courses.items()}
        rivals = self._rivals(courses, parts) if self._whom is Whom.BUT else set[tuple[int, Part]]()
        found = []
        for track in sorted(courses):
            left = tuple(part for part in parts[track] if (track, part) not in rivals)
            found.append(Decision(track, left, self._reason(left, parts[track], opinions[track])))
        return found

    def opinion(self, face: Face) -> Opinion:
        """What a face says."""
        if not face.says(self._likeness):
            return Opinion(face, Says.NOTHING)
        scored = sorted(
            (max((alike(face.vector, photo.vector), photo.name) for photo in person) for person in self._people),
            reverse=True,
        )
        best, name = scored[0]
        second = scored[1][0] if len(scored) > 1 else None
        clear = second is None or best - second >= self._likeness.margin
        same, other = best >= self._likeness.alike, best < self._likeness.unlike
        says = Says.NOTHING
        if self._whom is Whom.BUT:
            says = Says.FREE if same and clear else Says.COVER if other else Says.NOTHING
        elif self._whom is Whom.ONLY:
            says = Says.FREE if other else Says.COVER if same else Says.NOTHING
        return Opinion(face, says, True, best, name, second)

    def _parts(self, course: Course, opinions: Sequence[Opinion], ends: Mapping[int, int]) -> list[Part]:
        if self._whom is Whom.ONLY:
            opinions = _without_contradicted(course, opinions)
        runs: list[list[Opinion]] = []
        run: list[Opinion] = []
        for opinion in opinions:
            if opinion.says is Says.COVER:
                runs.append(run)
                run = []
            elif opinion.says is Says.NOTHING or not run or self._joins(course, run, opinion):
                if run or opinion.says is Says.FREE:
                    run.append(opinion)
            else:
                runs.append(run)
                run = [opinion]
        parts = [self._part(course, opinions, run, ends) for run in (*runs, run) if run]
        return [part for part in parts if part]

    def _joins(self, course: Course, run: Sequence[Opinion], opinion: Opinion) -> bool:
        """Whether nothing is in doubt between the last face of a run that says so and ``opinion``."""
        last = next(o for o in reversed(run) if o.says is Says.FREE)
        gap = opinion.face.pts - last.face.pts
        if course.meets(last.face.pts, opinion.face.pts):
            return gap <= self._meeting and run[-1] is last
        return gap <= self._bridge

    def _part(
        self, course: Course, opinions: Sequence[Opinion], run: Sequence[Opinion], ends: Mapping[int, int]
    ) -> Part | None:
        """The part of a track that a run of faces leaves uncovered; None where they do not suffice."""
        free = [opinion for opinion in run if opinion.says is Says.FREE]
        first, last = free[0], free[-1]
        told = tuple(o for o in run if o.told and first.face.pts <= o.face.pts <= last.face.pts)
        mean = _mean(told)
        sure = mean >= self._likeness.alike if self._whom is Whom.BUT else mean < self._likeness.unlike
        if len(free) < _VOTES or len(told) - len(free) > _DOUBTS * len(told) or not sure:
            return None
        end = ends[last.face.pts]
        before = [o for o in opinions if o.face.pts < first.face.pts]
        after = [o for o in opinions if o.face.pts > last.face.pts]
        whole_before = self._is_near(course, course.first, first.face.pts, before)
        whole_after = self._is_near(course, end, course.end, after)
        best = max(free, key=lambda o: min(o.face.box.w, o.face.box.h))
        return Part(
            None if whole_before else first.face.pts,
            None if whole_after else end,
            KeyFrame(best.face.pts, best.face.box),
            told,
        )

    def _is_near(self, course: Course, begins: int, ends: int, opinions: Iterable[Opinion]) -> bool:
        """Whether what is left of a track at one end is short, meets no other and shows no face that can be told."""
        quiet = not any(opinion.told for opinion in opinions)
        return quiet and ends - begins <= self._bridge and not course.meets(begins, ends)

    def _rivals(self, courses: Mapping[int, Course], parts: Mapping[int, Sequence[Part]]) -> set[tuple[int, Part]]:
        """Parts that may not be of the person they look like: another track at the same time looks as much so."""
        claims = [(track, part, _span(courses[track], part)) for track, own in parts.items() for part in own]
        lost: set[tuple[int, Part]] = set()
        for (track, part, span), (other, theirs, at) in combinations(claims, 2):
            if track == other or min(span[1], at[1]) - max(span[0], at[0]) <= self._together:
                continue
            if self._person(part.name) == self._person(theirs.name):
                if part.likeness - theirs.likeness < self._likeness.margin:
                    lost.add((track, part))
                if theirs.likeness - part.likeness < self._likeness.margin:
                    lost.add((other, theirs))
        return lost

    def _person(self, name: str) -> int:
        return next(n for n, person in enumerate(self._people) if any(photo.name == name for photo in person))

    def _reason(self, left: Sequence[Part], parts: Sequence[Part], opinions: Sequence[Opinion]) -> str:
        if left:
            return self.reason(left[0]) if len(left) == 1 else f"in {len(left)} parts: {self.reason(left[0])}"
        told = [opinion for opinion in opinions if opinion.told]
        if not told:
            return "covered: no face in it can be told (small, turned away, or seen for a moment only)"
        name, mean = _commonest(told), _mean(told)
        if parts:
            return f"covered: another face at the same time is as much like {name} ({mean:.2f})"
        same = sum(opinion.likeness >= self._likeness.alike for opinion in told)
        if self._whom is Whom.BUT and all(opinion.says is Says.COVER for opinion in told):
            return f"covered: like nobody who is kept ({mean:.2f})"
        if self._whom is Whom.ONLY and same == len(told):
            return f"covered: {same} of {len(told)} look like {name} ({mean:.2f})"
        return f"covered: in doubt ({same} of {len(told)} look like {name}, {mean:.2f})"

    def reason(self, part: Part) -> str:
        """Why a part of a track is not covered, for people."""
        free, of = sum(opinion.says is Says.FREE for opinion in part.opinions), len(part.opinions)
        if self._whom is Whom.ONLY:
            return f"not covered: {free} of {of} are unlike all photos ({part.likeness:.2f})"
        seconds = [opinion.second for opinion in part.opinions if opinion.second is not None]
        next_best = f", next best {sum(seconds) / len(seconds):.2f}" if seconds else ""
        return f"kept: {free} of {of} look like {part.name} ({part.likeness:.2f}{next_best})"


def _people(references: Sequence[Reference], same: float) -> list[list[Reference]]:
    """The photos of each person: two of which one is like the other are of one."""
    people: list[list[Reference]] = []
    for photo in references:
        near = [person for person in people if any(alike(photo.vector, other.vector) >= same for other in person)]
        people = [person for person in people if person not in near] + [[photo, *chain.from_iterable(near)]]
    return people


def _without_contradicted(course: Course, opinions: Sequence[Opinion]) -> list[Opinion]:
    """Opinions of which those say nothing that another one contradicts, with no meeting between them.

    Where a track has met no other one it shows one person, whose likeness some of the faces do not show.
    """
    covered = [opinion.face.pts for opinion in opinions if opinion.says is Says.COVER]

    def contradicted(pts: int) -> bool:
        at = bisect(covered, pts)
        return any(not course.meets(min(pts, other), max(pts, other) + 1) for other in covered[max(0, at - 1) : at + 1])

    return [
        replace(opinion, says=Says.NOTHING) if opinion.says is Says.FREE and contradicted(opinion.face.pts) else opinion
        for opinion in opinions
    ]


def _span(course: Course, part: Part) -> tuple[int, int]:
    return course.first if part.begins is None else part.begins, course.end if part.ends is None else part.ends


def _mean(opinions: Sequence[Opinion]) -> float:
    return sum(opinion.likeness for opinion in opinions) / len(opinions)


def _commonest(opinions: Sequence[Opinion]) -> str:
    return Counter(opinion.name for opinion in opinions).most_common(1)[0][0]
