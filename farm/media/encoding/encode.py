"""Encodes the frames of a chunk into a segment, at their exact times.

A segment is an MP4, QuickTime or Matroska file whose times count the source's ticks from the chunk's first frame,
whatever the length of a tick: MP4 keeps integers and the order of B-frames exactly. Matroska does so with a tick
written as a millisecond, and holds VP8, which MP4 cannot.
"""

from collections import deque
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
from av.filter import Graph
from av.packet import Packet
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream as AvVideoStream

from farm.domain.encoding import EncoderSettings
from farm.errors import DeviceError, SourceError, VerificationError
from farm.media.encoding.encoders import ENCODERS, Encoder
from farm.media.failing import reason, writing

#: x265 reads the dts of a video with no more frames than it delays (2) from memory that nothing was written to.
_SHORT = 4


def muxer_options(time_base: Fraction) -> dict[str, str]:
    """Options with which the MP4 muxer keeps times in ``time_base`` (seconds a tick) to the tick."""
    ticks = str(time_base.denominator)
    return {"video_track_timescale": ticks, "movie_timescale": ticks}


class SegmentWriter:
    """Writes one chunk's frames, in order, into a segment file.

    A context manager: leaving it without an error finishes the file, leaving it with one closes it unfinished.
    ``frames``: how many were written; ``size``: of their packets so far, in bytes.
    Raises DeviceError for an encoder that does not run here, VerificationError for a frame that does not fit the
    settings, StorageError when the disk is full.
    """

    def __init__(self, path: Path, settings: EncoderSettings, threads: int) -> None:
        """``threads``: how many the encoder may use."""
        self.path = path
        self.frames = 0
        self.size = 0
        self._settings = settings
        self._encoder = ENCODERS[settings.encoder]
        self._first = 0
        self._last: int | None = None
        self._counted: deque[int] = deque()  # times of the frames that a counting encoder has not given back yet
        self._finished = False
        self._setfield: Graph | None = None
        matroska = settings.muxer == "matroska"
        self._ticks = Fraction(1, 1000 if matroska else settings.time_base.denominator)
        self._clock = 1 / settings.rate if settings.counted else settings.time_base
        with writing(path):
            options = {} if matroska else muxer_options(settings.time_base)
            self._container = av.open(str(path), "w", format=settings.muxer, container_options=options)
            self._stream = self._open_stream(threads)

    def _open_stream(self, threads: int) -> AvVideoStream:
        """The segment's only stream, its encoder opened. Raises DeviceError for missing hardware, else SourceError."""
        settings = self._settings
        try:
            stream = self._container.add_stream(settings.encoder, options=_threaded(self._encoder, settings, threads))
        except av.codec.codec.UnknownCodecError as error:
            raise self._missing("this FFmpeg was built without it") from error
        assert isinstance(stream, AvVideoStream)
        stream.time_base = self._ticks
        context = stream.codec_context
        context.time_base = self._clock
        context.framerate = settings.rate
        context.width, context.height = settings.width, settings.height
        context.pix_fmt = settings.layout
        context.gop_size = settings.gop
        # see Encoder.one_thread
        context.thread_count = 1 if self._encoder.one_thread else threads
        if settings.sample_aspect:
            context.sample_aspect_ratio = settings.sample_aspect
        context.color_range = settings.color_range
        context.color_primaries = settings.color_primaries
        context.color_trc = settings.color_transfer
        context.colorspace = settings.color_space
        try:
            context.open()
        except (av.error.FFmpegError, ValueError) as error:
            if self._encoder.hardware:
                raise self._missing(reason(error)) from error
            picture = f"{settings.width}x{settings.height} {settings.layout}"
            raise SourceError(f"{settings.encoder} cannot encode this video ({picture}): {reason(error)}") from error
        return stream

    def _missing(self, why: str) -> DeviceError:
        return DeviceError(
            f"{self._encoder.name} does not run on this machine: {why}",
            hint="leave out --encoder, or use workers whose devices have it",
        )

    def write(self, frame: VideoFrame) -> None:
        """Encodes one frame. Its picture type and colours become the segment's, its times stay."""
        time = self._time(frame)
        if self._last is None:
            self._first = time
        self._last = time
        arranged = _arranged(frame, self._settings)
        self._label(arranged)
        if self._settings.fields != "progressive" and not arranged.interlaced_frame:
            arranged = self._fields(arranged)
        # times count from the chunk's first frame; the caller's frame gets its own back
        arranged.pts, arranged.time_base = time - self._first, self._clock
        if self._settings.counted:
            self._counted.append(arranged.pts)
            arranged.pts = self.frames
        self.frames += 1
        try:
            with writing(self.path):
                self._mux(arranged)
        finally:
            frame.pts, frame.time_base = time, self._settings.time_base

    def _label(self, frame: VideoFrame) -> None:
        """Overwrites a frame's own properties: ProRes reads its colours from them, and other encoders its type."""
        settings = self._settings
        frame.pict_type = PictureType.NONE if self.frames else PictureType.I
        frame.color_range = settings.color_range
        frame.color_primaries = settings.color_primaries
        frame.color_trc = settings.color_transfer
        frame.colorspace = settings.color_space

    def _fields(self, frame: VideoFrame) -> VideoFrame:
        """A progressive frame marked as two fields in the video's order, which encoders read from each frame.

        Otherwise they would state that the bottom field is first. FFmpeg's filter sets what PyAV cannot; no sample is
        copied.
        """
        if self._setfield is None:
            graph = Graph()
            buffer = graph.add_buffer(
                width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
            )
            graph.link_nodes(buffer, graph.add("setfield", self._settings.fields), graph.add("buffersink")).configure()
            self._setfield = graph
        self._setfield.push(frame)
        labelled = self._setfield.pull()
        assert isinstance(labelled, VideoFrame)
        return labelled

    def _time(self, frame: VideoFrame) -> int:
        """A frame's pts. Raises VerificationError for a frame that does not fit the segment."""
        settings = self._settings
        where = f"{self.path.name}, frame {self.frames}"
        found = (frame.width, frame.height)
        if frame.format.name not in {settings.given, settings.pix_fmt} or found != (settings.width, settings.height):
            raise VerificationError(
                f"{where}: is {found[0]}x{found[1]} {frame.format.name}, the video is "
                f"{settings.width}x{settings.height} {settings.given}"
            )
        if frame.pts is None or frame.time_base != settings.time_base:
            raise VerificationError(f"{where}: has no time in ticks of {settings.time_base} s")
        if self._last is not None and frame.pts <= self._last:
            raise VerificationError(f"{where}: its pts {frame.pts} is not after {self._last}")
        return frame.pts

    def _mux(self, frame: VideoFrame | None) -> None:
        packets = self._stream.encode(frame)
        for packet in packets:
            self._set_times(packet)
        if frame is None and len(packets) == self.frames <= _SHORT:
            _set_order(packets)
        for packet in packets:
            self.size += packet.size
            packet.time_base = self._ticks
            self._container.mux(packet)

    def _set_times(self, packet: "Packet[AvVideoStream]") -> None:
        if packet.pts is None:
            raise VerificationError(f"{self.path.name}: the encoder wrote a packet without a time")
        if self._settings.counted:
            if not self._counted:
                raise VerificationError(f"{self.path.name}: the encoder wrote more packets than it got frames")
            packet.pts = self._counted.popleft()
        if not self._settings.reorders:
            packet.dts = packet.pts

    def close(self) -> None:
        """Encodes what is left and finishes the file. Raises VerificationError if no frame was written."""
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
            # the first error is the one to report; the file is discarded
            with suppress(av.error.FFmpegError, OSError, ValueError):
                self._container.close()


def _set_order(packets: "list[Packet[AvVideoStream]]") -> None:
    """Gives the packets of a short segment, in decoding order, rising dts that end at the first pts."""
    pts = sorted(packet.pts or 0 for packet in packets)
    for packet, value in zip(packets, pts, strict=True):
        packet.dts = value - (pts[-1] - pts[0])


def _arranged(frame: VideoFrame, settings: EncoderSettings) -> VideoFrame:
    """The frame with its samples arranged as the encoder wants them. Both ranges are given, so none is converted."""
    if frame.format.name == settings.layout:
        return frame
    same = ColorRange(settings.color_range or 1)
    return frame.reformat(format=settings.layout, src_color_range=same, dst_color_range=same)


def _threaded(encoder: Encoder, settings: EncoderSettings, threads: int) -> dict[str, str]:
    """The encoder's options; x265 and SVT-AV1 take the sizes of their thread pools from them, too."""
    options = dict(settings.options)
    if encoder.pool and threads > 0:
        parameter, most = encoder.pool
        options[encoder.parameters[0]] += f":{parameter}={min(threads, most)}"
    return options
