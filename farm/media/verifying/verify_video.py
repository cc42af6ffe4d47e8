"""Checks an output's video packet by packet: that it equals the segments, or that all of it can be decoded."""

from abc import ABC, abstractmethod
from array import array
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream as AvVideoStream

from farm.domain.manifest import Chunk, Manifest, VideoStream
from farm.errors import VerificationError
from farm.media.composing.decode_times import STATED, ChunkPts
from farm.media.composing.remux import open_segment
from farm.media.failing import reading
from farm.media.reading.decoding import STRICT, set_up_decoder
from farm.media.verifying.packets import seconds
from farm.media.verifying.rates import lasting_fault, rate_fault

#: Full decoding without the deblocking filter, which cannot fail.
UNDAMAGED = {**STRICT, "skip_loop_filter": "all"}
#: Packets whose durations are checked: the last ones, where the muxer cannot derive them.
_TAIL = 64
_HVCC_ARRAYS = 22  # bytes before the number of arrays in an HEVCDecoderConfigurationRecord


class Video(ABC):
    """The checks of packets and frames that both kinds of check share. ``stream``: the output's."""

    def __init__(
        self, path: Path, video: VideoStream, stream: AvVideoStream, manifest: Manifest, threads: int = 1
    ) -> None:
        set_up_decoder(stream, threads, UNDAMAGED)
        self.path = path
        self.video = video
        self._tick, self._shift = manifest.source.video.time_base, manifest.shift
        self.frames = 0
        self.packets = 0
        self._dts: int | None = None
        # Matroska stores none, and libavformat derives MPEG-1's wrongly
        self._stores_dts = not stream.container.format.name.startswith("matroska")
        self._last: deque[tuple[int, int]] = deque(maxlen=_TAIL)  # pts and duration

    @abstractmethod
    def take(self, packet: "Packet[Any]") -> None:
        """Check one packet. The empty packet at the end of the stream must be passed too."""

    @abstractmethod
    def end(self) -> None:
        """Raise VerificationError if planned frames are missing."""

    def when(self, pts: int) -> Fraction:
        """The time in the output, in seconds, of the source's frame at ``pts``."""
        return (pts - self._shift) * self._tick

    def check_packet(self, packet: "Packet[Any]") -> int:
        """Return a packet's pts. Raises VerificationError for damage, an edit list that hides it, and invalid times."""
        where = f"{self.path}: video packet {self.packets}"
        if packet.is_corrupt:
            raise VerificationError(f"{where}: is damaged")
        if packet.is_discard:
            raise VerificationError(f"{where}: is hidden by an edit list")
        if packet.pts is None:
            raise VerificationError(f"{where}: has no pts")
        if packet.dts is not None and self._stores_dts:
            if packet.dts > packet.pts:
                raise VerificationError(f"{where}: its dts {packet.dts} is after its pts {packet.pts}")
            if self._dts is not None and packet.dts <= self._dts:
                raise VerificationError(f"{where}: its dts {packet.dts} is not after the one before, {self._dts}")
            self._dts = packet.dts
        self.packets += 1
        self._last.append((packet.pts, packet.duration or 0))
        return packet.pts

    def check_end(self, container: str, manifest: Manifest) -> None:
        """Raise VerificationError for another average rate than the frames', or last packets that overlap."""
        if container not in STATED:
            return
        begin, end = self.when(manifest.chunks[0].pts_start), self.when(manifest.chunks[-1].pts_end)
        pts, lasting = zip(*sorted(self._last), strict=True)
        fault = rate_fault(self.video, container, manifest.frames, end - begin, manifest.source.video.average_rate)
        if fault := fault or lasting_fault(self.video, container, pts, lasting, end):
            raise VerificationError(f"{self.path}: {fault}")

    def check_frame(self, frame: VideoFrame, number: int, want: Fraction) -> None:
        """Raise VerificationError unless a decoded frame is intact, at ``want`` seconds, of right size and format."""
        where = f"{self.path}: frame {number}"
        got = None if frame.pts is None else frame.pts * self.video.time_base
        self.check_time(number, got, want)
        if frame.is_corrupt:
            raise VerificationError(f"{where} ({seconds(got)}): is decoded with errors")
        video = self.video
        if (frame.width, frame.height, frame.format.name) != (video.width, video.height, video.pix_fmt):
            raise VerificationError(f"{where} ({seconds(got)}): changes size or pixel format")

    def check_time(self, number: int, got: Fraction | None, want: Fraction) -> None:
        """Raise VerificationError unless a frame is at the source's time."""
        if got != want:
            raise VerificationError(
                f"{self.path}: frame {number}: is at {seconds(got)}, the source's is at {seconds(want)}"
            )

    def too_many(self) -> VerificationError:
        """The error for an unplanned frame."""
        return VerificationError(f"{self.path}: there are more frames than the source's {self.frames}")

    def too_few(self, missing: Fraction) -> VerificationError:
        """The error for a video that ends before the planned time ``missing``."""
        return VerificationError(
            f"{self.path}: ends after {self.frames} frames, the source has one at {seconds(missing)}"
        )


class DecodedVideo(Video):
    """Decodes the whole video of an output whose container rewrites packets."""

    def __init__(
        self,
        path: Path,
        video: VideoStream,
        stream: AvVideoStream,
        manifest: Manifest,
        chunk_pts: ChunkPts,
        threads: int,
    ) -> None:
        super().__init__(path, video, stream, manifest, threads)
        self._planned = (self.when(pts) for chunk in manifest.chunks for pts in chunk_pts(chunk))

    def take(self, packet: "Packet[Any]") -> None:
        """See :meth:`Video.take`."""
        if packet.size:
            self.check_packet(packet)
        for frame in packet.decode():
            want = next(self._planned, None)
            if want is None:
                raise self.too_many()
            self.check_frame(frame, self.frames, want)
            self.frames += 1

    def end(self) -> None:
        """See :meth:`Video.end`."""
        missing = next(self._planned, None)
        if missing is not None:
            raise self.too_few(missing)
        if self.packets != self.frames:
            raise VerificationError(f"{self.path}: {self.packets} video packets gave {self.frames} frames")


@dataclass(frozen=True, slots=True)
class _Planned:
    """A packet of a segment and when its frame is shown, in seconds. ``first``: of its segment."""

    packet: "Packet[Any]"
    when: Fraction
    segment: Path
    first: bool


class CopiedVideo(Video):
    """Checks that an output's video equals its segments, each of which was decoded in full when it was written.

    Used for every container except transport streams (measured: MP4, QuickTime, Matroska and WebM write each packet of
    H.264, HEVC, AV1, VP8, VP9, MPEG-2, MPEG-4, ProRes, FFV1 and Motion JPEG unchanged). Every packet must have the
    bytes and the time of the segment's, in order. All segments must have the output's header. The first frame of every
    chunk is decoded from the output itself, which proves that the header works.
    """

    def __init__(
        self,
        path: Path,
        video: VideoStream,
        stream: AvVideoStream,
        manifest: Manifest,
        chunk_pts: ChunkPts,
        segments: Sequence[Path],
    ) -> None:
        super().__init__(path, video, stream, manifest)
        if len(segments) != len(manifest.chunks):
            raise VerificationError(f"{len(segments)} segments for {len(manifest.chunks)} chunks")
        self._context = stream.codec_context
        self._header = parameter_sets(self._context.extradata or b"", video.codec)
        self._planned = self._packets(manifest.chunks, chunk_pts, segments)

    def take(self, packet: "Packet[Any]") -> None:
        """See :meth:`Video.take`."""
        if not packet.size:
            return
        pts = self.check_packet(packet)
        planned = next(self._planned, None)
        if planned is None:
            raise self.too_many()
        where = f"{self.path}: video packet {self.packets - 1} ({seconds(planned.when)})"
        if bytes(packet) != bytes(planned.packet):
            raise VerificationError(f"{where}: its bytes are not those of {planned.segment}")
        if pts * self.video.time_base != planned.when:
            raise VerificationError(f"{where}: is shown at another time, pts {pts}")
        if planned.first:
            self._decode(packet, planned.when)
        self.frames += 1

    def _decode(self, packet: "Packet[Any]", when: Fraction) -> None:
        """Decode a single packet and reset the decoder."""
        frames = [*packet.decode(), *self._context.decode(None)]
        self._context.flush_buffers()
        if len(frames) != 1:
            raise VerificationError(f"{self.path}: at {seconds(when)}: its key frame cannot be decoded")
        self.check_frame(frames[0], self.frames, when)

    def end(self) -> None:
        """See :meth:`Video.end`."""
        missing = next(self._planned, None)
        if missing is not None:
            raise self.too_few(missing.when)

    def _packets(self, chunks: Sequence[Chunk], chunk_pts: ChunkPts, segments: Sequence[Path]) -> Iterator[_Planned]:
        """Yield all segments' packets; memory is that of one chunk's pts."""
        before = 0
        for chunk, segment in zip(chunks, segments, strict=True):
            pts, shown = chunk_pts(chunk), array("q")
            with reading(segment, VerificationError, "this segment cannot be read"), open_segment(segment) as opened:
                stream = opened.streams.video[0]
                if parameter_sets(stream.codec_context.extradata or b"", self.video.codec) != self._header:
                    raise VerificationError(f"{self.path}: its header is not that of {segment}")
                for packet in opened.demux(stream):
                    if packet.pts is None:
                        continue
                    if len(shown) == len(pts):
                        raise self.too_many()
                    shown.append(pts[packet.pts] if 0 <= packet.pts < len(pts) else -1)
                    yield _Planned(packet, self.when(shown[-1]), segment, first=len(shown) == 1)
            for number, (got, want) in enumerate(zip(sorted(shown), pts, strict=False), start=before):
                self.check_time(number, self.when(got), self.when(want))
            if len(shown) < len(pts):
                raise self.too_few(self.when(pts[len(shown)]))
            before += len(pts)


def parameter_sets(header: bytes, codec: str) -> bytes:
    """A header in a form that can be compared.

    In MP4's ``hvcC`` the muxer decides whether arrays are marked as complete. ProRes has no header; Matroska stores its
    profile there.
    """
    if codec == "prores":
        return b""
    if codec != "hevc" or header[:1] != b"\1":
        return header
    plain, at = bytearray(header), _HVCC_ARRAYS + 1
    for _ in range(header[_HVCC_ARRAYS] if len(header) > _HVCC_ARRAYS else 0):
        if at + 3 > len(header):
            break
        plain[at] &= 0x7F
        units = int.from_bytes(header[at + 1 : at + 3], "big")
        at += 3
        for _ in range(units):
            at += 2 + int.from_bytes(header[at : at + 2], "big")
    return bytes(plain)
