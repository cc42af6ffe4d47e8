"""Decodes the frames of one chunk: exactly the planned ones."""

from array import array
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import av
import av.error

from farm.domain.manifest import Chunk, Source, VideoStream
from farm.errors import SourceError
from farm.media.failing import reason
from farm.media.planes import black_frame
from farm.media.reading.counting import counted_frames
from farm.media.reading.damage import EARLIER, Scout, fits, seek
from farm.media.reading.decoding import decoded, open_video
from farm.media.reading.picture import frame_properties
from farm.media.reading.resizing import changed_size, in_size, other_format, other_size

#: The chunks after one, in order, each with the pts of its first frames.
Following = Sequence[tuple[Chunk, Sequence[int]]]

#: The part of a hint that does not help where a repaired copy is read.
OR_REPAIR = ", or --repair to leave damaged frames out"
_REPAIR = f"the source is damaged there: add --on-undetectable blackout{OR_REPAIR}"


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
        if source.original:
            hint = "submit it again with --repair --overwrite"
            raise SourceError(f"{source.original}: its repaired copy is gone", hint=hint) from e
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
    beyond: Following = (),
) -> Generator[Decoded, None, None]:
    """Yield the chunk's frames in order of their pts, which are exactly ``pts``, and then those ``beyond`` its end.

    Decoding starts at the key frame at or before ``chunk.seek_pts``. If that is too late (containers with a coarse
    index), it starts earlier, at last at the start of the file. It ends with the chunk's last frame. The planes belong
    to the decoder: make a frame writable before painting on it. ``picked``: only some of the frames are planned, and
    those between them are skipped.

    Raises SourceError, which names file and time, if a frame is missing, unplanned or damaged, cannot be decoded, or
    has another size or pixel format than planned. With ``blackout`` such a frame, and every one after it up to the
    next key frame, is replaced with a black one. Of a ``counted`` video no frame may be missing either way.

    The frames ``beyond`` are those that the following chunks' own decoding yields. Decoding simply goes on past the
    end, and damage there is an error here too, after the chunk's own frames: the job fails there in any case. With
    ``blackout`` each following chunk is decoded on its own instead: which frames are black may depend on where
    decoding started.
    """
    if len(pts) != chunk.frames or not pts:
        raise SourceError(f"{path}: the plan of chunk {chunk.name} lists {len(pts)} frames, not {chunk.frames}")
    parts = [(chunk, pts), *beyond]
    if not blackout or video.timing == "counted":
        all_pts = array("q", chain.from_iterable(times for _, times in parts))
        parts = [(replace(chunk, pts_end=parts[-1][0].pts_end), all_pts)]
    for part, times in parts:
        reader = _Reader(path, video, part, times, threads, picked)
        for one in reader.frames(blackout=blackout):
            if not one.black:
                reader.check_colours(one.frame)
            yield one if one.black else Decoded(in_size(one.frame, video))


@dataclass(frozen=True, slots=True)
class _Reader:
    """Decodes one chunk, up to its ``pts_end``; the fields are the arguments of :func:`decode_chunk`."""

    path: Path
    video: VideoStream
    chunk: Chunk
    pts: Sequence[int]
    threads: int
    picked: bool

    def frames(self, *, blackout: bool) -> Iterator[Decoded]:
        """Yield the frames: see :func:`decode_chunk`."""
        if self.video.timing == "counted":
            return map(Decoded, self.counted())
        return self.intact_or_black() if blackout else map(Decoded, self.whole())

    def whole(self) -> Iterator[av.VideoFrame]:
        """Yield the planned frames; decoding starts earlier and earlier until it reaches the first one."""
        for earlier in EARLIER:
            with closing(self._from(earlier)) as frames:
                try:
                    first = next(frames, None)
                except _TooLate:
                    continue
                yield from self._checked(first, frames)
                return

    def _from(self, earlier: float | None) -> Generator[av.VideoFrame, None, None]:
        """Yield the chunk's frames, decoded from ``earlier`` seconds before its key frame (None: the file's start).

        Raises _TooLate, while an earlier start may help, if the first frame does not have the first planned pts, or a
        frame that it may depend on is damaged.
        """
        chunk, begun = self.chunk, False
        with open_video(self.path, self.video, self.threads) as (container, stream):
            try:
                seek(container, stream, self.video, chunk, earlier)
                for frame in decoded(container, stream):
                    if frame.pts is not None and frame.pts < chunk.pts_start:
                        self._check_before(frame, frame.pts, earlier)
                        continue
                    late = frame.pts is None or frame.pts != self.pts[0] or frame.is_corrupt
                    if not begun and late and earlier is not None:
                        raise _TooLate
                    if frame.pts is not None and frame.pts >= chunk.pts_end:
                        return
                    begun = True
                    yield frame
            except av.error.FFmpegError as e:
                if not begun and earlier is not None:
                    raise _TooLate from e
                raise self._undecodable(e) from e
            if not begun and earlier is not None:
                raise _TooLate

    def _check_before(self, frame: av.VideoFrame, pts: int, earlier: float | None) -> None:
        """Check a frame before the chunk: its damage affects a chunk that does not begin with a key frame."""
        chunk = self.chunk
        if not frame.is_corrupt or pts < chunk.seek_pts or chunk.seek_pts == chunk.pts_start:
            return
        if earlier is not None:
            raise _TooLate
        raise SourceError(f"{self.path}: the frame {self._at(pts)} is damaged", hint=_REPAIR)

    def _checked(self, first: av.VideoFrame | None, rest: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        """Yield the planned frames among those decoded. Raises SourceError unless all are there and intact."""
        frame = first
        last = len(self.pts) - 1
        for index, planned in enumerate(self.pts):
            while self.picked and frame is not None and frame.pts is not None and frame.pts < planned:
                self._check_whole(frame, frame.pts)
                frame = next(rest, None)
            if frame is None or frame.pts is None or frame.pts > planned:
                raise SourceError(f"{self.path}: the frame {self._at(planned)} is missing", hint=_REPAIR)
            if frame.pts != planned:
                what = f"there is an unplanned frame of pts {frame.pts} before the one {self._at(planned)}"
                raise SourceError(f"{self.path}: {what}")
            self._check_whole(frame, planned)
            yield frame
            frame = None if index == last else next(rest, None)

    def _check_whole(self, frame: av.VideoFrame, pts: int) -> None:
        video = self.video
        if fits(frame, video):
            return
        if frame.is_corrupt:
            raise SourceError(f"{self.path}: the frame {self._at(pts)} is damaged", hint=_REPAIR)
        if not video.has_size(frame.width, frame.height):
            raise changed_size(self.path, frame, video, f" {self._at(pts)}")
        raise other_format(self.path, frame, video, f" {self._at(pts)}")

    def check_colours(self, frame: av.VideoFrame) -> None:
        """Raise SourceError if a frame's colours change: the output's header states one set for all frames."""
        video = self.video
        planned = (video.full_range, video.color_primaries, video.color_transfer, video.color_space)
        found = tuple(frame_properties(frame).values())
        if found[: len(planned)] != planned:
            at = self._at(frame.pts or 0)
            raise SourceError(
                f"{self.path}: the frame {at} has other colours (or another range) than the first ones",
                hint="cut it there, and redact the parts one by one",
            )

    def counted(self) -> Iterator[av.VideoFrame]:
        """Yield the planned frames of a ``counted`` video, which is decoded from its start."""
        frames = counted_frames(self.path, self.video, self.threads)
        try:
            first = next((frame for frame in frames if frame.pts is None or frame.pts >= self.pts[0]), None)
            yield from self._checked(first, frames)
        except av.error.FFmpegError as e:
            raise self._undecodable(e) from e

    def intact_or_black(self) -> Generator[Decoded, None, None]:
        """Yield the planned frames, black ones in place of those that a scout, decoding ahead, does not find intact."""
        video = self.video
        scout = Scout(self.path, video, self.chunk, self.pts[0])
        with closing(scout), open_video(self.path, video) as (container, stream):
            seek(container, stream, video, self.chunk, scout.earlier)
            frames = decoded(container, stream, damage=lambda *_: None)
            frame = next(frames, None)
            for planned in self.pts:
                if scout.is_intact(planned):
                    while frame is not None and (frame.pts is None or frame.pts < planned):
                        frame = next(frames, None)
                    if frame is not None and frame.pts == planned and fits(frame, video):
                        yield Decoded(frame)
                        continue
                yield Decoded(black_frame(video, planned), black=True)

    def _at(self, pts: int) -> str:
        return f"at {float(pts * self.video.time_base):.3f} s (pts {pts})"

    def _undecodable(self, error: av.error.FFmpegError) -> SourceError:
        if (other := other_size(self.path, self.video, self.chunk)) is not None:
            return other
        start, end = (float(t * self.video.time_base) for t in (self.chunk.pts_start, self.chunk.pts_end))
        return SourceError(f"{self.path}: cannot be decoded between {start:.3f} and {end:.3f} s: {reason(error)}")
