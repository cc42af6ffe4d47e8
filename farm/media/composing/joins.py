"""Where the times of a file jump back, which is where recordings were joined, and times that make them one video."""

from array import array
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from mmap import ACCESS_READ, mmap
from typing import Any

import av.error
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from numpy.typing import NDArray

from farm.errors import SourceError
from farm.liveness import beat
from farm.media.failing import reading, reason
from farm.media.reading.boxes import boxes
from farm.media.reading.decoding import is_shown
from farm.media.reading.frame_index import LATE, has_jumped
from farm.media.reading.integrity import check_single
from farm.media.reading.opening import demuxed
from farm.media.reading.probe import Probe

#: A file whose times jump back more often has no times that could be repaired.
_MOST_JOINS = 1000
#: Frames by which the dts that libavformat makes up may be out of order; no recording begins without a key frame there.
_REORDERED = 17
#: Bytes of headers between two blocks of Matroska. What begins with an ID of these is not lost if it is not read:
#: cues, tags, attachments, chapters, and another file's header; but a cluster is.
_BETWEEN = 128
_UNREAD = (b"\x1c\x53\xbb\x6b", b"\x12\x54\xc3\x67", b"\x19\x41\xa4\x69", b"\x10\x43\xa7\x70", b"\x1a\x45\xdf\xa3")
_CLUSTER = b"\x1f\x43\xb6\x75"
#: What other formats may hold behind their last packet: bytes, and share of the file. An index, and empty packets.
_BEHIND, _BEHIND_SHARE = 1 << 16, 0.05


@dataclass(slots=True)
class _Run:
    """One stream's packets in one recording: least pts and greatest end, in ticks."""

    begin: int
    end: int


@dataclass(slots=True)
class Survey:
    """What one reading of a source found. ``joins``: byte offsets of the first packet of each later recording.

    ``pts``: of the shown video packets in decoding order, and ``recordings`` the number of the one they belong to.
    ``hidden``: an edit list hides frames. ``packets`` of the video; ``flagged``: numbers of those that the container
    calls damaged or gives no time. A join breaks its counters, so that it calls the last ones before it damaged:
    ``forgiven``, which only the decoder can tell. ``damaged``: a packet of any stream is flagged; ``untimed``: one has
    no time. ``failed``: why reading ended early. ``place``: the byte behind the packets; ``holes``: bytes, from one to
    another, of which nothing was read, and that are no index.
    """

    ticks: dict[int, Fraction]
    joins: list[int] = field(default_factory=list)
    runs: dict[tuple[int, int], _Run] = field(default_factory=dict)
    pts: "array[int]" = field(default_factory=lambda: array("q"))
    recordings: "array[int]" = field(default_factory=lambda: array("H"))
    hidden: bool = False
    packets: int = 0
    flagged: list[int] = field(default_factory=list)
    forgiven: set[int] = field(default_factory=set)
    damaged: bool = False
    untimed: bool = False
    failed: str | None = None
    place: int = 0
    holes: list[tuple[int, int]] = field(default_factory=list)

    def recording(self, place: int) -> int:
        """The number of the recording that the packet at a byte offset belongs to."""
        return sum(place >= join for join in self.joins)


@dataclass(frozen=True, slots=True)
class Timeline:
    """New times. ``joins``: as in :class:`Survey`; ``offsets``: seconds that each recording is moved by; ``begins``:
    when each begins then. ``moved``: of video pts that several frames have, or that leave no room, the new pts in
    decoding order, in ticks. ``early``: the first frame is before zero.
    """

    joins: tuple[int, ...]
    offsets: tuple[Fraction, ...]
    begins: tuple[Fraction, ...]
    moved: dict[int, list[int]]
    early: bool


class Places:
    """The byte offset of each packet; of one that a parser cut out of another, that of the other."""

    def __init__(self) -> None:
        self._last: dict[int, int] = {}

    def of(self, packet: "Packet[Any]") -> int:
        """See the class."""
        if packet.pos is not None and packet.pos >= 0:
            self._last[packet.stream_index] = packet.pos
        return self._last.get(packet.stream_index, 0)


def read_on(container: InputContainer, ends: list[str]) -> Iterator["Packet[Any]"]:
    """All packets that are not empty; where reading fails, that is added to ``ends``."""
    streams = [s for s in container.streams if s.type in ("video", "audio", "subtitle", "data")]
    try:
        for packet in demuxed(container, streams):
            beat()
            if packet.size:
                yield packet
    except av.error.FFmpegError as error:
        ends.append(f"cannot be read to its end: {reason(error)}")


def survey(container: InputContainer, seen: Probe) -> Survey:
    """Read a source once. Memory: 10 bytes per frame. Raises SourceError for one that is joined too often."""
    found = Survey({s.index: s.time_base or Fraction(1) for s in container.streams})
    last = dict[int, tuple[int, int]]()  # of each stream: time and recording
    places, ends, block = Places(), list[str](), -1
    late: deque[tuple[int, Packet[Any]]] = deque(maxlen=LATE)
    blocks = seen.container.startswith("matroska")
    slowly = int(_REORDERED / (seen.video.average_rate or 25) / seen.video.time_base)
    for packet in read_on(container, ends):
        at, stream = places.of(packet), packet.stream_index
        video = stream == seen.video.index
        found.packets += video
        if blocks and found.place and at > found.place + _BETWEEN:
            found.holes.append((found.place, at))
        if at:  # cover art is in no place
            laced = at == block  # several packets are in one block
            found.place = max(found.place, (found.place if laced else at) + packet.size)
            block = at
        if packet.pts is None or packet.is_corrupt:  # a damaged packet may belong to either side
            found.damaged = True
            found.untimed |= packet.pts is None
            if video:
                found.flagged.append(found.packets - 1)
                late.append((found.packets - 1, packet))
            continue
        time = packet.pts if packet.dts is None else packet.dts
        if video and packet.dts is None:  # pts are not in the order of decoding
            _count(found, packet, seen, found.recording(at))
            continue
        before, number = last.get(stream, (time, 0))
        slack = slowly if video and not packet.is_keyframe else 0
        if has_jumped(before - slack, time, found.ticks[stream]):
            if number < len(found.joins):  # another stream has jumped already
                found.joins[-1] = min(found.joins[-1], at)
            else:
                found.joins.append(at)
            number = len(found.joins)
            if video:
                for count, flagged in late:
                    if count >= found.packets - 1 - LATE:
                        found.forgiven.add(count)
                        _count(found, flagged, seen, number - 1)
            if number > _MOST_JOINS:
                raise SourceError(f"{seen.path}: its times jump back more than {_MOST_JOINS} times")
            before = time
        last[stream] = (max(before, time), number)
        _count(found, packet, seen, found.recording(at))
    check_single(seen.path, seen.container, found.place)
    holes = (*found.holes, (found.place or seen.size, seen.size))
    found.holes = [hole for hole in holes if _is_lost(seen, *hole)]
    found.failed = ends[0] if ends else None
    return found


def _is_lost(seen: Probe, begin: int, end: int) -> bool:
    """Whether the bytes between two offsets, which were not read, may hold packets."""
    family = seen.container.split(",", maxsplit=1)[0]
    with reading(seen.path, SourceError, "cannot be read"), seen.path.open("rb") as file:
        if family == "mov":
            end = max((box.end for box in boxes(file, 0, end) if box.kind == b"mdat"), default=end)
        if family != "matroska":
            return end - begin > max(_BEHIND, int(_BEHIND_SHARE * seen.size))
        if end - begin <= _BETWEEN:
            return False
        with mmap(file.fileno(), 0, access=ACCESS_READ) as content:
            other = min((at for name in _UNREAD if (at := content.find(name, begin, end)) >= 0), default=end)
            return other - begin > _BETWEEN or content.find(_CLUSTER, begin, end - _BETWEEN) >= 0


def unread(found: Survey, seen: Probe) -> str:
    """What of a source was not read, in words; empty if all was. ``found`` holds at least one frame."""
    if not found.holes:
        return ""
    begin, end = found.holes[0]
    if end == seen.size:
        last = float(max(found.pts) * seen.video.time_base)
        return f"could not be read behind byte {begin} of {end}, {last:.3f} s: what follows is lost"
    lost = sum(end - begin for begin, end in found.holes)
    places = f"{len(found.holes)} place{'' if len(found.holes) == 1 else 's'}"
    return f"could not be read at {places}, {lost} bytes in all, the first behind byte {begin}: what was there is lost"


def _count(found: Survey, packet: "Packet[Any]", seen: Probe, number: int) -> None:
    if packet.pts is None:
        return
    video = packet.stream_index == seen.video.index
    if video:
        found.hidden |= packet.is_discard
        if is_shown(seen.video.codec, packet):
            found.pts.append(packet.pts)
            found.recordings.append(number)
    if not video and packet.stream.type != "audio":
        return
    duration = packet.duration or 0
    if video and not duration and seen.video.average_rate:
        duration = round(1 / (seen.video.average_rate * seen.video.time_base))
    run = found.runs.setdefault((number, packet.stream_index), _Run(packet.pts, packet.pts + duration))
    run.begin, run.end = min(run.begin, packet.pts), max(run.end, packet.pts + duration)


def timeline(found: Survey, seen: Probe, *, positive: bool) -> Timeline:
    """Each recording begins when all streams of the one before have ended; what is in sync stays in sync.

    ``positive``: the copy can hold no time before zero, of whatever stream.
    """
    first = min(found.pts) * seen.video.time_base
    if positive:
        first = min(run.begin * found.ticks[stream] for (_, stream), run in found.runs.items())
    tick, offsets, begins, end = seen.video.time_base, list[Fraction](), list[Fraction](), Fraction(0)
    for number in range(len(found.joins) + 1):
        mine = [(run, found.ticks[s]) for (of, s), run in found.runs.items() if of == number]
        begin = min((run.begin * ticks for run, ticks in mine), default=end)
        wanted = max(Fraction(0), -first) if number == 0 else end - begin
        offsets.append(ceil(wanted / tick) * tick)
        begins.append(begin + offsets[-1])
        end = max((run.end * ticks + offsets[-1] for run, ticks in mine), default=end)
    whole = np.array([int(offset / tick) for offset in offsets], np.int64)
    times = in_order(np.frombuffer(found.pts, np.int64) + whole[np.frombuffer(found.recordings, np.uint16)])
    return Timeline(tuple(found.joins), tuple(offsets), tuple(begins), spread(times), min(found.pts) < 0)


def in_order(times: NDArray[np.int64]) -> "array[int]":
    """Sorted times; a list of Python's numbers would take five times as much memory."""
    return array("q", np.sort(times).tobytes())


def spread(times: "array[int]") -> dict[int, list[int]]:
    """Different times for ascending ones: equal ones are spread evenly up to the next one, or a tick each.

    Returns the new times of those that change, by the old one.
    """
    moved, made, at = dict[int, list[int]](), array("q"), 0
    while at < len(times):
        time, count = times[at], 1
        while at + count < len(times) and times[at + count] == time:
            count += 1
        start = max(time, made[-1] + 1) if made else time
        room = times[at + count] - start if at + count < len(times) else (time - made[-1] if made else count)
        new = [start + number * max(1, room // count) for number in range(count)]
        if new != [time]:
            moved[time] = new
        made.extend(new)
        at += count
    return moved
