"""Joins segments into one video track, every packet at its absolute time."""

from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream as AvVideoStream

from farm.domain.manifest import Chunk, Manifest, VideoStream
from farm.errors import VerificationError
from farm.media.composing.colour_boxes import write_colours
from farm.media.composing.decode_times import ChunkPts, Ending, Tail, decode_times
from farm.media.encoding.choice import encoded_video
from farm.media.encoding.encode import muxer_options
from farm.media.failing import reading, writing
from farm.media.progress import Progress, no_progress, part
from farm.media.reading.frame_times import reorder_depth

_EBML = b"\x1a\x45\xdf\xa3"


def joined_format(codec: str, time_base: Fraction) -> str:
    """FFmpeg's format of the file that :func:`join_segments` writes: one that holds the codec and its exact times.

    ``mp4``; ``mov`` for ProRes; for VP8, which neither holds, ``matroska``, or ``nut`` if ``time_base`` is not in
    whole milliseconds. NUT does not store colours and orientation.
    """
    if codec == "vp8":
        return "matroska" if (time_base * 1000).denominator == 1 else "nut"
    return "mov" if codec == "prores" else "mp4"


def open_segment(path: Path) -> InputContainer:
    """Open a segment as MP4 or Matroska only: a file that another worker wrote cannot refer to other files."""
    with path.open("rb") as file:
        kind = "matroska" if file.read(4) == _EBML else "mp4"
    return av.open(str(path.absolute()), "r", format=kind, container_options={"protocol_whitelist": "file"})


def segment_packets(path: Path) -> Iterator["Packet[AvVideoStream]"]:
    """Yield a segment's packets in decoding order; their pts are the frames' numbers in the chunk."""
    with _opened_segment(path) as container:
        for packet in container.demux(container.streams.video[0]):
            if packet.pts is not None:
                yield packet


def _order_of(segments: Sequence[Path], progress: Progress) -> tuple[int, int]:
    """The largest reorder depth of all segments, and the number in its segment of the frame that is decoded last."""
    depth = done = 0
    pts = array("q")
    for segment in segments:
        pts = array("q")
        for packet in segment_packets(segment):
            pts.append(packet.pts or 0)
            progress(done + len(pts))
        done += len(pts)
        depth = max(depth, reorder_depth(pts))
    return depth, pts[-1] if pts else 0


def join_segments(
    manifest: Manifest,
    chunk_pts: ChunkPts,
    segments: Sequence[Path],
    out: Path,
    progress: Progress = no_progress,
    *,
    lasts: bool = True,
    delay: int = 0,
) -> Ending:
    """Write all segments' packets at their absolute times into a file with one track (see :func:`joined_format`).

    The track has the source's display matrix, colours and HDR metadata. Its times are the source's less the
    manifest's ``shift``. ``segments``: one per chunk, in order. ``lasts``: the output states how long packets last;
    else the dts go back before the first pts no further than they have to. ``delay``: the least number of frames that
    a packet is decoded ahead. Returns how the video ends.
    Raises VerificationError if a segment does not hold exactly the planned frames, or its parameter sets differ from
    the first one's; StorageError if the disk is full; and whatever ``progress`` raises.
    """
    if not manifest.chunks or len(segments) != len(manifest.chunks):
        raise VerificationError(f"{len(segments)} segments for {len(manifest.chunks)} chunks")
    video, frames, done = encoded_video(manifest.source.video, manifest.encoder), manifest.frames, 0
    shown = (value - manifest.shift for chunk in manifest.chunks for value in chunk_pts(chunk))
    depth, decoded = _order_of(segments, part(progress, frames, 0, 2))
    depth = max(depth, min(delay, frames - 1))
    tail = Tail(manifest.chunks, chunk_pts, manifest.shift, depth, decoded)
    times = decode_times(shown, depth, tail.room if lasts else None)
    begin = next(times)
    times = chain((begin,), times)
    ending = tail.ending(manifest.chunks[0].pts_start - manifest.shift - begin)
    lasting = set[int]()
    joining = part(progress, frames, 1, 2)
    with _opened_segment(segments[0]) as first, writing(out):
        header = _header(first.streams.video[0])
        joined, track = _open_joined(out, first.streams.video[0], video)
    boxed = joined.format.name in {"mp4", "mov"}
    with writing(out), joined:
        for chunk, segment in zip(manifest.chunks, segments, strict=True):
            with _opened_segment(segment) as opened:
                template = opened.streams.video[0]
                if _header(template) != header:  # the output has one for all
                    raise VerificationError(
                        f"{segment}: was encoded with other parameters than the first segment",
                        hint="were all workers of this job of the same version?",
                    )
                for packet in _planned(opened.demux(template), chunk, chunk_pts(chunk), segment):
                    done += 1
                    pts, duration = (packet.pts or 0) - manifest.shift, packet.duration or 0
                    if len(lasting) < 2 and pts != ending.shown:
                        lasting.add(duration)
                    if done == frames and boxed:
                        duration = ending.last
                    packet.pts, packet.dts, packet.duration = pts, next(times), duration
                    packet.time_base, packet.stream = video.time_base, track
                    with writing(out):  # only this: a full disk must not be taken for a bad segment
                        joined.mux(packet)
                    joining(done)
    if boxed:
        with writing(out):
            write_colours(out, video)
    return replace(ending, every=lasting.pop()) if len(lasting) == 1 else ending


def _open_joined(out: Path, template: AvVideoStream, video: VideoStream) -> tuple[OutputContainer, AvVideoStream]:
    """The joined file, opened for writing, and its only track."""
    kind = joined_format(template.codec_context.codec.canonical_name, video.time_base)
    options = muxer_options(video.time_base) if kind in {"mp4", "mov"} else {}
    joined = av.open(str(out), "w", format=kind, container_options=options)
    # opaque: the codec of the template itself; its decoder's name need not be that of an encoder
    track = joined.add_stream_from_template(template, opaque=True)
    track.time_base = video.time_base
    if kind == "mov":
        track.codec_context.codec_tag = template.codec_context.codec_tag  # ProRes' profile
    if video.sample_aspect is not None:
        track.codec_context.sample_aspect_ratio = video.sample_aspect
    if video.matrix is not None:
        track.set_display_matrix(list(video.matrix))
    return joined, track


def _planned(
    packets: Iterator["Packet[AvVideoStream]"], chunk: Chunk, pts: "array[int]", segment: Path
) -> Iterator["Packet[AvVideoStream]"]:
    """Yield a segment's packets at the source's pts, each until the next one, and check that these are ``pts``."""
    found = 0
    for packet in packets:
        if packet.pts is None:
            continue
        place = packet.pts
        if not 0 <= place < len(pts):
            raise VerificationError(f"{segment}: holds a frame {place}, which is not in chunk {chunk.index}")
        following = pts[place + 1] if place + 1 < len(pts) else chunk.pts_end
        packet.pts, packet.duration = pts[place], following - pts[place]
        yield packet
        found += 1
    if found != len(pts):
        raise VerificationError(f"{segment}: holds {found} frames, chunk {chunk.index} has {len(pts)}")


@contextmanager
def _opened_segment(path: Path) -> Iterator[InputContainer]:
    """Open a segment; errors in the block become VerificationError."""
    with (
        reading(path, VerificationError, "this segment cannot be read", "it will be made again"),
        open_segment(path) as container,
    ):
        yield container


def _header(stream: AvVideoStream) -> tuple[object, ...]:
    """What the output's one header states for all segments. Some codecs have no parameter sets."""
    context = stream.codec_context
    return (
        context.codec.canonical_name,
        context.extradata,
        context.width,
        context.height,
        context.pix_fmt,
        # of parameter sets that differ within a segment, libavformat names the profile of those that come first
        None if context.extradata else context.profile,
        context.codec_tag,
    )
