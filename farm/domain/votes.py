"""The votes of a track's faces: which parts of the track are not covered because of them.

Fail closed, by the parts of a track: it is left uncovered from one face that says so to the next one. Between a face
that says so and one that says the opposite it is covered, since a track may go from one person to another where two
meet. Faces that say nothing (small, turned away, in doubt) are passed over for a moment only, and never where faces
meet. A part needs several faces that say so, and their mean; it neither begins nor ends where two boxes overlap, as
the face in one may be the other's. A stretch in which the track meets no other one shows one person: in doubt about
all of it, none of it is left uncovered.

Faces come one by one, and none is kept: memory does not grow with the length of a track.
"""

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum, auto
from fractions import Fraction
from typing import Self

from farm.domain.edits import KeyFrame
from farm.domain.faces import Face
from farm.domain.recognisers import Likeness, Whom

#: Faces that have to say so, at least; and for each of them, so many may be in doubt.
_VOTES, _DOUBTS = 3, 1
#: Seconds from one face that says so to the next, at most; where faces meet, so long and with no other one between.
_BRIDGE, _MEETING = Fraction(1), Fraction(1, 2)


class Says(Enum):
    """What a face says of its track: not to be covered, to be covered, or nothing."""

    FREE = auto()
    COVER = auto()
    NOTHING = auto()


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one face says. ``likeness``: to the nearest person, ``name``: of that photo; ``second``: to the next
    person, None where there is none. ``told``: whether it can be told whose face it is.
    """

    says: Says
    told: bool = False
    likeness: float = 0.0
    name: str = ""
    second: float | None = None


@dataclass(slots=True)
class Tally:
    """Faces that can be told. ``names``: of the photos that they are most like."""

    count: int = 0
    free: int = 0
    total: float = 0.0
    names: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=lambda: [0, 0.0])  # how many, and their sum

    def take(self, opinion: Opinion) -> None:
        """Count a face."""
        if opinion.told:
            self.count += 1
            self.free += opinion.says is Says.FREE
            self.total += opinion.likeness
            self.names[opinion.name] += 1
            if opinion.second is not None:
                self.seconds = [self.seconds[0] + 1, self.seconds[1] + opinion.second]

    def add(self, other: Self) -> None:
        """Count those of another tally, too."""
        self.count += other.count
        self.free += other.free
        self.total += other.total
        self.names.update(other.names)
        self.seconds = [a + b for a, b in zip(self.seconds, other.seconds, strict=True)]

    @property
    def mean(self) -> float:
        """The mean likeness."""
        return self.total / self.count if self.count else 0.0

    @property
    def name(self) -> str:
        """The photo that most of the faces are most like."""
        return self.names.most_common(1)[0][0] if self.names else ""


@dataclass(slots=True, eq=False)
class Part:
    """A part of a track, from the first to the last face that says that it is not covered.

    ``begins``, ``ends``: in pts, from a frame's beginning to a frame's end. ``whole``: whether all of the track before
    it, and after it, is as it. ``anchor``: where the track is in it. ``spoilt``: it is covered all the same.
    """

    begins: int
    ends: int
    anchor: KeyFrame
    whole: tuple[bool, bool]
    tally: Tally = field(default_factory=Tally)
    since: Tally = field(default_factory=Tally)  # faces after the last one that says so
    nothing: int = 0  # how many after the last one said nothing
    last: int = 0
    met: int = 0  # of the track, then
    told: int = 0
    spoilt: bool = False


@dataclass(slots=True)
class _Stretch:
    """A stretch of a track in which it meets no other one."""

    tally: Tally = field(default_factory=Tally)
    parts: list[Part] = field(default_factory=list)
    contradicted: bool = False


class Votes:
    """The votes of one track. Its frames and faces come in order. ``ticks``: of pts in a second."""

    def __init__(self, whom: Whom, likeness: Likeness, ticks: Fraction, first: int) -> None:
        self.first = self.end = first
        self.tally = Tally()
        self.covers = 0
        self._whom, self._likeness = whom, likeness
        self._bridge, self._meeting = int(_BRIDGE * ticks), int(_MEETING * ticks)
        self._met = 0  # frames in which it met another track
        self._met_before = 0  # then, at the last face
        self._overlaps = False
        self._part: Part | None = None
        self._parts: list[Part] = []
        self._stretch = _Stretch()

    def frame(self, until: int, *, meets: bool, overlaps: bool = False) -> None:
        """Take the next frame, which is shown until a pts.

        ``meets``: the track is near another one; ``overlaps``: its box is on another's, and may show the other's face.
        """
        self.end = until
        self._met += meets or overlaps
        self._overlaps = overlaps

    def face(self, face: Face, opinion: Opinion) -> None:
        """Take a face of the frame that was taken last."""
        if self._met > self._met_before:
            self._close_stretch()
        self._met_before = self._met
        self._stretch.tally.take(opinion)
        if opinion.says is Says.FREE:
            self._free(face, opinion)
        elif opinion.says is Says.COVER:
            self.covers += 1
            self._stretch.contradicted = True
            self._part = None
        elif self._part:
            self._part.nothing += 1
            self._part.since.take(opinion)
        self.tally.take(opinion)

    def _free(self, face: Face, opinion: Opinion) -> None:
        part = self._part
        if self._overlaps:  # it goes on through such frames, but neither begins nor ends in them
            if part and self._joins(part, face.pts):
                part.since.take(opinion)
                part.nothing, part.last, part.met = 0, face.pts, self._met
            return
        if part is None or not self._joins(part, face.pts):
            quiet = not self.tally.count and not self._met and face.pts - self.first <= self._bridge
            part = self._part = Part(face.pts, self.end, KeyFrame(face.pts, face.box), (quiet, False))
            self._parts.append(part)
        if part not in self._stretch.parts:
            self._stretch.parts.append(part)
        if min(face.box.w, face.box.h) > min(part.anchor.box.w, part.anchor.box.h):
            part.anchor = KeyFrame(face.pts, face.box)
        part.tally.add(part.since)
        part.tally.take(opinion)
        part.since, part.nothing = Tally(), 0
        part.last, part.ends, part.met, part.told = face.pts, self.end, self._met, self.tally.count + 1

    def _joins(self, part: Part, pts: int) -> bool:
        """Whether nothing is in doubt between the last face of a part and the next one."""
        if self._met > part.met:
            return pts - part.last <= self._meeting and not part.nothing
        return pts - part.last <= self._bridge

    def _close_stretch(self) -> None:
        done, self._stretch = self._stretch, _Stretch()
        if self._whom is Whom.BUT:
            bad = done.tally.count > 0 and done.tally.mean < self._likeness.alike - self._likeness.margin
        else:
            bad = done.contradicted
        for part in done.parts:
            part.spoilt |= bad

    def parts(self) -> list[Part]:
        """The parts that are not covered, after the last frame."""
        self._close_stretch()
        for part in self._parts:
            quiet = part.told == self.tally.count and part.met == self._met and self.end - part.ends <= self._bridge
            part.whole = part.whole[0], quiet
        return [part for part in self._parts if self._holds(part)]

    def _holds(self, part: Part) -> bool:
        mean, tally = part.tally.mean, part.tally
        sure = mean >= self._likeness.alike if self._whom is Whom.BUT else mean < self._likeness.unlike
        return sure and not part.spoilt and tally.free >= _VOTES and tally.count - tally.free <= _DOUBTS * tally.free
