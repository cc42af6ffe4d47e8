"""Where every frame of a source lies in time: demuxed once, nothing decoded."""

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

from av.container import InputContainer
from av.packet import Packet

from farm.digests import file_digest
from farm.domain.manifest import Chunk, Manifest, Source, VideoStream
from farm.domain.planner import plan_chunks
from farm.errors import SourceError
from farm.media.failing import reading
from farm.media.integrity import check_complete
from farm.media.opening import check_readable, open_source
from farm.media.probe import probe

#: A file whose packets end this much (seconds, and share) before the duration in its header was cut off.
_SHORT_SECONDS = 1.0
_SHORT_SHARE = 0.02
_HEADER_DURATION = ("mov", "matroska", "flv", "asf")
_CUT_HINT = "copy or download it again; a recorder may be able to repair it"


@dataclass(frozen=True, slots=True)
class FrameIndex:
    """Times in ticks of the stream's time base, ascending.

    ``pts`` of all frames that are shown; ``keys`` of all key frames, shown or not, with ``open_gop``: 1 where frames
    follow in decoding order that are shown before it; ``last_duration`` of the last frame.
    """

    pts: "array[int]"
    keys: "array[int]"
    open_gop: "array[int]"
    last_duration: int

    @property
    def end(self) -> int:
        """Where the last frame ends."""
        return self.pts[-1] + self.last_duration

    def slice(self, chunk: Chunk) -> "array[int]":
        """The pts of a chunk's frames."""
        return self.pts[bisect_left(self.pts, chunk.pts_start) : bisect_left(self.pts, chunk.pts_end)]


def index_frames(path: Path, video: VideoStream) -> FrameIndex:
    """Demuxes a source once. Packets that an edit list hides are left out: they are not shown and not kept.

    Raises SourceError for damage, a file that ends early, and times that are missing or not unique.
    """
    reader = _Reader(path, video)
    with open_source(path) as container, reading(path, SourceError, "cannot be read to its end", _CUT_HINT):
        check_complete(path, container.format.name)
        streams = [s for s in container.streams if s.type in ("video", "audio")]
        for packet in container.demux(streams):
            reader.take(packet)
        _check_all_read(path, container, video, reader)
    return reader.index()


class _Reader:
    """Collects one video's packets; memory is eight bytes a frame."""

    def __init__(self, path: Path, video: VideoStream) -> None:
        self.path = path
        self.video = video
        self.pts = array("q")
        self.keys = array("q")
        self.open_gop = array("q")
        self.packets = 0
        self.last = (0, 0)  # the latest pts and its duration
        self.until = Fraction(0)  # seconds: where the last packet of any stream ends

    def take(self, packet: "Packet[Any]") -> None:
        """One packet in decoding order."""
        if packet.size == 0 and packet.pts is None:
            return  # the end of a stream
        if packet.pts is not None:
            self.until = max(self.until, (packet.pts + (packet.duration or 0)) * packet.time_base)
        if packet.stream_index != self.video.index:
            return
        self.packets += 1
        pts = packet.pts
        if pts is None:
            raise SourceError(
                f"{self.path}: frame {self.packets} has no timestamp",
                hint="put it into another container first, for example: ffmpeg -fflags +genpts -i IN -c copy OUT.mkv",
            )
        if packet.is_corrupt:
            raise SourceError(
                f"{self.path}: is damaged or cut off at {float(pts * self.video.time_base):.3f} s", hint=_CUT_HINT
            )
        if packet.is_keyframe:
            self.keys.append(pts)
            self.open_gop.append(0)
        elif self.keys and pts < self.keys[-1]:
            self.open_gop[-1] = 1
        if not packet.is_discard:
            self.pts.append(pts)
            if pts >= self.last[0] or len(self.pts) == 1:
                self.last = (pts, packet.duration or 0)

    def index(self) -> FrameIndex:
        """The sorted result."""
        if not self.pts:
            raise SourceError(f"{self.path}: holds no frame", hint="is it complete?")
        pts = array("q", sorted(self.pts))
        self._check_times(pts)
        keys = sorted(zip(self.keys, self.open_gop, strict=True))
        duration = self.last[1] or self._usual_duration(pts)
        return FrameIndex(pts, array("q", (k for k, _ in keys)), array("q", (o for _, o in keys)), duration)

    def _check_times(self, pts: "array[int]") -> None:
        for a, b in pairwise(pts):
            if a == b:
                raise SourceError(f"{self.path}: two frames have the same time, {self._seconds(a)}")
        if pts[0] < 0:
            raise SourceError(f"{self.path}: its first frame is at a negative time, {self._seconds(pts[0])}")
        if not self.keys or pts[0] < min(self.keys):
            raise SourceError(
                f"{self.path}: begins with frames that need an earlier one to be decoded",
                hint="cut it at its first key frame, for example: ffmpeg -i IN -c copy OUT",
            )

    def _seconds(self, pts: int) -> str:
        return f"{float(pts * self.video.time_base):.3f} s"

    def _usual_duration(self, pts: "array[int]") -> int:
        """The last frame's duration where the container has none: the one before it, or one frame of the rate."""
        if len(pts) > 1:
            return pts[-1] - pts[-2]
        rate = self.video.average_rate
        return max(1, round(1 / (rate * self.video.time_base))) if rate else 1


def _check_all_read(path: Path, container: InputContainer, video: VideoStream, reader: _Reader) -> None:
    """Compares what was read with what the container declared."""
    family = container.format.name.split(",")[0]
    if family == "mov":
        declared = len(container.streams[video.index].index_entries)
        if declared != reader.packets:
            raise SourceError(f"{path}: is cut off: {reader.packets} of {declared} frames are in it", hint=_CUT_HINT)
    if family in _HEADER_DURATION and container.duration:
        first = Fraction(container.start_time or 0, 1_000_000)
        short = float(Fraction(container.duration, 1_000_000) - (reader.until - first))
        if short > max(_SHORT_SECONDS, _SHORT_SHARE * container.duration / 1e6):
            raise SourceError(
                f"{path}: is cut off: it ends at {float(reader.until):.1f} s, {short:.1f} s before its header says",
                hint=_CUT_HINT,
            )


def plan_manifest(path: Path, chunk_seconds: float | None, workers: int) -> tuple[Manifest, Sequence["array[int]"]]:
    """The plan of a source and, chunk by chunk, the pts of its frames. Raises SourceError.

    ``chunk_seconds``: see :func:`farm.domain.planner.plan_chunks`. A file that changes meanwhile is an error.
    """
    check_readable(path)
    before = _identity(path)
    container, video, others = probe(path)
    frames = index_frames(path, video)
    with reading(path, SourceError, "cannot be read"):
        digest = file_digest(path)
    if _identity(path) != before:
        raise SourceError(f"{path}: changed while it was read", hint="wait until it is written, then submit it again")
    keys = [(k, bool(o)) for k, o in zip(frames.keys, frames.open_gop, strict=True)]
    chunks = plan_chunks(frames.pts, keys, frames.end, video.time_base, chunk_seconds, workers)
    size, mtime_ns = before
    source = Source(str(path.absolute()), size, mtime_ns, digest, container, _with_rate(video, frames), others)
    return Manifest(source, chunks), _Slices(frames, chunks)


class _Slices(Sequence["array[int]"]):
    """Each chunk's pts, cut out when asked for."""

    def __init__(self, frames: FrameIndex, chunks: tuple[Chunk, ...]) -> None:
        self._frames = frames
        self._chunks = chunks

    def __len__(self) -> int:
        return len(self._chunks)

    def __getitem__(self, at: int) -> "array[int]":  # type: ignore[override]  # one chunk at a time, no slices
        return self._frames.slice(self._chunks[at])

    def __iter__(self) -> Iterator["array[int]"]:
        return (self._frames.slice(c) for c in self._chunks)


def _identity(path: Path) -> tuple[int, int]:
    with reading(path, SourceError, "cannot be read"):
        status = path.stat()
    return status.st_size, status.st_mtime_ns


def _with_rate(video: VideoStream, frames: FrameIndex) -> VideoStream:
    """The video with the rate its frames have, where the container's is far from it (Matroska's guess of 1000)."""
    seconds = (frames.end - frames.pts[0]) * video.time_base
    measured = Fraction(len(frames.pts)) / seconds
    stated = video.average_rate
    if stated and Fraction(4, 5) < stated / measured < Fraction(5, 4):
        return video
    return replace(video, average_rate=measured.limit_denominator(1001))
