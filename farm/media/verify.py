"""Checks what was written against what was planned. Nothing is published that did not pass here."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream as AvVideoStream

from farm.domain.manifest import Manifest, VideoStream
from farm.errors import SourceError, VerificationError
from farm.media.failing import reading
from farm.media.opening import open_source
from farm.media.probe import probe
from farm.media.remux import ChunkPts, segment_packets
from farm.media.verify_streams import open_checks

# every bit is read and every frame rebuilt; only the smoothing of block edges, which cannot fail, is left out
_UNDAMAGED = {"err_detect": "explode", "skip_loop_filter": "all"}


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was compared: video frames, and packets of other streams."""

    frames: int
    other_streams: int
    other_packets: int


def verify_segment(path: Path, expected_pts: Sequence[int], time_base: Fraction) -> int:
    """The number of frames in a segment that holds exactly ``expected_pts``, by demuxing only.

    ``expected_pts`` in ticks of ``time_base`` seconds, ascending. Raises VerificationError naming what differs and
    where in the source. The segment's times count from its first frame, which is a key frame.
    """
    found = array("q")
    for number, packet in enumerate(segment_packets(path)):
        if number == 0 and not packet.is_keyframe:
            raise VerificationError(f"{path}: does not begin with a key frame")
        if packet.is_corrupt:
            raise VerificationError(f"{path}: packet {number} is damaged")
        found.append(packet.pts or 0)
    if len(found) != len(expected_pts):
        raise VerificationError(f"{path}: holds {len(found)} frames, {len(expected_pts)} were planned")
    for number, (got, want) in enumerate(zip(sorted(found), expected_pts, strict=True)):
        if got != want - expected_pts[0]:
            off = got - (want - expected_pts[0])
            raise VerificationError(f"{path}: frame {number}, of {_seconds(want * time_base)}, is {off} ticks off")
    return len(found)


def verify_output(source_path: Path, manifest: Manifest, chunk_pts: ChunkPts, output_path: Path) -> VerifyReport:
    """Reads an output once, decoding its video, beside the source's other streams. Memory does not grow with length.

    Raises VerificationError naming the property and the place: frame count, every pts, dts (strictly rising, not
    after pts), size, pixel format, colour, sample aspect, damage, and each packet of every stream that was copied.
    """
    planned = _planned_times(manifest, chunk_pts)
    try:
        _, video, _ = probe(output_path)
    except SourceError as error:
        raise VerificationError(f"the output cannot be read: {error.message}") from error
    _check_picture(manifest.source.video, video, output_path)
    with open_source(output_path) as output, open_source(source_path) as source:
        checks = open_checks(source, output, manifest)
        checker = _VideoCheck(output_path, video, planned)
        _set_up_decoder(output, video)
        with reading(output_path, VerificationError, "the output cannot be decoded"):
            for packet in output.demux():
                if packet.stream.index == video.index:  # an end-of-stream packet's own index is not set
                    checker.packet(packet)
                else:
                    checks.take(packet)
        checker.end()
        checks.end()
    return VerifyReport(checker.frames, checks.streams, checks.packets)


def _planned_times(manifest: Manifest, chunk_pts: ChunkPts) -> Iterator[Fraction]:
    """All frames' times in seconds, in order."""
    time_base = manifest.source.video.time_base
    return (pts * time_base for chunk in manifest.chunks for pts in chunk_pts(chunk))


def _set_up_decoder(output: InputContainer, video: VideoStream) -> None:
    stream = output.streams[video.index]
    assert isinstance(stream, AvVideoStream)
    stream.thread_type = "AUTO"
    stream.codec_context.options = dict(_UNDAMAGED)


def _check_picture(want: VideoStream, got: VideoStream, path: Path) -> None:
    rows = (
        ("size", (want.width, want.height), (got.width, got.height)),
        ("pixel format", _plain_format(want), _plain_format(got)),
        ("colour primaries", want.color_primaries, got.color_primaries),
        ("colour transfer", want.color_transfer, got.color_transfer),
        ("colour matrix", want.color_space, got.color_space),
        ("sample aspect", want.sample_aspect or 1, got.sample_aspect or 1),
    )
    for name, planned, found in rows:
        if planned != found:
            raise VerificationError(f"{path}: its {name} is {found}, the source's is {planned}")


def _plain_format(video: VideoStream) -> tuple[str, bool]:
    """Pixel format and whether it is full range: yuvj420p is FFmpeg's older name for a full-range yuv420p."""
    full = video.color_range == 2 or video.pix_fmt.startswith("yuvj")
    return video.pix_fmt.replace("yuvj", "yuv"), full


class _VideoCheck:
    """Follows the output's video packet by packet and frame by frame."""

    def __init__(self, path: Path, video: VideoStream, planned: Iterator[Fraction]) -> None:
        self.frames = 0
        self._path = path
        self._video = video
        self._planned = planned
        self._dts: int | None = None
        self._packets = 0

    def packet(self, packet: "Packet[Any]") -> None:
        """Checks one packet (the empty one at the end flushes the decoder) and the frames that it gives."""
        if packet.size:
            self._check_packet(packet)
        for frame in packet.decode():
            self._check_frame(frame)

    def _check_packet(self, packet: "Packet[Any]") -> None:
        where = f"{self._path}: video packet {self._packets}"
        if packet.is_corrupt:
            raise VerificationError(f"{where}: is damaged")
        if packet.is_discard:
            raise VerificationError(f"{where}: is hidden by an edit list")
        if packet.pts is None:
            raise VerificationError(f"{where}: has no pts")
        if packet.dts is not None:  # Matroska stores none, libavformat cannot compute the first
            if packet.dts > packet.pts:
                raise VerificationError(f"{where}: its dts {packet.dts} is after its pts {packet.pts}")
            if self._dts is not None and packet.dts <= self._dts:
                raise VerificationError(f"{where}: its dts {packet.dts} is not after the one before, {self._dts}")
            self._dts = packet.dts
        self._packets += 1

    def _check_frame(self, frame: VideoFrame) -> None:
        where = f"{self._path}: frame {self.frames}"
        want = next(self._planned, None)
        if want is None:
            raise VerificationError(f"{where}: there are more frames than the source's {self.frames}")
        got = None if frame.pts is None else frame.pts * self._video.time_base
        if got != want:
            raise VerificationError(f"{where}: is at {_seconds(got)}, the source's is at {_seconds(want)}")
        if frame.is_corrupt:
            raise VerificationError(f"{where} ({_seconds(got)}): is decoded with errors")
        video = self._video
        if (frame.width, frame.height, frame.format.name) != (video.width, video.height, video.pix_fmt):
            raise VerificationError(f"{where} ({_seconds(got)}): changes size or pixel format")
        self.frames += 1

    def end(self) -> None:
        """Raises VerificationError when planned frames are missing."""
        missing = next(self._planned, None)
        if missing is not None:
            raise VerificationError(
                f"{self._path}: ends after {self.frames} frames, the source has one at {_seconds(missing)}"
            )
        if self._packets != self.frames:
            raise VerificationError(f"{self._path}: {self._packets} video packets gave {self.frames} frames")


def _seconds(value: Fraction | None) -> str:
    return "no time" if value is None else f"{float(value):.6f} s"
