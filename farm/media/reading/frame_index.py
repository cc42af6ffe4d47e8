"""The times of all frames of a source: demuxed once, nothing decoded."""

from array import array
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av.error
from av.container import InputContainer
from av.packet import Packet

from farm.domain.manifest import VideoStream
from farm.errors import SourceError
from farm.media.failing import reading, reason
from farm.media.reading.decoding import is_shown
from farm.media.reading.fields import BEGINS_WITHIN_A_FRAME, CUT_WITHIN_A_FRAME, FIELD_MISSING, Fields, Part
from farm.media.reading.frame_times import FrameIndex, early_frames, last_duration
from farm.media.reading.integrity import CUT_HINT, check_single, faults_of
from farm.media.reading.limits import Limits
from farm.media.reading.opening import demuxed, open_source
from farm.media.reading.probe import Probe
from farm.media.reading.stream_details import TrackEnd, track_ends

#: A file whose packets end this much (seconds, and share) before its header's duration is cut off.
_SHORT_SECONDS = 1.0
_SHORT_SHARE = 0.02
_UNTIMED = "put it into another container first, for example: ffmpeg -fflags +genpts -i IN -c copy OUT.mkv"
#: The hint where ``--repair`` helps.
REPAIR_HINT = "add --repair: a copy with repaired times is redacted, and what was changed is listed"
#: FFmpeg's name of the format of which no exact copy can be made: the ends of its sound are lost.
UNREPAIRED = "ogg"
_WHOLE_HINT = "add --repair to redact what is whole of it"
#: ``--repair`` copies packets, and keeps the field.
_FIELD_HINT = "add --on-undetectable blackout to leave the frame out"
#: Seconds by which times have to jump back for two recordings to be joined there.
_JUMP = 0.1
#: Packets of a video before a join that its container may call damaged, as the join breaks its counters.
LATE = 3
_SIZE_BITS = 32  # of a packet's size in bytes
_HEADER_DURATION = ("mov", "matroska", "flv", "asf")


def index_frames(path: Path, seen: Probe, limits: Limits, *, damaged: bool = False) -> FrameIndex:
    """Demux a source once. Packets that an edit list hides are left out: they are neither shown nor kept.

    Raises SourceError for damage, a file that is cut off, and times that are missing or not unique. ``damaged``:
    accept a damaged or cut off file, and index what is in it.
    """
    reader = _Reader(path, seen, limits, damaged=damaged)
    with open_source(path) as container, reading(path, SourceError, "cannot be read to its end", CUT_HINT):
        for fault in faults_of(path, container.format.name):
            reader.tell_damage(fault)
        context = container.streams[seen.video.index].codec_context
        reader.fields = Fields(seen.video.codec, context.extradata)
        # all but attachments: a subtitle may end long after the video
        streams = [s for s in container.streams if s.type in ("video", "audio", "subtitle", "data")]
        try:
            for packet in demuxed(container, streams):
                reader.take(packet)
        except av.error.FFmpegError as error:
            if not damaged:
                raise
            reader.tell_damage(f"cannot be read behind {float(reader.until):.3f} s: {reason(error)}")
        _check_all_read(container, seen.video, reader)
        check_single(path, container.format.name, reader.place)
        if container.format.name.startswith("mov"):
            reader.said = track_ends(path).get(container.streams[seen.video.index].id)
    return reader.index()


class _Reader:
    """Collects one video's packets; memory is 16 bytes per frame."""

    def __init__(self, path: Path, seen: Probe, limits: Limits, *, damaged: bool) -> None:
        self.path = path
        self.seen = seen
        self.video = seen.video
        self.limits = limits
        self.damaged = damaged
        self.notes: list[str] = []
        self.pts = array("q")
        self.sizes = array("q")
        self.keys = array("q")
        self.open_gop = array("q")
        self.packets = 0
        self.place = 0  # of the byte behind the latest packet
        self.untimed = 0
        self.last = (0, 0)  # the latest pts and its duration
        self.last_key: int | None = None  # the latest shown key frame
        self.reached: int | None = None  # the greatest dts
        # the pts and number of a damaged packet, until the next ones are read
        self.flagged: tuple[int, int] | None = None
        self.until = Fraction(0)  # seconds: where the last packet of any stream ends
        self.latest = 0  # the duration of the latest packet in decoding order
        self.said: TrackEnd | None = None  # the declared end of an MP4's container track
        self.fields = Fields("", None)
        # a field that waits for the other one of its frame: its pts, and what ``last`` was before
        self.single: tuple[int, tuple[int, int]] | None = None

    def tell_damage(self, what: str | None, remedy: str = _WHOLE_HINT) -> None:
        """Raise SourceError for a fault ``what`` of the file, or note it if damage is accepted."""
        if what and not self.damaged:
            raise SourceError(f"{self.path}: {what}", hint=self.hint(f"{CUT_HINT}; or {remedy}"))
        if what and f"the source {what}" not in self.notes:
            self.notes.append(f"the source {what}")

    def hint(self, text: str) -> str:
        """``text``, which names --repair, unless that does not help here."""
        return CUT_HINT if self.seen.container == UNREPAIRED else text

    def take(self, packet: "Packet[Any]") -> None:
        """Take the next packet in decoding order."""
        if packet.size == 0 and packet.pts is None:
            return  # the end of a stream
        if packet.pts is not None:
            self.until = max(self.until, (packet.pts + (packet.duration or 0)) * packet.time_base)
        self.place = (packet.pos or 0) + packet.size
        if packet.stream_index in self.seen.empty and packet.size:
            raise SourceError(
                f"{self.path}: its video stream {packet.stream_index} looked empty, and holds pictures further on",
                hint=f"leave it out with --video {self.video.index}",
            )
        if packet.stream_index == self.video.index:
            self.packets += 1
            if packet.size and is_shown(self.video.codec, packet):
                self._take_part(packet, self.fields.part(packet))

    def _take_part(self, packet: "Packet[Any]", part: Part) -> None:
        if part is Part.SECOND:
            self._take_second(packet)
            return
        decodable = bool(self.keys)  # the single one may be the first key frame
        if (single := self._drop_single()) is not None:
            if decodable:
                self.tell_damage(f"is damaged at {self._seconds(single)}: {FIELD_MISSING}", _FIELD_HINT)
            elif BEGINS_WITHIN_A_FRAME not in self.notes:
                self.notes.append(BEGINS_WITHIN_A_FRAME)
        count, last = len(self.pts), self.last
        self._take_frame(packet)
        if part is Part.FIRST and len(self.pts) > count:
            self.single = (self.pts[-1], last)

    def _take_second(self, packet: "Packet[Any]") -> None:
        """Take the second field of a frame, whose time is that of the first."""
        if self.single is None:
            return  # the frame is hidden, or has no time
        pts, self.single = self.single[0], None
        if packet.is_corrupt:
            self.tell_damage(f"is damaged or cut off at {self._seconds(pts)}")
        self.sizes[-1] += packet.size
        self.latest += packet.duration or 0
        if self.last[0] == pts:
            self.last = (pts, self.last[1] + (packet.duration or 0))

    def _drop_single(self) -> int | None:
        """Take back a field that has no other one, which decoders do not show. Its pts, None if there is none."""
        if self.single is None:
            return None
        (pts, self.last), self.single = self.single, None
        self.pts.pop()
        self.sizes.pop()
        if self.keys and self.keys[-1] == pts:
            self.keys.pop()
            self.open_gop.pop()
        return pts

    def _take_frame(self, packet: "Packet[Any]") -> None:
        pts = packet.pts
        if pts is None:
            if not self.damaged:
                raise SourceError(f"{self.path}: frame {self.packets} has no timestamp", hint=_UNTIMED)
            self.untimed += 1
            return
        self._check_jump(packet)
        if packet.is_corrupt:
            self.flagged = self.flagged or (pts, self.packets)
        if packet.is_keyframe:
            self._take_key(pts, hidden=packet.is_discard)
        elif self.keys and pts < self.keys[-1]:
            self.open_gop[-1] = 1
        self.latest = packet.duration or 0
        if not packet.is_discard:
            self.pts.append(pts)
            self.sizes.append(packet.size)
            if pts >= self.last[0] or len(self.pts) == 1:
                self.last = (pts, packet.duration or 0)

    def _check_jump(self, packet: "Packet[Any]") -> None:
        """Raise SourceError where the times jump back; tell damage shortly before only then, as joins cause it."""
        if packet.dts is not None and not packet.is_corrupt:
            if self.reached is not None and has_jumped(self.reached, packet.dts, self.video.time_base):
                raise SourceError(
                    f"{self.path}: its times jump back, from {self._seconds(self.reached)} to "
                    f"{self._seconds(packet.dts)}: it looks like two recordings joined", hint=self.hint(REPAIR_HINT),
                )  # fmt: skip
            self.reached = packet.dts if self.reached is None else max(packet.dts, self.reached)
        if self.flagged and self.packets - self.flagged[1] > LATE:
            self._tell_flagged()

    def _tell_flagged(self) -> None:
        if self.flagged is not None:
            self.tell_damage(f"is damaged or cut off at {self._seconds(self.flagged[0])}")
            self.flagged = None

    def _take_key(self, pts: int, *, hidden: bool) -> None:
        self.keys.append(pts)
        self.open_gop.append(0)
        if hidden:
            return
        if self.last_key is not None and pts <= self.last_key:
            raise SourceError(
                f"{self.path}: its times jump back, from {self._seconds(self.last_key)} to {self._seconds(pts)}",
                hint=self.hint(REPAIR_HINT),
            )
        self.last_key = pts

    def index(self) -> FrameIndex:
        """The sorted result."""
        self._tell_flagged()
        if self._drop_single() is not None:
            self.notes.append(CUT_WITHIN_A_FRAME)
        if self.untimed:
            frames = "1 frame of the source has" if self.untimed == 1 else f"{self.untimed} frames of the source have"
            self.notes.append(f"{frames} no time: left out")
        # sorted by pts: both in one number, as pairs would take far more memory
        rows = sorted(p << _SIZE_BITS | size for p, size in zip(self.pts, self.sizes, strict=True))
        pts = self._decodable(array("q", (row >> _SIZE_BITS for row in rows)))
        sizes = array("q", (row & ((1 << _SIZE_BITS) - 1) for row in rows[len(rows) - len(pts) :]))
        self._check_times(pts)
        keys = sorted(dict(zip(self.keys, self.open_gop, strict=True)).items())
        duration = last_duration(pts, self.video, (self.last[1], self.latest), self.said)
        self.limits.check_length(self.path, float((pts[-1] + duration - pts[0]) * self.video.time_base))
        notes = tuple(self.notes)
        shown, open_gop = array("q", (k for k, _ in keys)), array("q", (o for _, o in keys))
        return FrameIndex(pts, sizes, shown, open_gop, duration, notes)

    def _decodable(self, pts: "array[int]") -> "array[int]":
        """The pts without frames before the first key frame that no decoder shows, by the first decoded frame."""
        if not pts:
            raise SourceError(f"{self.path}: holds no frame", hint="is it complete?")
        if not self.keys:
            raise SourceError(f"{self.path}: holds no key frame, from which it could be decoded")
        first = self.keys[0] if self.seen.first is None else min(self.keys[0], self.seen.first)
        kept = array("q", (p for p in pts if p >= first))
        if not kept:
            raise SourceError(f"{self.path}: none of its frames can be decoded", hint="is it complete?")
        if left := len(pts) - len(kept):
            begins = self._seconds(kept[0] - pts[0])
            self.notes.append(f"{early_frames(left)} cannot be decoded: the output begins {begins} later")
        return kept

    def _check_times(self, pts: "array[int]") -> None:
        for a, b in pairwise(pts):
            if a == b:
                raise SourceError(
                    f"{self.path}: two frames have the same time, {self._seconds(a)}", hint=self.hint(REPAIR_HINT)
                )
        if pts[0] < 0:
            raise SourceError(
                f"{self.path}: its first frame is at a negative time, {self._seconds(pts[0])}",
                hint=self.hint(REPAIR_HINT),
            )

    def _seconds(self, pts: int) -> str:
        return f"{float(pts * self.video.time_base):.3f} s"


def has_jumped(before: int, time: int, tick: Fraction) -> bool:
    """Whether times in the order of decoding jump back so far, from ``before`` to ``time``, that a recording ends."""
    return time < before and (before - time) * tick > _JUMP


def _check_all_read(container: InputContainer, video: VideoStream, reader: _Reader) -> None:
    """Compare what was read with what the container declares."""
    family = container.format.name.split(",")[0]
    if family == "mov":
        declared = len(container.streams[video.index].index_entries)
        if declared != reader.packets:
            reader.tell_damage(f"is cut off: {reader.packets} of {declared} frames are in it")
    if family in _HEADER_DURATION and container.duration:
        # an MP4 header holds the length; the others, mostly, the end
        first = Fraction(container.start_time or 0, 1_000_000) if family == "mov" else Fraction(0)
        short = float(Fraction(container.duration, 1_000_000) - (reader.until - first))
        if short > max(_SHORT_SECONDS, _SHORT_SHARE * container.duration / 1e6):
            reader.tell_damage(
                f"is cut off: it ends at {float(reader.until):.1f} s, {short:.1f} s before its header says"
            )
