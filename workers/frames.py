"""The frames of one chunk, exactly the planned ones, from the source."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import av
import av.error

from farm.domain.manifest import Chunk, Source, VideoStream
from farm.errors import SourceError
from farm.media.decoding import STRICT, set_up_decoder
from farm.media.opening import open_source

#: How many seconds before the planned key frame decoding starts when it turned out to be too late; at last the start.
_EARLIER = (0.0, 2.0, 20.0, None)
#: H.264's decoder flags whatever damage it notices. To make it raise as well would find nothing more (measured), but
#: also make an error of the frames that a seek into an open GOP leaves without their references.
_FLAGGING = frozenset({"h264"})


@dataclass(frozen=True, slots=True)
class Decoded:
    """A frame of the source. ``black``: it could not be decoded, and stands for it as a wholly black one."""

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
    path: Path, video: VideoStream, chunk: Chunk, pts: Sequence[int], *, threads: int = 1
) -> Generator[Decoded, None, None]:
    """Yield the chunk's frames in order of their pts, which are exactly ``pts``.

    Decoding starts at the key frame at or before ``chunk.seek_pts``, and earlier where that turns out to be too
    late (containers with a coarse index), finally at the start of the file. It ends with the chunk's last frame.
    The planes belong to the decoder: make a frame writable before painting on it.

    Raises SourceError, which names file and time, when a frame is missing, unplanned, damaged, cannot be decoded or
    has another size or pixel format than planned. Nothing is ever skipped.
    """
    if len(pts) != chunk.frames or not pts:
        raise SourceError(f"{path}: the plan of chunk {chunk.name} lists {len(pts)} frames, not {chunk.frames}")
    for earlier in _EARLIER:
        frames = _from(path, video, chunk, pts[0], earlier=earlier, threads=threads)
        with closing(frames):
            try:
                first = next(frames, None)
            except _TooLate:
                continue
            yield from map(Decoded, _checked(path, video, pts, first, frames))
            return


def _from(
    path: Path, video: VideoStream, chunk: Chunk, wanted: int, *, earlier: float | None, threads: int
) -> Generator[av.VideoFrame, None, None]:
    """Frames of the chunk's range, decoded from ``earlier`` seconds before its key frame (None: from the start).

    Raises _TooLate, as long as an earlier start may help, when the first of them has not the pts ``wanted``.
    """
    with open_source(path) as container:
        stream = container.streams[video.index]
        assert isinstance(stream, av.VideoStream)
        set_up_decoder(stream, threads, {} if video.codec in _FLAGGING else STRICT)
        begun = False
        try:
            if earlier is not None:
                back = chunk.seek_pts - int(earlier / video.time_base)
                container.seek(back, stream=stream, backward=True, any_frame=False)
            for frame in container.decode(stream):
                if frame.pts is not None and frame.pts < chunk.pts_start:
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


def _checked(
    path: Path, video: VideoStream, pts: Sequence[int], first: av.VideoFrame | None, rest: Iterator[av.VideoFrame]
) -> Iterator[av.VideoFrame]:
    frame = first
    last = len(pts) - 1
    for index, planned in enumerate(pts):
        at = f"at {float(planned * video.time_base):.3f} s (pts {planned})"
        if frame is None or frame.pts is None or frame.pts > planned:
            raise SourceError(f"{path}: the frame {at} is missing", hint=_REPAIR)
        if frame.pts != planned:
            raise SourceError(f"{path}: there is an unplanned frame of pts {frame.pts} before the one {at}")
        if frame.is_corrupt:
            raise SourceError(f"{path}: the frame {at} is damaged", hint=_REPAIR)
        if (frame.width, frame.height) != (video.width, video.height):
            raise SourceError(
                f"{path}: the frame {at} is {frame.width}x{frame.height}, not {video.width}x{video.height}",
                hint="a video that changes its size cannot be redacted",
            )
        if plain_format(frame.format.name) != plain_format(video.pix_fmt):
            raise SourceError(f"{path}: the frame {at} is {frame.format.name}, not {video.pix_fmt}")
        yield frame
        frame = None if index == last else next(rest, None)


_REPAIR = "the source is damaged there; repair or cut it, then submit it again"


def plain_format(name: str) -> str:
    """A pixel format's name without FFmpeg's deprecated mark of the full range (``yuvj420p`` is ``yuv420p``)."""
    return name.replace("yuvj", "yuv")


def _when(chunk: Chunk, video: VideoStream) -> str:
    start, end = (float(t * video.time_base) for t in (chunk.pts_start, chunk.pts_end))
    return f"between {start:.3f} and {end:.3f} s"
