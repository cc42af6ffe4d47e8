"""Single frames of a video for people to look at: sought, not all decoded."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av.error
import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream as AvVideoStream
from numpy.typing import NDArray

from farm.domain.manifest import Manifest, VideoStream
from farm.domain.orientation import is_sideways
from farm.media.reading.counting import counted_frames
from farm.media.reading.decoding import open_video
from farm.media.reading.opening import demuxed
from farm.media.reading.resizing import in_size

#: RGB uint8, height x width x 3: a picture as a player shows it.
Still = NDArray[np.uint8]

#: Seconds before a frame from which it is decoded where a file's index leads behind it; None: from the beginning.
_EARLIER = (0.0, 2.0, 20.0, None)
#: Seconds within which decoding goes on where a file has no index of its key frames.
_NEAR = 2
#: How to turn a coded picture upright, by EXIF orientation: transpose, then quarter turns or flips.
_UPRIGHT: dict[int, Callable[[Still], Still]] = {
    1: lambda p: p,
    2: lambda p: p[:, ::-1],
    3: lambda p: p[::-1, ::-1],
    4: lambda p: p[::-1],
    5: lambda p: p.swapaxes(0, 1),
    6: lambda p: np.rot90(p, -1),
    7: lambda p: p[::-1, ::-1].swapaxes(0, 1),
    8: lambda p: np.rot90(p, 1),
}


def stills(manifest: Manifest, wanted: Iterable[int]) -> Iterator[tuple[int, Still]]:
    """The frames of these pts, ascending, as shown; one that cannot be had is left out.

    Colours are converted as the decoder's library does; HDR looks pale. Raises SourceError for a source that cannot be
    opened.
    """
    source = manifest.source
    for frame in _frames(Path(source.path), source.video, sorted(set(wanted))):
        assert frame.pts is not None
        if source.video.has_size(frame.width, frame.height):
            yield frame.pts, _shown(in_size(frame, source.video), source.video)


def _frames(path: Path, video: VideoStream, wanted: list[int]) -> Iterator[VideoFrame]:
    if video.timing == "counted":
        left = set(wanted)
        yield from (frame for frame in counted_frames(path, video, 1) if frame.pts in left)
        return
    with open_video(path, video, options={}) as (container, stream):
        stream.thread_type, stream.codec_context.thread_count = "AUTO", 0
        reader = _Seeker(container, stream, video.time_base)
        for pts in wanted:
            if (frame := reader.frame(pts)) is not None:
                yield frame


class _Seeker:
    """Finds frames of ascending pts; goes on decoding where that is shorter than to seek."""

    def __init__(self, container: InputContainer, stream: AvVideoStream, time_base: Fraction) -> None:
        self._container, self._stream, self._time_base = container, stream, time_base
        self._keys = sorted(entry.timestamp for entry in stream.index_entries if entry.is_keyframe)
        self._frames: Iterator[VideoFrame] = iter(())
        self._at: int | None = None
        self._wanted = 0

    def frame(self, pts: int) -> VideoFrame | None:
        """The frame of this pts; None where it cannot be had."""
        self._wanted = pts
        frame = None if self._is_far(pts) else self._next(pts)
        for earlier in _EARLIER if frame is None or frame.pts != pts else ():
            back = 0 if earlier is None else pts - int(earlier / self._time_base)
            self._container.seek(back, stream=self._stream, backward=True, any_frame=False)
            self._frames = self._decoded()
            frame = self._next(pts)
            if frame is not None and frame.pts == pts:
                break
        self._at = pts
        return frame if frame is not None and frame.pts == pts else None

    def _is_far(self, pts: int) -> bool:
        """Whether a key frame lies between the last frame and this one, as far as the file's index tells."""
        if self._at is None:
            return True
        if len(self._keys) > 1:
            return bisect_right(self._keys, self._at) < bisect_right(self._keys, pts)
        return (pts - self._at) * self._time_base > _NEAR

    def _decoded(self) -> Iterator[VideoFrame]:
        """The frames from here on, without those before the wanted one that no other frame is decoded from."""
        codec = self._stream.codec_context
        for packet in demuxed(self._container, self._stream):
            codec.skip_frame = "NONREF" if packet.pts is not None and packet.pts < self._wanted else "DEFAULT"
            yield from packet.decode()

    def _next(self, pts: int) -> VideoFrame | None:
        try:
            return next((frame for frame in self._frames if frame.pts is not None and frame.pts >= pts), None)
        except av.error.FFmpegError:
            return None


def _shown(frame: VideoFrame, video: VideoStream) -> Still:
    """A frame upright, in square pixels."""
    width, height = video.shown_size
    coded = (height, width) if is_sideways(video.orientation) else (width, height)
    picture = frame.to_ndarray(format="rgb24", width=coded[0], height=coded[1])
    return np.ascontiguousarray(_UPRIGHT[video.orientation](np.asarray(picture, np.uint8)))
