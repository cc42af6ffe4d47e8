"""Link the detections of successive frames into tracks without gaps.

The boxes that cover a frame can change for up to ``max(gap, hold)`` seconds after it, so each frame waits that long.
All other state is younger, so memory does not grow with the video. The result depends only on the sequence of frames.
Every detection that may begin a track is covered in its own frame, whichever track it is assigned to.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import takewhile
from math import floor, sqrt
from operator import itemgetter

from farm.domain.detection import BIRTH, Detection, FrameDetections
from farm.domain.geometry import Box, interpolated, intersection_over_union
from farm.domain.options import LinkOptions
from farm.domain.track import FrameTracks, TrackedBox

MIN_OVERLAP = 0.2  # least intersection over union of an expected and a detected box of one face
MAX_DISTANCE = 1.0  # greatest distance of their centres, in box sizes, if they overlap less (fast motion)
MAX_RATIO = 2.0  # greatest ratio of their sides, if they overlap less
MOTION_SECONDS = Fraction(1, 4)  # the time over which a velocity is measured
LEAST_MOTION_SECONDS = Fraction(1, 10)  # the least time assumed for it: two boxes that jitter are not fast
COAST_SECONDS = Fraction(1, 2)  # the time for which a velocity is extrapolated


@dataclass(slots=True, eq=False)
class _Track:
    """One face. ``number`` is None, and the track is not shown, until a detection is strong enough to begin a track."""

    first: int
    last: int
    start: Box  # at ``first``
    box: Box  # at ``last``
    kind: str
    recent: deque[tuple[int, Box]] = field(default_factory=deque)
    velocity: tuple[float, float] = (0.0, 0.0)  # of the centre, in pixels per tick
    number: int | None = None
    led: bool = False  # whether the hold before ``first`` has been added

    def moved(self, box: Box, ticks: int) -> Box:
        """Return ``box``, one of this track's boxes, where it is expected ``ticks`` later (earlier, if negative)."""
        dx, dy = self.velocity
        return box.moved(dx * ticks, dy * ticks)


@dataclass(slots=True)
class _Slot:
    """A waiting frame, and the boxes that cover it so far."""

    pts: int
    black: bool = False
    sketch: str = ""
    boxes: list[tuple[_Track, Box]] = field(default_factory=list)


def link(frames: Iterable[FrameDetections], time_base: Fraction, options: LinkOptions) -> Iterator[FrameTracks]:
    """Yield one :class:`FrameTracks` per frame, in order, with a delay of at most ``max(gap, hold)`` seconds.

    Successive detections of a track are at most ``gap`` apart; frames between them get interpolated boxes. Before its
    first and after its last detection, a track is held for ``hold`` and keeps moving at its velocity. No track crosses
    a shot cut. Raises ValueError if the pts of the frames do not ascend.
    """
    linker = _Linker(time_base, options)
    for frame in frames:
        yield from linker.push(frame)
    yield from linker.finish()


class _Linker:
    def __init__(self, time_base: Fraction, options: LinkOptions) -> None:
        def ticks(seconds: float | Fraction) -> int:
            return floor(Fraction(str(seconds)) / time_base)

        self.gap, self.hold = ticks(options.gap), ticks(options.hold)
        self.motion, self.coast = ticks(MOTION_SECONDS), ticks(COAST_SECONDS)
        self.least_motion = max(1, ticks(LEAST_MOTION_SECONDS))
        self.delay = max(self.gap, self.hold)
        self.settle = min(self.motion, self.delay - self.hold)  # how long the hold waits for a velocity
        self.slots: deque[_Slot] = deque()
        self.tracks: list[_Track] = []
        self.numbers = 0
        self.now: int | None = None

    def push(self, frame: FrameDetections) -> Iterator[FrameTracks]:
        pts = frame.pts
        if self.now is not None and pts <= self.now:
            raise ValueError(f"pts {pts} after {self.now}")
        self.now = pts
        if frame.cut:
            yield from self.finish()
        self._retire(pts)
        slot = _Slot(pts, frame.black, frame.sketch)
        self.slots.append(slot)
        live = [track for track in self.tracks if pts - track.last <= self.gap]
        expected = [(track.moved(track.box, min(pts - track.last, self.coast)), track.kind) for track in live]
        pairs = _pairs(expected, frame.detections)
        for at, detection in enumerate(frame.detections):
            self._observe(slot, live[pairs[at]] if at in pairs else None, detection)
        for track in self.tracks:
            if pts - track.first >= self.settle:
                self._lead(track)
        while self.slots and self.slots[0].pts <= pts - self.delay:
            yield _shown(self.slots.popleft())

    def finish(self) -> Iterator[FrameTracks]:
        """End the shot: end all tracks and yield all waiting frames."""
        for track in self.tracks:
            self._trail(track)
        self.tracks = []
        while self.slots:
            yield _shown(self.slots.popleft())

    def _retire(self, pts: int) -> None:
        """End the tracks that no detection can continue any more, before the frames of their hold are yielded."""
        for track in self.tracks:
            if pts - track.last > self.delay:
                self._trail(track)
        self.tracks = [track for track in self.tracks if pts - track.last <= self.delay]

    def _observe(self, slot: _Slot, track: _Track | None, detection: Detection) -> None:
        """Continue ``track`` with a detection, or begin a new track."""
        pts, box = slot.pts, detection.box
        if track is None:
            track = _Track(pts, pts, box, box, detection.kind)
            self.tracks.append(track)
        for missed in self._slots_after(track.last):
            if missed is not slot:
                share = (missed.pts - track.last) / (pts - track.last)
                missed.boxes.append((track, interpolated(track.box, box, share)))
        slot.boxes.append((track, box))
        track.last, track.box = pts, box
        track.recent.append((pts, box))
        while pts - track.recent[0][0] > self.motion:
            track.recent.popleft()
        since, (x0, y0), (x, y) = track.recent[0][0], track.recent[0][1].centre, box.centre
        ticks = max(pts - since, self.least_motion)
        track.velocity = (x - x0) / ticks, (y - y0) / ticks
        if track.number is None and detection.score >= BIRTH:
            track.number = self.numbers
            self.numbers += 1

    def _slots_after(self, pts: int) -> Iterator[_Slot]:
        return takewhile(lambda slot: slot.pts > pts, reversed(self.slots))

    def _lead(self, track: _Track) -> None:
        """Add the hold before a track's first detection, once."""
        if track.led:
            return
        track.led = True
        for slot in self._slots_after(track.first - self.hold - 1):
            if slot.pts < track.first:
                slot.boxes.append((track, track.moved(track.start, slot.pts - track.first)))

    def _trail(self, track: _Track) -> None:
        """Add the hold after a track's last detection."""
        self._lead(track)
        for slot in self._slots_after(track.last):
            if slot.pts - track.last <= self.hold:
                slot.boxes.append((track, track.moved(track.box, slot.pts - track.last)))


def _shown(slot: _Slot) -> FrameTracks:
    boxes = [(track.number, box, track.kind) for track, box in slot.boxes if track.number is not None]
    boxes.sort(key=itemgetter(0))
    shown = tuple(TrackedBox(number, box.rounded(), kind) for number, box, kind in boxes)
    return FrameTracks(slot.pts, shown, slot.black, slot.sketch)


def _pairs(expected: list[tuple[Box, str]], detections: Sequence[Detection]) -> dict[int, int]:
    """Match detections to expected boxes of their kind: the best pair first, each box in at most one pair.

    Return the index of the expected box for each matched index of a detection. Strong detections are matched before
    weak ones, and overlapping boxes before near ones; ties are broken by order.
    """
    found = []
    rows = [(*d.box.centre, max(d.box.w, d.box.h) / 2, d) for d in detections]
    for at, (box, kind) in enumerate(expected):
        x, y = box.centre
        reach = max(box.w, box.h) / 2
        for index, (x1, y1, reach1, detection) in enumerate(rows):
            if detection.kind != kind or abs(x - x1) > reach + reach1 or abs(y - y1) > reach + reach1:
                continue  # neither overlapping nor near
            affinity = _affinity(box, detection.box)
            if affinity is not None:
                found.append((detection.score < BIRTH, *affinity, at, index))
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for *_, at, index in sorted(found):
        if at not in taken and index not in pairs:
            taken.add(at)
            pairs[index] = at
    return pairs


def _affinity(a: Box, b: Box) -> tuple[bool, float] | None:
    """Return a sort key, best match first: overlapping boxes, then near boxes of similar size; None for no match."""
    overlap = intersection_over_union(a, b)
    if overlap >= MIN_OVERLAP:
        return False, -overlap
    if max(a.w, b.w) > MAX_RATIO * min(a.w, b.w) or max(a.h, b.h) > MAX_RATIO * min(a.h, b.h):
        return None
    (ax, ay), (bx, by) = a.centre, b.centre
    apart = (ax - bx) ** 2 + (ay - by) ** 2
    size = sqrt(a.area * b.area)  # in square pixels
    return (True, apart / size) if apart <= MAX_DISTANCE**2 * size and size > 0 else None
