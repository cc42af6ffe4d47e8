"""Link the detections of successive frames into tracks without gaps.

Boxes are linked, filled and held in the coordinates of the shot: those of its first frame, with the measured motion of
the camera taken out. A face that stands still is then still, however the camera shakes; what is extrapolated is the
motion of the face itself.

Times are seconds, but looks are frames apart: whatever the frame rate, neighbouring looks are linked, and a hold
reaches to the next look, or to the end of the shot. A black frame counts as a look: all of it is covered.

The boxes that cover a frame can change for up to ``_Linker.delay``, and until as many looks have followed as a track
needs that begins after it, so each frame waits that long. All other state is younger, so memory does not grow with the
video as long as it is looked at. The result depends only on the sequence of frames. Every clear detection is covered in
its own frame, whichever track it is assigned to.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import takewhile
from math import floor, inf
from operator import itemgetter

from farm.domain.detection import BIRTH, WEAK, Detection, FrameDetections
from farm.domain.geometry import Box, interpolated, united
from farm.domain.matching import affinity
from farm.domain.motion import STILL, Motion
from farm.domain.options import LinkOptions
from farm.domain.track import FrameTracks, TrackedBox

MOTION_SECONDS = Fraction(1, 2)  # the time over which a velocity is measured
LEAST_MOTION_SECONDS = Fraction(1, 10)  # the least time assumed for it: two boxes that jitter are not fast
COAST_SECONDS = Fraction(1, 2)  # the time for which a velocity is extrapolated
EDGE_SECONDS = Fraction(3, 4)  # the hold of a face at the picture's edge: it is cut there before it is gone
#: Where a box is carried to is uncertain: boxes are larger by this share on each side, in every frame, so that they do
#: not pulse from look to look.
GROWTH = 0.04
#: How much of its former size beyond a detection's a track keeps from one look to the next.
INERTIA = 0.4
#: A track is shown if its best score is clear, or if its best scores, one of each of so many looks, are BIRTH on
#: average; what is missing counts as WEAK. So a weak false alarm of one look covers nothing.
CLEAR, LOOKS = 0.65, 3


def is_clear(best: Sequence[float], looks: int = LOOKS) -> bool:
    """Whether a face with these best scores, highest first and at most :data:`LOOKS`, is one that a track shows.

    ``looks``: how many scores there can be.
    """
    mean = (sum(best) + WEAK * (looks - len(best))) / looks
    return mean >= BIRTH or best[0] >= CLEAR


@dataclass(slots=True, eq=False)
class _Track:
    """One face, in the coordinates of the shot. ``number``: None, and the track is not shown, until it is born."""

    kind: str
    first: int
    last: int
    start: Box  # at ``first``
    box: Box  # at ``last``
    recent: deque[tuple[int, Box]] = field(default_factory=deque)
    velocity: tuple[float, float] = (0.0, 0.0)  # of the centre, in pixels per tick
    number: int | None = None
    best: list[float] = field(default_factory=list)  # the best scores, highest first
    looked: int | None = None  # the last look before ``first``
    led: bool = False  # whether the hold before ``first`` has been added
    began_at_edge: bool = False
    at_edge: bool = False  # at ``last``

    def moved(self, box: Box, ticks: int) -> Box:
        """Return ``box``, one of this track's boxes, where it is expected ``ticks`` later (earlier, if negative)."""
        dx, dy = self.velocity
        return box.moved(dx * ticks, dy * ticks)


@dataclass(slots=True)
class _Slot:
    """A waiting frame, and the boxes that cover it so far. ``camera`` maps the frame to the shot."""

    pts: int
    camera: Motion
    looked: bool = True
    black: bool = False
    sketch: str = ""
    boxes: list[tuple[_Track, Box, float]] = field(default_factory=list)  # with the score; 0: carried


def link(
    frames: Iterable[FrameDetections],
    time_base: Fraction,
    options: LinkOptions,
    size: tuple[int, int] | None = None,
) -> Iterator[FrameTracks]:
    """Yield one :class:`FrameTracks` per frame, in order, with a bounded delay.

    Successive detections of a track are at most ``gap`` apart; frames between them get interpolated boxes. Before its
    first and after its last detection, a track is held for ``hold``, longer at the edge of the picture, and keeps
    moving at its velocity. No track crosses a shot cut. ``size``: of the coded picture; None: it has no edges.
    Raises ValueError if the pts of the frames do not ascend.
    """
    linker = _Linker(time_base, options, size)
    for frame in frames:
        yield from linker.push(frame)
    yield from linker.finish()


class _Linker:
    def __init__(self, time_base: Fraction, options: LinkOptions, size: tuple[int, int] | None) -> None:
        def ticks(seconds: float | Fraction) -> int:
            return floor(Fraction(str(seconds)) / time_base)

        self.gap, self.hold = ticks(options.gap), ticks(options.hold)
        self.edge_hold = max(self.hold, ticks(EDGE_SECONDS)) if self.hold and size else self.hold
        self.motion, self.coast = ticks(MOTION_SECONDS), ticks(COAST_SECONDS)
        self.least_motion = max(1, ticks(LEAST_MOTION_SECONDS))
        self.delay = max(self.gap, self.edge_hold)
        self.settle = min(self.motion, self.delay - self.edge_hold)  # how long the hold waits for a velocity
        self.size = size
        self.camera = STILL
        self.slots: deque[_Slot] = deque()
        self.tracks: list[_Track] = []
        self.numbers = 0
        self.now: int | None = None
        self.looked: int | None = None  # the last look in this shot
        self.looks: deque[int] = deque(maxlen=LOOKS)  # the last ones in this shot

    def push(self, frame: FrameDetections) -> Iterator[FrameTracks]:
        pts = frame.pts
        if self.now is not None and pts <= self.now:
            raise ValueError(f"pts {pts} after {self.now}")
        self.now = pts
        if frame.cut:
            yield from self.finish()
        elif frame.motion is not None:
            self.camera = frame.motion.inverse().then(self.camera)
        slot = _Slot(pts, self.camera, frame.black or frame.detections is not None, frame.black, frame.sketch)
        self.slots.append(slot)
        if slot.looked:
            self._look(slot, frame.detections or ())
            self.looked = pts
            self.looks.append(pts)
        self._retire(pts)
        due = self._due(pts)
        ready = [slot.pts for slot in self.slots if slot.pts <= due]
        for track in self.tracks:
            if pts - track.first >= self.settle or (ready and (track.looked is None or track.looked < ready[-1])):
                self._lead(track)
        for _ in ready:
            yield _shown(self.slots.popleft())

    def finish(self) -> Iterator[FrameTracks]:
        """End the shot: end all tracks and yield all waiting frames."""
        for track in self.tracks:
            if len(self.looks) < LOOKS:
                self._bear(track, len(self.looks))
            self._trail(track)
        self.tracks, self.camera, self.looked = [], STILL, None
        self.looks.clear()
        while self.slots:
            yield _shown(self.slots.popleft())

    def _retire(self, pts: int) -> None:
        """End the tracks that no detection can continue any more, before the frames of their hold are yielded."""
        for track in self.tracks:
            if not self._may_go_on(track, pts, self.delay):
                self._trail(track)
        self.tracks = [track for track in self.tracks if self._may_go_on(track, pts, self.delay)]

    def _may_go_on(self, track: _Track, pts: int, gap: int) -> bool:
        return pts - track.last <= gap or track.last == self.looked

    def _look(self, slot: _Slot, detections: Sequence[Detection]) -> None:
        for kind in sorted({detection.kind for detection in detections}):
            found = [d for d in detections if d.kind == kind]
            boxes = [slot.camera.apply(detection.box) for detection in found]
            live = [t for t in self.tracks if t.kind == kind and self._may_go_on(t, slot.pts, self.gap)]
            expected = [track.moved(track.box, min(slot.pts - track.last, self.coast)) for track in live]
            pairs = _pairs(expected, boxes, [detection.score < BIRTH for detection in found])
            for at, (detection, box) in enumerate(zip(found, boxes, strict=True)):
                self._observe(slot, live[pairs[at]] if at in pairs else None, detection, box)

    def _observe(self, slot: _Slot, track: _Track | None, detection: Detection, box: Box) -> None:
        """Continue ``track`` with a detection, or begin a new track. ``box``: the detection's, in the shot."""
        pts, at_edge = slot.pts, self._is_at_edge(detection.box)
        if track is None:
            track = _Track(detection.kind, pts, pts, box, box, looked=self.looked, began_at_edge=at_edge)
            self.tracks.append(track)
        shown = box.at_least(
            *(now + INERTIA * max(0.0, was - now) for now, was in ((box.w, track.box.w), (box.h, track.box.h)))
        )
        for missed in self._slots_after(track.last):
            if missed is not slot:
                share = (missed.pts - track.last) / (pts - track.last)
                missed.boxes.append((track, interpolated(track.box, shown, share), 0.0))
        slot.boxes.append((track, shown, detection.score))
        track.last, track.box, track.at_edge = pts, shown, at_edge
        track.recent.append((pts, box))
        while len(track.recent) > 2 and pts - track.recent[0][0] > self.motion:
            track.recent.popleft()
        since, (x0, y0), (x, y) = track.recent[0][0], track.recent[0][1].centre, box.centre
        ticks = max(pts - since, self.least_motion)
        track.velocity = (x - x0) / ticks, (y - y0) / ticks
        track.best = sorted((*track.best, detection.score), reverse=True)[:LOOKS]
        self._bear(track, LOOKS)

    def _bear(self, track: _Track, looks: int) -> None:
        """Show a track from now on if its scores are good enough. ``looks``: how many there can be, at most LOOKS."""
        if track.number is None and is_clear(track.best, looks):
            track.number = self.numbers
            self.numbers += 1

    def _due(self, pts: int) -> int | float:
        """Up to where no box can change any more: a track that covers it has had the looks to be born."""
        return min(pts - self.delay, self.looks[0] - self.edge_hold) if len(self.looks) == LOOKS else -inf

    def _slots_after(self, pts: int) -> Iterator[_Slot]:
        return takewhile(lambda slot: slot.pts > pts, reversed(self.slots))

    def _lead(self, track: _Track) -> None:
        """Add the hold before a track's first detection, once."""
        if not track.led:
            track.led = True
            before = [slot for slot in reversed(self.slots) if slot.pts < track.first]
            self._hold(track, track.start, track.first, before, at_edge=track.began_at_edge)

    def _trail(self, track: _Track) -> None:
        """Add the hold after a track's last detection."""
        self._lead(track)
        after = list(self._slots_after(track.last))[::-1]
        self._hold(track, track.box, track.last, after, at_edge=track.at_edge)

    def _hold(self, track: _Track, end: Box, pts: int, slots: Sequence[_Slot], *, at_edge: bool) -> None:
        """Cover the frames before or after a track's ``end`` at ``pts``: up to the next look, and for the hold.

        A face that is leaving (or entering) is cut by the picture's edge and no longer found while a part of it still
        shows: all between its last place and where it is expected is covered, for longer. ``slots``: nearest first.
        """
        unseen = sum(1 for _ in takewhile(lambda slot: not slot.looked, slots))
        boxes = [(slot, track.moved(end, slot.pts - pts), abs(slot.pts - pts)) for slot in slots]
        near = [(slot, box) for slot, box, ticks in boxes if ticks <= self.edge_hold]
        leaves = at_edge or any(self._is_at_edge(slot.camera.inverse().apply(box)) for slot, box in near)
        for number, (slot, box, ticks) in enumerate(boxes):
            if number < unseen or ticks <= (self.edge_hold if leaves else self.hold):
                slot.boxes.append((track, united(box, end) if at_edge else box, 0.0))

    def _is_at_edge(self, box: Box) -> bool:
        """Whether a box of a frame is near the picture's edge: nearer than a quarter of its side."""
        if self.size is None:
            return False
        width, height = self.size
        dx, dy = box.w / 4, box.h / 4
        return box.x < dx or box.y < dy or box.x + box.w > width - dx or box.y + box.h > height - dy


def _shown(slot: _Slot) -> FrameTracks:
    back = slot.camera.inverse()
    boxes = [
        (track.number, track.kind, back.apply(box.grown(GROWTH)), score)
        for track, box, score in slot.boxes
        if track.number is not None
    ]
    boxes.sort(key=itemgetter(0))
    shown = tuple(TrackedBox(number, box.rounded(), kind, score) for number, kind, box, score in boxes)
    return FrameTracks(slot.pts, shown, slot.black, slot.sketch)


def _pairs(expected: Sequence[Box], found: Sequence[Box], weak: Sequence[bool]) -> dict[int, int]:
    """Match detections to expected boxes: the best pair first, each box in at most one pair.

    Return the index of the expected box for each matched index of a detection. Strong detections are matched before
    weak ones, and overlapping boxes before near ones; ties are broken by order.
    """
    candidates = []
    rows = sorted((*box.centre, max(box.w, box.h) / 2, index, box) for index, box in enumerate(found))
    columns, widest = [x for x, *_ in rows], max((reach for _, _, reach, *_ in rows), default=0.0)
    for at, box in enumerate(expected):
        x, y = box.centre
        reach = max(box.w, box.h) / 2
        around = reach + widest + 1  # of a crowd, few are looked at
        for x1, y1, reach1, index, other in rows[bisect_left(columns, x - around) : bisect_right(columns, x + around)]:
            if abs(x - x1) > reach + reach1 or abs(y - y1) > reach + reach1:
                continue  # neither overlapping nor near
            likeness = affinity(box, other)
            if likeness is not None:
                candidates.append((weak[index], *likeness, at, index))
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for *_, at, index in sorted(candidates):
        if at not in taken and index not in pairs:
            taken.add(at)
            pairs[index] = at
    return pairs
