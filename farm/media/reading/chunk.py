"""Decodes the frames of one chunk: exactly the planned ones."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import av
import av.error

from farm.domain.manifest import Chunk, Source, VideoStream
from farm.domain.pixels import plain_format
from farm.errors import SourceError
from farm.media.planes import black_frame
from farm.media.reading.counting import counted_frames
from farm.media.reading.damage import EARLIER, Scout, fits, seek
from farm.media.reading.decoding import decoded, open_video
from farm.media.reading.picture import frame_properties

_REPAIR = "the source is damaged there; repair or cut it, then submit it again"


@dataclass(frozen=True, slots=True)
class Decoded:
    """A frame of the source. ``black``: a black frame in place of one that cannot be decoded."""

    frame: av.VideoFrame
    black: bool = False


class _TooLate(Exception):
    """Decoding began after the chunk's first frame."""


def check_source(path: Path, source: Source) -> None:
    """Raise SourceError unless the file has the size and the modification time that were planned."""
    try:
        now = path.stat()
    except OSError as e:
        raise SourceError(f"{path}: {e.strerror}", hint="the source must stay in place until the job is done") from e
    if (now.st_size, now.st_mtime_ns) != (source.size, source.mtime_ns):
        raise SourceError(f"{path}: changed since the job was submitted", hint="submit it again")


def decode_chunk(
    path: Path,
    video: VideoStream,
    chunk: Chunk,
    pts: Sequence[int],
    *,
    threads: int = 1,
    picked: bool = False,
    blackout: bool = False,
) -> Generator[Decoded, None, None]:
    """Yield the chunk's frames in order of their pts, which are exactly ``pts``.

    Decoding starts at the key frame at or before ``chunk.seek_pts``. If that is too late (containers with a coarse
    index), it starts earlier, at last at the start of the file. It ends with the chunk's last frame. The planes belong
    to the decoder: make a frame writable before painting on it. ``picked``: only some of the frames are planned, and
    those between them are skipped.

    Raises SourceError, which names file and time, if a frame is missing, unplanned or damaged, cannot be decoded, or
    has another size or pixel format than planned. With ``blackout`` such a frame, and every one after it up to the
    next key frame, is replaced with a black one. Of a ``counted`` video no frame may be missing either way.
    """
    if len(pts) != chunk.frames or not pts:
        raise SourceError(f"{path}: the plan of chunk {chunk.name} lists {len(pts)} frames, not {chunk.frames}")
    if video.timing == "counted":
        frames: Iterator[Decoded] = map(Decoded, _counted(path, video, chunk, pts, threads=threads, picked=picked))
    elif blackout:
        frames = _intact_or_black(path, video, chunk, pts)
    else:
        frames = map(Decoded, _whole(path, video, chunk, pts, threads=threads, picked=picked))
    for one in frames:
        if not one.black:
            _check_colours(path, video, one.frame)
        yield one


def _whole(
    path: Path, video: VideoStream, chunk: Chunk, pts: Sequence[int], *, threads: int, picked: bool
) -> Iterator[av.VideoFrame]:
    for earlier in EARLIER:
        frames = _from(path, video, chunk, pts[0], earlier=earlier, threads=threads)
        with closing(frames):
            try:
                first = next(frames, None)
            except _TooLate:
                continue
            yield from _checked(path, video, pts, first, frames, picked=picked)
            return


def _from(
    path: Path, video: VideoStream, chunk: Chunk, wanted: int, *, earlier: float | None, threads: int
) -> Generator[av.VideoFrame, None, None]:
    """Yield the frames of the chunk's range, decoded from ``earlier`` seconds before its key frame (None: the start).

    Raises _TooLate, while an earlier start may help, if the first frame does not have the pts ``wanted``, or a frame
    that it may depend on is damaged.
    """
    with open_video(path, video, threads) as (container, stream):
        begun = False
        try:
            seek(container, stream, video, chunk, earlier)
            for frame in decoded(container, stream):
                if frame.pts is not None and frame.pts < chunk.pts_start:
                    _check_before(path, video, frame, chunk, earlier)
                    continue
                late = frame.pts is None or frame.pts != wanted or frame.is_corrupt
                if not begun and late and earlier is not None:
                    raise _TooLate
                if frame.pts is not None and frame.pts >= chunk.pts_end:
                    return
                begun = True
                yield frame
        except av.error.FFmpegError as e:
            if not begun and earlier is not None:
                raise _TooLate from e
            raise SourceError(f"{path}: cannot be decoded {_when(chunk, video)}: {e.strerror}") from e
        if not begun and earlier is not None:
            raise _TooLate


def _check_before(path: Path, video: VideoStream, frame: av.VideoFrame, chunk: Chunk, earlier: float | None) -> None:
    """Check a frame before the chunk: its damage affects a chunk that does not begin with a key frame."""
    assert frame.pts is not None
    if not frame.is_corrupt or frame.pts < chunk.seek_pts or chunk.seek_pts == chunk.pts_start:
        return
    if earlier is not None:
        raise _TooLate
    raise SourceError(f"{path}: the frame {_at(frame.pts, video)} is damaged", hint=_REPAIR)


def _checked(
    path: Path,
    video: VideoStream,
    pts: Sequence[int],
    first: av.VideoFrame | None,
    rest: Iterator[av.VideoFrame],
    *,
    picked: bool,
) -> Iterator[av.VideoFrame]:
    frame = first
    last = len(pts) - 1
    for index, planned in enumerate(pts):
        while picked and frame is not None and frame.pts is not None and frame.pts < planned:
            _check_whole(path, video, frame, frame.pts)
            frame = next(rest, None)
        if frame is None or frame.pts is None or frame.pts > planned:
            raise SourceError(f"{path}: the frame {_at(planned, video)} is missing", hint=_REPAIR)
        if frame.pts != planned:
            raise SourceError(
                f"{path}: there is an unplanned frame of pts {frame.pts} before the one {_at(planned, video)}"
            )
        _check_whole(path, video, frame, planned)
        yield frame
        frame = None if index == last else next(rest, None)


def _check_whole(path: Path, video: VideoStream, frame: av.VideoFrame, pts: int) -> None:
    if fits(frame, video):
        return
    at = _at(pts, video)
    if frame.is_corrupt:
        raise SourceError(f"{path}: the frame {at} is damaged", hint=_REPAIR)
    if (frame.width, frame.height) != (video.width, video.height):
        raise SourceError(
            f"{path}: the frame {at} is {frame.width}x{frame.height}, not {video.width}x{video.height}",
            hint="a video that changes its size cannot be redacted",
        )
    raise SourceError(f"{path}: the frame {at} is {frame.format.name}, not {plain_format(video.pix_fmt)}")


def _check_colours(path: Path, video: VideoStream, frame: av.VideoFrame) -> None:
    """Raise SourceError if a frame's colours change: the output's header states one set for all frames."""
    planned = (video.full_range, video.color_primaries, video.color_transfer, video.color_space)
    found = tuple(frame_properties(frame).values())
    if found[: len(planned)] != planned:
        raise SourceError(
            f"{path}: the frame {_at(frame.pts or 0, video)} has other colours (or another range) than the first ones",
            hint="cut it there, and redact the parts one by one",
        )


def _counted(
    path: Path, video: VideoStream, chunk: Chunk, pts: Sequence[int], *, threads: int, picked: bool
) -> Iterator[av.VideoFrame]:
    frames = counted_frames(path, video, threads)
    try:
        first = next((frame for frame in frames if frame.pts is None or frame.pts >= pts[0]), None)
        yield from _checked(path, video, pts, first, frames, picked=picked)
    except av.error.FFmpegError as e:
        raise SourceError(f"{path}: cannot be decoded {_when(chunk, video)}: {e.strerror}") from e


def _intact_or_black(
    path: Path, video: VideoStream, chunk: Chunk, pts: Sequence[int]
) -> Generator[Decoded, None, None]:
    """Yield the planned frames, black ones in place of those that a scout, decoding ahead, does not find intact."""
    scout = Scout(path, video, chunk, pts[0])
    with closing(scout), open_video(path, video) as (container, stream):
        seek(container, stream, video, chunk, scout.earlier)
        frames = decoded(container, stream, damage=lambda *_: None)
        frame = next(frames, None)
        for planned in pts:
            if scout.is_intact(planned):
                while frame is not None and (frame.pts is None or frame.pts < planned):
                    frame = next(frames, None)
                if frame is not None and frame.pts == planned and fits(frame, video):
                    yield Decoded(frame)
                    continue
            yield Decoded(black_frame(video, planned), black=True)


def _at(pts: int, video: VideoStream) -> str:
    return f"at {float(pts * video.time_base):.3f} s (pts {pts})"


def _when(chunk: Chunk, video: VideoStream) -> str:
    start, end = (float(t * video.time_base) for t in (chunk.pts_start, chunk.pts_end))
    return f"between {start:.3f} and {end:.3f} s"
