"""Encodes the frames of a chunk into a segment, at their exact times.

A segment is an MP4 file whose times count the source's ticks from the chunk's first frame, whatever a tick lasts:
MP4 keeps integers and the order of B-frames exactly. NUT shifts and Matroska rounds (measured).
"""

from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream as AvVideoStream

from farm.domain.manifest import VideoStream
from farm.domain.options import RedactOptions
from farm.errors import VerificationError
from farm.media.failing import writing

#: Frames between key frames at most: x264's and x265's default.
GOP = 250
_ENCODERS = {"h264": "libx264", "hevc": "libx265"}


@dataclass(frozen=True, slots=True)
class EncoderSettings:
    """How every segment of a job is encoded. Equal settings give equal parameter sets, whatever the chunk.

    Colour fields are H.273 code points; ``time_base`` in seconds a tick; ``options`` are the encoder's own.
    """

    encoder: str
    options: dict[str, str]
    pix_fmt: str
    time_base: Fraction
    rate: Fraction
    width: int
    height: int
    sample_aspect: Fraction | None
    color_range: int
    color_primaries: int
    color_transfer: int
    color_space: int
    gop: int = GOP

    @property
    def codec(self) -> str:
        """FFmpeg's name of the codec that the encoder writes."""
        return "hevc" if self.encoder == "libx265" else "h264"


def encoder_settings(video: VideoStream, redact: RedactOptions) -> EncoderSettings:
    """The settings for a video: H.264 stays H.264, HEVC stays HEVC, all others become H.264."""
    encoder = _ENCODERS.get(video.codec, "libx264")
    options = {"crf": str(redact.crf), "preset": redact.preset, "forced-idr": "1"}
    if encoder == "libx265":
        # info=0: no options in the parameter sets, which differ with the number of threads
        options["x265-params"] = "log-level=error:open-gop=0:info=0:repeat-headers=0"
    else:
        options["x264-params"] = "open-gop=0"
    return EncoderSettings(
        encoder=encoder,
        options=options,
        pix_fmt=video.pix_fmt,
        time_base=video.time_base,
        rate=video.average_rate or Fraction(30),
        width=video.width,
        height=video.height,
        sample_aspect=video.sample_aspect,
        color_range=video.color_range,
        color_primaries=video.color_primaries,
        color_transfer=video.color_transfer,
        color_space=video.color_space,
    )


def muxer_options(time_base: Fraction) -> dict[str, str]:
    """Options with which the MP4 muxer keeps times in ``time_base`` (seconds a tick) to the tick."""
    ticks = str(time_base.denominator)
    return {"video_track_timescale": ticks, "movie_timescale": ticks}


class SegmentWriter:
    """Writes one chunk's frames, in order, into a segment file.

    A context manager: leaving it without an error finishes the file, leaving it with one closes it unfinished.
    Raises VerificationError for a frame that does not fit the settings, StorageError when the disk is full.
    """

    def __init__(self, path: Path, settings: EncoderSettings, threads: int) -> None:
        """``threads``: how many the encoder may use."""
        self.path = path
        self.frames = 0
        self._settings = settings
        self._first = 0
        self._last: int | None = None
        self._finished = False
        self._ticks = Fraction(1, settings.time_base.denominator)
        with writing(path):
            options = muxer_options(settings.time_base)
            self._container = av.open(str(path), "w", format="mp4", container_options=options)
            self._stream = self._open_stream(threads)

    def _open_stream(self, threads: int) -> AvVideoStream:
        settings = self._settings
        stream = self._container.add_stream(settings.encoder, options=_threaded(settings, threads))
        if not isinstance(stream, AvVideoStream):
            raise VerificationError(f"{settings.encoder} is not a video encoder")
        stream.time_base = self._ticks
        context = stream.codec_context
        context.time_base = settings.time_base
        context.framerate = settings.rate
        context.width, context.height = settings.width, settings.height
        context.pix_fmt = settings.pix_fmt
        context.gop_size = settings.gop
        context.thread_count = threads
        if settings.sample_aspect:
            context.sample_aspect_ratio = settings.sample_aspect
        context.color_range = settings.color_range
        context.color_primaries = settings.color_primaries
        context.color_trc = settings.color_transfer
        context.colorspace = settings.color_space
        return stream

    def write(self, frame: VideoFrame) -> None:
        """Encodes one frame; its picture type is reset, the decoder's would otherwise be forced on the encoder."""
        self._check(frame)
        if self._last is None:
            self._first = frame.pts or 0
        self._last = frame.pts
        frame.pict_type = PictureType.NONE if self.frames else PictureType.I
        self.frames += 1
        with writing(self.path):
            self._mux(frame)

    def _check(self, frame: VideoFrame) -> None:
        settings = self._settings
        where = f"{self.path.name}, frame {self.frames}"
        found = (frame.format.name, frame.width, frame.height)
        if found != (settings.pix_fmt, settings.width, settings.height):
            raise VerificationError(
                f"{where}: is {found[1]}x{found[2]} {found[0]}, the video is "
                f"{settings.width}x{settings.height} {settings.pix_fmt}"
            )
        if frame.pts is None or frame.time_base != settings.time_base:
            raise VerificationError(f"{where}: has no time in ticks of {settings.time_base} s")
        if self._last is not None and frame.pts <= self._last:
            raise VerificationError(f"{where}: its pts {frame.pts} is not after {self._last}")

    def _mux(self, frame: VideoFrame | None) -> None:
        for packet in self._stream.encode(frame):
            if packet.pts is None or packet.dts is None:
                raise VerificationError(f"{self.path.name}: the encoder wrote a packet without a time")
            packet.pts -= self._first
            packet.dts -= self._first
            packet.time_base = self._ticks
            self._container.mux(packet)

    def close(self) -> None:
        """Encodes what is left and finishes the file. Raises VerificationError when no frame was written."""
        if self._finished:
            return
        self._finished = True
        try:
            if not self.frames:
                raise VerificationError(f"{self.path.name}: no frame was written to it")
            with writing(self.path):
                self._mux(None)
        finally:
            with writing(self.path):
                self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
        elif not self._finished:
            self._finished = True
            # the first error is the one that counts; the file is thrown away
            with suppress(av.error.FFmpegError, OSError, ValueError):
                self._container.close()


def _threaded(settings: EncoderSettings, threads: int) -> dict[str, str]:
    """The encoder's options; x265 also takes the size of its thread pool from them."""
    options = dict(settings.options)
    if settings.encoder == "libx265" and threads > 0:
        options["x265-params"] += f":pools={threads}"
    return options
