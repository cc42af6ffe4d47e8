"""The plan of a source: its frames' times, those that are asked for, and the chunks they make."""

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from farm.digests import file_digest
from farm.domain.manifest import Chunk, Manifest, Source, VideoStream
from farm.domain.options import SourceOptions
from farm.domain.planner import plan_chunks
from farm.errors import SourceError
from farm.media.failing import reading
from farm.media.reading.counting import count_frames
from farm.media.reading.frame_index import FrameIndex, index_frames
from farm.media.reading.limits import Limits
from farm.media.reading.opening import check_readable
from farm.media.reading.probe import Look, look
from farm.media.reading.selecting import select_frames

_ALL = SourceOptions()
_LIMITS = Limits()


def plan_manifest(
    path: Path, chunk_seconds: float | None, workers: int, options: SourceOptions = _ALL, limits: Limits = _LIMITS
) -> tuple[Manifest, Sequence["array[int]"]]:
    """The plan of a source and, chunk by chunk, the pts of its frames. Raises SourceError.

    ``chunk_seconds``: see :func:`farm.domain.planner.plan_chunks`. A file that changes meanwhile is an error.
    """
    check_readable(path)
    before = _identity(path)
    damaged = options.on_undetectable == "blackout"
    seen = look(path, limits)
    frames = _frames(path, seen, limits, damaged=damaged)
    with reading(path, SourceError, "cannot be read"):
        digest = file_digest(path)
    if _identity(path) != before:
        raise SourceError(f"{path}: changed while it was read", hint="wait until it is written, then submit it again")
    video = _with_rate(seen.video, frames)
    keys = [(k, bool(o)) for k, o in zip(frames.keys, frames.open_gop, strict=True)]
    wanted = select_frames(path, frames, options, video.time_base)
    chunks = plan_chunks(wanted.pts, keys, wanted.end, video.time_base, chunk_seconds, workers, frames.pts)
    size, mtime_ns = before
    source = Source(str(path.absolute()), size, mtime_ns, digest, seen.container, video, seen.others)
    notes = (*seen.notes, *frames.notes)
    return Manifest(source, chunks, wanted.picked, wanted.shift, wanted.until, notes), _Slices(wanted.pts, chunks)


def _frames(path: Path, seen: Look, limits: Limits, *, damaged: bool) -> FrameIndex:
    if seen.video.timing == "counted":
        return count_frames(path, seen.video, seen.container, limits)
    return index_frames(path, seen, limits, damaged=damaged)


class _Slices(Sequence["array[int]"]):
    """Each chunk's pts, cut out when asked for."""

    def __init__(self, pts: "array[int]", chunks: tuple[Chunk, ...]) -> None:
        self._pts = pts
        self._chunks = chunks

    def __len__(self) -> int:
        return len(self._chunks)

    def __getitem__(self, at: int) -> "array[int]":  # type: ignore[override]  # one chunk at a time, no slices
        return self._slice(self._chunks[at])

    def __iter__(self) -> Iterator["array[int]"]:
        return (self._slice(c) for c in self._chunks)

    def _slice(self, chunk: Chunk) -> "array[int]":
        return self._pts[bisect_left(self._pts, chunk.pts_start) : bisect_left(self._pts, chunk.pts_end)]


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
