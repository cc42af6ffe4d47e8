"""Checks what was written against what was planned. Nothing is published that did not pass here."""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream as AvVideoStream

from farm.domain.manifest import Manifest, VideoStream
from farm.errors import SourceError, VerificationError
from farm.media.containers import keeps_packets
from farm.media.decoding import set_up_decoder
from farm.media.encode import EncoderSettings
from farm.media.failing import reading
from farm.media.opening import open_source
from farm.media.probe import probe
from farm.media.progress import Progress, nobody
from farm.media.remux import ChunkPts, open_segment
from farm.media.verify_streams import container_of, open_checks
from farm.media.verify_video import UNDAMAGED, CopiedVideo, DecodedVideo, Video, seconds


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """What was compared: video frames, and packets of other streams."""

    frames: int
    other_streams: int
    other_packets: int


def verify_segment(
    path: Path, expected_pts: Sequence[int], settings: EncoderSettings, *, threads: int = 1, progress: Progress = nobody
) -> int:
    """The number of frames in a segment that holds exactly ``expected_pts``, all of which were decoded.

    ``expected_pts`` in ticks of the settings' time base, ascending. Raises VerificationError naming what differs and
    where in the source. The segment's times count from its first frame, which is a key frame.
    """
    shown = array("q")
    frames = 0
    with reading(path, VerificationError, "this segment cannot be decoded"), open_segment(path) as container:
        stream = container.streams.video[0]
        set_up_decoder(stream, threads, UNDAMAGED)
        for number, packet in enumerate(container.demux(stream)):
            if number == 0 and not packet.is_keyframe:
                raise VerificationError(f"{path}: does not begin with a key frame")
            if packet.is_corrupt:
                raise VerificationError(f"{path}: packet {number} is damaged")
            if packet.pts is not None:
                shown.append(packet.pts)
            for frame in packet.decode():
                _check_segment_frame(path, frame, frames, expected_pts, settings)
                frames += 1
                progress(frames)
    if not len(shown) == frames == len(expected_pts):
        raise VerificationError(
            f"{path}: holds {len(shown)} frames, {frames} could be decoded, {len(expected_pts)} were planned"
        )
    return frames


def _check_segment_frame(
    path: Path, frame: VideoFrame, number: int, expected_pts: Sequence[int], settings: EncoderSettings
) -> None:
    if number == len(expected_pts):
        raise VerificationError(f"{path}: holds more than the {number} frames that were planned")
    want = expected_pts[number]
    where = f"{path}: frame {number}, of {seconds(want * settings.time_base)},"
    off = None if frame.pts is None else frame.pts - (want - expected_pts[0])
    if off != 0:
        raise VerificationError(f"{where} is {'without a time' if off is None else f'{off} ticks off'}")
    if frame.is_corrupt:
        raise VerificationError(f"{where} is decoded with errors")
    planned = (settings.width, settings.height, _plain(settings.pix_fmt))
    found = (frame.width, frame.height, _plain(frame.format.name))
    if found != planned:
        raise VerificationError(
            f"{where} is {found[0]}x{found[1]} {found[2]}, not {planned[0]}x{planned[1]} {planned[2]}"
        )


def verify_output(
    source_path: Path,
    manifest: Manifest,
    chunk_pts: ChunkPts,
    output_path: Path,
    segments: Sequence[Path],
    *,
    threads: int = 1,
    progress: Progress = nobody,
) -> VerifyReport:
    """Reads an output once, beside its segments and the source's other streams. Memory does not grow with length.

    The segments are those that :func:`verify_segment` decoded. Where the container rewrites packets, the output's
    video is decoded whole, with ``threads``. Raises VerificationError naming the property and the place: frame count,
    every pts, dts (strictly rising, not after pts), size, pixel format, colour, sample aspect, damage, each packet
    of the video and of every stream that was copied; and whatever ``progress`` raises.
    """
    try:
        _, video, _ = probe(output_path)
    except SourceError as error:
        raise VerificationError(f"the output cannot be read: {error.message}") from error
    _check_picture(manifest.source.video, video, output_path)
    with open_source(output_path) as output, open_source(source_path) as source:
        checks = open_checks(source, output, manifest)
        stream = _stream(output, video)
        checker: Video
        if keeps_packets(container_of(output)):
            checker = CopiedVideo(output_path, video, stream, manifest, chunk_pts, segments)
        else:
            checker = DecodedVideo(output_path, video, stream, _planned_times(manifest, chunk_pts), threads)
        with reading(output_path, VerificationError, "the output cannot be decoded"):
            for packet in output.demux():
                if packet.stream.index == video.index:  # an end-of-stream packet's own index is not set
                    checker.take(packet)
                else:
                    checks.take(packet)
                progress(checker.frames)
        checker.end()
        checks.end()
    return VerifyReport(checker.frames, checks.streams, checks.packets)


def _planned_times(manifest: Manifest, chunk_pts: ChunkPts) -> Iterator[Fraction]:
    """All frames' times in seconds, in order."""
    time_base = manifest.source.video.time_base
    return (pts * time_base for chunk in manifest.chunks for pts in chunk_pts(chunk))


def _stream(output: InputContainer, video: VideoStream) -> AvVideoStream:
    stream = output.streams[video.index]
    assert isinstance(stream, AvVideoStream)
    return stream


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
    """Pixel format and whether it is full range."""
    full = video.color_range == 2 or video.pix_fmt.startswith("yuvj")
    return _plain(video.pix_fmt), full


def _plain(pix_fmt: str) -> str:
    """A pixel format without FFmpeg's older mark of the full range: yuvj420p is a full-range yuv420p."""
    return pix_fmt.replace("yuvj", "yuv")
