"""The plan of a source: its frames' times, those that are asked for, and the chunks they make."""

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil
from pathlib import Path

from farm.digests import file_digest
from farm.domain.encoding import EncoderSettings
from farm.domain.manifest import Chunk, Manifest, Source, VideoStream, dump_pts
from farm.domain.options import SourceOptions
from farm.domain.planner import plan_chunks
from farm.errors import SourceError
from farm.media.failing import reading
from farm.media.reading.counting import count_frames, packet_times
from farm.media.reading.frame_index import index_frames
from farm.media.reading.frame_times import FrameIndex, usual_duration
from farm.media.reading.limits import Limits
from farm.media.reading.probe import Probe, file_state


@dataclass(frozen=True, slots=True)
class Selection:
    """``pts`` of the frames asked for; ``end``: where the last of them ends; the rest is as in a Manifest."""

    pts: "array[int]"
    end: int
    picked: bool
    shift: int
    until: int | None

    @property
    def shown(self) -> "array[int]":
        """The pts of the output's frames."""
        return array("q", (value - self.shift for value in self.pts)) if self.shift else self.pts


@dataclass(frozen=True, slots=True)
class IndexedSource:
    """A source whose packets have all been read: what it is, all of its frames, and those that are asked for."""

    source: Source
    frames: FrameIndex
    wanted: Selection
    notes: tuple[str, ...]


def wanted_times(probe: Probe, options: SourceOptions, limits: Limits) -> Selection:
    """The times of the frames that are asked for, of a file that is no bare stream. Demuxes the source once.

    Raises SourceError.
    """
    path, video = probe.path, probe.video
    if video.timing == "counted":
        pts, none = array("q", packet_times(path, video)), array("q")
        frames = FrameIndex(pts, none, none, none, usual_duration(pts, video))
    else:
        frames = index_frames(path, probe, limits, damaged=options.on_undetectable == "blackout")
    return _select(path, frames, options, video.time_base)


def index_source(probe: Probe, options: SourceOptions, limits: Limits) -> IndexedSource:
    """Demux a probed source once, and digest it. Raises SourceError, also if the file changed since it was probed."""
    path = probe.path
    _check_unchanged(probe)  # other packets would be taken for damage
    if probe.video.timing == "counted":
        frames = count_frames(path, probe.video, probe.container, limits)
    else:
        frames = index_frames(path, probe, limits, damaged=options.on_undetectable == "blackout")
    with reading(path, SourceError, "cannot be read"):
        digest = file_digest(path)
    _check_unchanged(probe)
    video = _with_rate(probe.video, frames)
    wanted = _select(path, frames, options, video.time_base)
    source = Source(str(path.absolute()), probe.size, probe.mtime_ns, digest, probe.container, video, probe.others)
    return IndexedSource(source, frames, wanted, (*probe.notes, *frames.notes))


def plan_manifest(
    indexed: IndexedSource, encoder: EncoderSettings, chunk_seconds: float | None, workers: int
) -> tuple[Manifest, Sequence["array[int]"]]:
    """The plan of a source and, chunk by chunk, the pts of its frames. See :func:`farm.domain.planner.plan_chunks`."""
    source, frames, wanted = indexed.source, indexed.frames, indexed.wanted
    video = source.video
    keys = [(k, bool(o)) for k, o in zip(frames.keys, frames.open_gop, strict=True)]
    chunks = plan_chunks(
        wanted.pts, keys, wanted.end, video.time_base, chunk_seconds, workers, frames.pts, stream=video.index
    )
    chunks = _with_sizes(chunks, frames, picked=wanted.picked)
    slices = cut(wanted.pts, chunks)
    chunks = tuple(
        replace(chunk, pts_sha256=hashlib.sha256(dump_pts(part).encode()).hexdigest())
        for chunk, part in zip(chunks, slices, strict=True)
    )
    manifest = Manifest(source, chunks, encoder, wanted.picked, wanted.shift, wanted.until, indexed.notes)
    return manifest, slices


def _select(path: Path, frames: FrameIndex, options: SourceOptions, time_base: Fraction) -> Selection:
    """The frames that ``options`` ask for, computed in fractions. Raises SourceError if there are none."""
    origin = frames.pts[0]
    start = _tick(origin, options.start, time_base) or origin
    until = _tick(origin, options.end, time_base)
    if start >= frames.end:
        length = float((frames.end - origin) * time_base)
        raise SourceError(
            f"{path}: is {length:.3f} s long, and source.start is {options.start} s", field="source.start"
        )
    at = bisect_left(frames.pts, start)
    stop = len(frames.pts) if until is None else bisect_left(frames.pts, until)
    if at >= stop:
        raise SourceError(
            f"{path}: no frame of it begins in the part that source.start and source.end name", field="source.start"
        )
    part = frames.pts[at:stop]
    end = frames.end if stop == len(frames.pts) else frames.pts[stop]
    if until is not None and until < end:
        end = until
    else:
        until = None if end == frames.end else until
    picked = not options.whole
    shift = part[0] if options.start is not None else 0
    return Selection(_sampled(part, options.interval, time_base), end, picked, shift, until)


def _tick(origin: int, seconds: float | None, time_base: Fraction) -> int | None:
    """The first tick at or after ``seconds`` from ``origin``; the seconds are the decimal number as written."""
    return None if seconds is None else origin + ceil(Fraction(str(seconds)) / time_base)


def _sampled(pts: "array[int]", interval: Fraction | None, time_base: Fraction) -> "array[int]":
    """The first frame of each interval, counted from the first frame."""
    if interval is None:
        return pts
    ticks = interval / time_base
    kept, last = array("q"), -1
    for p in pts:
        number = (p - pts[0]) * ticks.denominator // ticks.numerator
        if number != last:
            kept.append(p)
            last = number
    return kept


def _check_unchanged(probe: Probe) -> None:
    if file_state(probe.path) != (probe.size, probe.mtime_ns):
        raise SourceError(
            f"{probe.path}: changed while it was read", hint="wait until it is written, then submit it again"
        )


def _with_sizes(chunks: tuple[Chunk, ...], frames: FrameIndex, *, picked: bool) -> tuple[Chunk, ...]:
    """The chunks with their sizes. A part may begin between key frames: its own packets would say too little."""
    total, ticks = sum(frames.sizes), frames.end - frames.pts[0]

    def size(chunk: Chunk) -> int:
        if picked:
            return total * (chunk.pts_end - chunk.pts_start) // ticks
        return sum(frames.sizes[bisect_left(frames.pts, chunk.pts_start) : bisect_left(frames.pts, chunk.pts_end)])

    return tuple(replace(chunk, size=size(chunk)) for chunk in chunks)


def cut(pts: "array[int]", chunks: tuple[Chunk, ...]) -> Sequence["array[int]"]:
    """The pts of each chunk's frames. ``pts``: of all frames, ascending."""
    return _Slices(pts, chunks)


class _Slices(Sequence["array[int]"]):
    """Each chunk's pts, cut out when asked for."""

    def __init__(self, pts: "array[int]", chunks: tuple[Chunk, ...]) -> None:
        self._pts = pts
        self._chunks = chunks

    def __len__(self) -> int:
        return len(self._chunks)

    def __getitem__(self, at: int) -> "array[int]":  # type: ignore[override]  # one chunk at a time, no slices
        chunk = self._chunks[at]
        return self._pts[bisect_left(self._pts, chunk.pts_start) : bisect_left(self._pts, chunk.pts_end)]


def _with_rate(video: VideoStream, frames: FrameIndex) -> VideoStream:
    """The video with the rate its frames have, if the container's is far from it (Matroska's guess of 1000)."""
    seconds = (frames.end - frames.pts[0]) * video.time_base
    measured = Fraction(len(frames.pts)) / seconds
    stated = video.average_rate
    if stated and Fraction(4, 5) < stated / measured < Fraction(5, 4):
        return video
    return replace(video, average_rate=measured.limit_denominator(1001))
