"""Encodes the frames of a chunk into a segment, and copies packets of the source between them.

A segment is an MP4, QuickTime or Matroska file. The pts of a frame in it is its number in the chunk, from 0: the plan
holds the times, in any time base, and no container has to. Matroska holds VP8, which MP4 cannot.
"""

from array import array
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, count, islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
from av.filter import Graph
from av.packet import Packet
from av.video.frame import PictureType, VideoFrame
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream as AvVideoStream

from farm.domain.encoding import EncoderSettings
from farm.domain.runs import Run
from farm.errors import VerificationError
from farm.media.encoding.opening import clock, encoder_options, missing, open_encoder
from farm.media.failing import writing
from farm.media.splicing.base import Splicer
from farm.media.splicing.groups import Copied

#: A segment's ticks, one per frame. Matroska knows no others.
_TICK = Fraction(1, 1000)
#: Packets that a segment's dts are behind: more than any encoder reorders.
_DELAY = 64


def muxer_options(time_base: Fraction) -> dict[str, str]:
    """Options with which the MP4 muxer keeps times in ``time_base`` (seconds a tick) to the tick."""
    ticks = str(time_base.denominator)
    return {"video_track_timescale": ticks, "movie_timescale": ticks}


@dataclass(frozen=True, slots=True)
class Splice:
    """What of a chunk is copied. ``runs``: of all its frames; ``packets``: of all that are copied, in order."""

    splicer: Splicer
    runs: tuple[Run, ...]
    packets: Iterator[Copied]


class SegmentWriter:
    """Writes one chunk's frames, in order, into a segment file.

    A context manager: leaving it without an error finishes the file, leaving it with one closes it unfinished.
    ``pts``: of the frames that were encoded; ``size``: of their packets so far, in bytes.
    Raises DeviceError for an encoder that does not run here, VerificationError for a frame that does not fit the
    settings, StorageError when the disk is full.
    """

    def __init__(self, path: Path, settings: EncoderSettings, threads: int, splice: Splice | None = None) -> None:
        """``threads``: how many the encoder may use. ``splice``: None where all frames are encoded."""
        self.path = path
        self.pts = array("q")
        self.size = 0
        self._settings = settings
        self._packets = 0
        self._numbers: dict[int, int] = {}  # of the frames that the encoder has not given back yet, by its clock
        self._splice = splice
        runs = [run for run in splice.runs if not run.copied] if splice else []
        # the numbers in the chunk of the frames to be encoded, and of those that begin a run of them
        self._coming = chain.from_iterable(range(run.first, run.end) for run in runs) if splice else count()
        self._begins = frozenset(run.first for run in runs) if splice else frozenset((0,))
        self._runs = deque(splice.runs if splice else ())  # whose packets are not all written
        self._left = 0  # packets of the first of them
        self._ticked = -1  # by the encoder's clock
        self._finished = False
        self._setfield: Graph | None = None
        self._clock = clock(settings)
        with writing(path):
            options = {} if settings.muxer == "matroska" else muxer_options(_TICK)
            self._container = av.open(str(path), "w", format=settings.muxer, container_options=options)
            self._stream = self._open_stream(threads)
            if splice:
                self._set_header(splice.splicer)
                self._copy_due(splice)

    @property
    def frames(self) -> int:
        """How many frames were encoded."""
        return len(self.pts)

    def _set_header(self, splicer: Splicer) -> None:
        """Have the segment state what decodes copied packets, beside the encoder's own."""
        context = self._stream.codec_context
        try:
            context.extradata = splicer.header(context.extradata or b"")
        except ValueError as error:
            hint = "submit the video again with --untouched encode"
            raise VerificationError(f"{self.path.name}: cannot be spliced: {error}", hint=hint) from error

    def _copy_due(self, splice: Splice) -> None:
        """Copy the packets that come before those of the next run that is encoded."""
        if self._runs and self._runs[0].copied:
            for copied in islice(splice.packets, self._runs.popleft().frames):
                self._put(_packet(*copied))
        self._left = self._runs[0].frames if self._runs else 0

    def _open_stream(self, threads: int) -> AvVideoStream:
        """The segment's only stream, its encoder opened. Raises DeviceError for missing hardware, else SourceError."""
        encoder = self._settings.encoder
        try:
            stream = self._container.add_stream(encoder, options=encoder_options(self._settings, threads))
        except av.codec.codec.UnknownCodecError as error:
            raise missing(encoder, "this FFmpeg was built without it") from error
        assert isinstance(stream, AvVideoStream)
        stream.time_base = _TICK
        open_encoder(stream.codec_context, self._settings, threads)
        return stream

    def write(self, frame: VideoFrame) -> None:
        """Encodes one frame. Its picture type and colours become the segment's, its time stays."""
        time = self._time(frame)
        arranged = _arranged(frame, self._settings)
        self._number = next(self._coming, -1)
        self._label(arranged, key=self._number in self._begins)
        if self._settings.fields != "progressive" and not arranged.interlaced_frame:
            arranged = self._fields(arranged)
        # the caller's frame gets its own time back
        arranged.pts, arranged.time_base = self._tick(time), self._clock
        self._numbers[arranged.pts] = self._number
        self.pts.append(time)
        try:
            with writing(self.path):
                self._mux(arranged)
        finally:
            frame.pts, frame.time_base = time, self._settings.time_base

    def _label(self, frame: VideoFrame, *, key: bool) -> None:
        """Overwrites a frame's own properties: ProRes reads its colours from them, and other encoders its type."""
        settings = self._settings
        frame.pict_type = PictureType.I if key else PictureType.NONE
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
        if self.pts and frame.pts <= self.pts[-1]:
            raise VerificationError(f"{where}: its pts {frame.pts} is not after {self.pts[-1]}")
        return frame.pts

    def _tick(self, time: int) -> int:
        """The time of the frame at ``time`` by the encoder's clock: its number, or from the first frame on."""
        if self._settings.counted:
            return self.frames
        passed = (time - self.pts[0]) * self._settings.time_base if self.pts else Fraction(0)
        self._ticked = max(self._ticked + 1, round(passed / self._clock))
        return self._ticked

    def _mux(self, frame: VideoFrame | None) -> None:
        for packet in self._stream.encode(frame):
            self.size += packet.size
            packet.pts = self._number_of(packet)
            if self._splice:
                self._mux_spliced(packet, self._splice)
            else:
                self._put(packet)

    def _mux_spliced(self, packet: "Packet[AvVideoStream]", splice: Splice) -> None:
        """Write a packet of the encoder, and what is to be copied behind it."""
        number = packet.pts or 0
        run = self._runs[0] if self._runs else None
        first = run is not None and self._left == run.frames
        if run is None or not run.first <= number < run.end or (first and not packet.is_keyframe):
            raise VerificationError(f"{self.path.name}: the encoder did not begin anew where it was told to")
        try:
            content = splice.splicer.encoded(bytes(packet))
        except ValueError as error:
            raise VerificationError(f"{self.path.name}: the encoder's packet cannot be spliced: {error}") from error
        self._put(_packet(number, content, packet.is_keyframe))
        self._left -= 1
        if not self._left:
            self._runs.popleft()
            self._copy_due(splice)

    def _put(self, packet: "Packet[Any]") -> None:
        """Write the next packet in decoding order. Its pts is its frame's number in the chunk."""
        assert packet.pts is not None
        reorders = self._settings.reorders or self._splice is not None
        packet.dts = self._packets - _DELAY if reorders else packet.pts
        packet.time_base, packet.stream = _TICK, self._stream
        self._packets += 1
        self._container.mux(packet)

    def _number_of(self, packet: "Packet[AvVideoStream]") -> int:
        """The number of a packet's frame. Encoders that count may return times by another clock, but in order."""
        time = next(iter(self._numbers), None) if self._settings.counted else packet.pts
        number = None if time is None else self._numbers.pop(time, None)
        if number is None:
            raise VerificationError(f"{self.path.name}: the encoder wrote a packet for no frame that it was given")
        return number

    def close(self) -> None:
        """Encodes what is left and finishes the file. Raises VerificationError if no frame was written."""
        if self._finished:
            return
        self._finished = True
        try:
            if not self.frames and not self._packets:
                raise VerificationError(f"{self.path.name}: no frame was written to it")
            with writing(self.path):
                if self.frames:
                    self._mux(None)
            if self._runs:
                raise VerificationError(f"{self.path.name}: fewer frames were encoded than planned")
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


def _packet(number: int, content: bytes, key: bool) -> "Packet[Any]":
    packet: Packet[Any] = Packet(content)
    packet.pts, packet.is_keyframe = number, key
    return packet


def _arranged(frame: VideoFrame, settings: EncoderSettings) -> VideoFrame:
    """The frame with its samples arranged as the encoder wants them. Both ranges are given, so none is converted."""
    if frame.format.name == settings.layout:
        return frame
    same = ColorRange(settings.color_range or 1)
    return frame.reformat(format=settings.layout, src_color_range=same, dst_color_range=same)
