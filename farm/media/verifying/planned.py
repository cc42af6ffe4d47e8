"""Decodes a source's planned frames from its beginning: slower than chunk by chunk, and free of any seeking."""

from array import array
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from av.video.frame import VideoFrame
from av.video.stream import VideoStream as AvVideoStream

from farm.domain.manifest import VideoStream
from farm.errors import SourceError
from farm.media.failing import reading
from farm.media.reading.decoding import decoded, set_up_decoder, strictness
from farm.media.reading.opening import open_source


@dataclass(frozen=True, slots=True)
class PlannedFrames:
    """A source's planned frames: pts (ascending), and how they are decoded."""

    path: Path
    video: VideoStream
    planned: "array[int]"
    threads: int

    def decoded(self) -> Generator[tuple[int, VideoFrame], None, None]:
        """Each frame that can be decoded and its pts; damaged ones are left out."""
        with open_source(self.path) as container, reading(self.path, SourceError, "cannot be decoded"):
            stream = container.streams[self.video.index]
            assert isinstance(stream, AvVideoStream)
            set_up_decoder(stream, self.threads, strictness(self.video.codec))
            for number, frame in enumerate(decoded(container, stream, damage=lambda *_: None)):
                if self.video.timing == "counted":
                    if number < len(self.planned):
                        yield self.planned[number], frame
                elif frame.pts is not None and not frame.is_corrupt:
                    yield frame.pts, frame
