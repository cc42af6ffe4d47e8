"""Joins segments into one video track, every packet at its absolute time.

With P the pts of all frames in order of showing and D the reorder depth of the whole video, the i-th packet in order
of decoding gets ``dts = P[i - D]``, the first D continue P backwards. So dts rise strictly and never pass the pts.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream as AvVideoStream

from farm.domain.manifest import Chunk, Manifest
from farm.errors import VerificationError
from farm.media.encode import muxer_options
from farm.media.failing import reading, writing
from farm.media.progress import Progress, nobody, part

ChunkPts = Callable[[Chunk], "array[int]"]


def open_segment(path: Path) -> InputContainer:
    """A segment opened as what it is, MP4: what another worker wrote cannot name further files either."""
    return av.open(str(path.absolute()), "r", format="mp4", container_options={"protocol_whitelist": "file"})


def segment_packets(path: Path) -> Iterator["Packet[AvVideoStream]"]:
    """A segment's packets in decoding order; their times count ticks from the chunk's first frame."""
    with (
        reading(path, VerificationError, "this segment cannot be read", "it will be made again"),
        open_segment(path) as container,
    ):
        for packet in container.demux(container.streams.video[0]):
            if packet.pts is not None:
                yield packet


def reorder_depth(pts: Sequence[int]) -> int:
    """How many places the latest packet in decoding order comes after its place in order of showing.

    ``pts`` in decoding order, all different. The result is the least D with ``sorted(pts)[i - D] <= pts[i]``.
    """
    rank = {value: place for place, value in enumerate(sorted(pts))}
    return max((at - rank[value] for at, value in enumerate(pts)), default=0)


def video_reorder_depth(segments: Sequence[Path], progress: Progress = nobody) -> int:
    """The reorder depth that all segments of a video need."""
    depth = done = 0
    for segment in segments:
        pts = array("q")
        for packet in segment_packets(segment):
            pts.append(packet.pts or 0)
            progress(done + len(pts))
        done += len(pts)
        depth = max(depth, reorder_depth(pts))
    return depth


def decode_times(pts: Iterator[int], depth: int) -> Iterator[int]:
    """The dts of each packet in decoding order, from all pts in order of showing (see the module)."""
    head = [value for _, value in zip(range(2), pts, strict=False)]
    if not head:
        return iter(())
    step = head[1] - head[0] if len(head) > 1 else 1
    # where the first frame is shown too early for whole steps before it, and zero is the beginning of time, go slower
    if 0 < head[0] < depth * step and head[0] >= depth:
        step = head[0] // depth
    before = (head[0] - (depth - i) * step for i in range(depth))
    return chain(before, head, pts)


def join_segments(
    manifest: Manifest, chunk_pts: ChunkPts, segments: Sequence[Path], out: Path, progress: Progress = nobody
) -> None:
    """Writes all segments' packets into an MP4 file with one track, in the source's time base.

    ``segments`` one a chunk, in order. Raises VerificationError when a segment does not hold exactly the planned
    frames, or its parameter sets differ from the first one's; StorageError when the disk is full; and whatever
    ``progress`` raises.
    """
    if len(segments) != len(manifest.chunks):
        raise VerificationError(f"{len(segments)} segments for {len(manifest.chunks)} chunks")
    time_base = manifest.source.video.time_base
    all_pts = (value for chunk in manifest.chunks for value in chunk_pts(chunk))
    times = decode_times(all_pts, video_reorder_depth(segments, part(progress, manifest.frames, 0, 2)))
    with writing(out):
        container = av.open(str(out), "w", format="mp4", container_options=muxer_options(time_base))
    joiner: _Joiner | None = None
    with writing(out), closing(container):
        for chunk, segment in zip(manifest.chunks, segments, strict=True):
            with reading(segment, VerificationError, "this segment cannot be read"), open_segment(segment) as opened:
                template = opened.streams.video[0]
                if joiner is None:
                    joining = part(progress, manifest.frames, 1, 2)
                    joiner = _Joiner(container, out, template, manifest, times, joining)
                joiner.check_same(template, segment)
                joiner.add(chunk, chunk_pts(chunk), opened.demux(template), segment)


class _Joiner:
    """The one track that packets are appended to."""

    def __init__(
        self,
        container: OutputContainer,
        out: Path,
        template: AvVideoStream,
        manifest: Manifest,
        times: Iterator[int],
        progress: Progress,
    ) -> None:
        self._progress = progress
        self._frames = 0
        self._container = container
        self._out = out
        self._time_base = manifest.source.video.time_base
        self._times = times
        self._extradata = template.codec_context.extradata
        self._stream = container.add_stream_from_template(template)
        self._stream.time_base = self._time_base

    def check_same(self, template: AvVideoStream, segment: Path) -> None:
        """Raises VerificationError unless a segment has the first one's parameter sets: one header serves all."""
        if template.codec_context.extradata != self._extradata:
            raise VerificationError(
                f"{segment}: was encoded with other parameters than the first segment",
                hint="were all workers of this job of the same version?",
            )

    def add(self, chunk: Chunk, pts: "array[int]", packets: Iterator["Packet[Any]"], segment: Path) -> None:
        """Appends a segment whose frames have to be exactly ``pts``."""
        written = 0
        for packet in packets:
            if packet.pts is None:
                continue
            shown = packet.pts + pts[0]
            place = bisect_left(pts, shown)
            if place == len(pts) or pts[place] != shown:
                raise VerificationError(f"{segment}: holds a frame at {shown}, which is not in chunk {chunk.index}")
            following = pts[place + 1] if place + 1 < len(pts) else chunk.pts_end
            packet.pts, packet.dts, packet.duration = shown, next(self._times), following - shown
            packet.time_base = self._time_base
            packet.stream = self._stream
            with writing(self._out):  # here, so that a full disk is not taken for a bad segment
                self._container.mux(packet)
            written += 1
            self._progress(self._frames + written)
        self._frames += written
        if written != len(pts):
            raise VerificationError(f"{segment}: holds {written} frames, chunk {chunk.index} has {len(pts)}")
