"""Checks a segment against its plan: decodes it in full, right after it was written."""

from array import array
from collections.abc import Sequence
from pathlib import Path

from av.video.frame import VideoFrame

from farm.domain.encoding import EncoderSettings
from farm.domain.pixels import plain_format
from farm.errors import VerificationError
from farm.media.composing.remux import open_segment
from farm.media.failing import reading
from farm.media.progress import Progress, no_progress
from farm.media.reading.decoding import STRICT, set_up_decoder
from farm.media.verifying.fidelity import Samples
from farm.media.verifying.packets import seconds


def verify_segment(
    path: Path,
    expected_pts: Sequence[int],
    settings: EncoderSettings,
    *,
    threads: int = 1,
    progress: Progress = no_progress,
    samples: Samples | None = None,
) -> int:
    """Decode a segment, check that it holds exactly the frames ``expected_pts``, and return their number.

    ``expected_pts`` in ticks of the settings' time base, ascending. ``samples``: frames of the encoder's input, to be
    compared with what players decode. The segment's pts are the frames' numbers, and the first must be a key frame.
    Raises VerificationError naming what differs and where in the source.
    """
    shown = array("q")
    frames = 0
    with reading(path, VerificationError, "this segment cannot be decoded"), open_segment(path) as container:
        stream = container.streams.video[0]
        if stream.codec_context.codec.canonical_name != settings.codec:
            raise VerificationError(f"{path}: holds {stream.codec_context.codec.canonical_name}, not {settings.codec}")
        # with the deblocking filter, which costs 0.8 % of a job: the samples are compared with what players show
        set_up_decoder(stream, threads, STRICT)
        for number, packet in enumerate(container.demux(stream)):
            if number == 0 and not packet.is_keyframe:
                raise VerificationError(f"{path}: does not begin with a key frame")
            if packet.is_corrupt:
                raise VerificationError(f"{path}: packet {number} is damaged")
            if packet.pts is not None:
                shown.append(packet.pts)
            for frame in packet.decode():
                where = _check_frame(path, frame, frames, expected_pts, settings)
                if samples is not None:
                    samples.compare(frames, frame, where)
                frames += 1
                progress(frames)
    if not len(shown) == frames == len(expected_pts):
        raise VerificationError(
            f"{path}: holds {len(shown)} frames, {frames} could be decoded, {len(expected_pts)} were planned"
        )
    if samples is not None:
        samples.end()
    return frames


def _check_frame(
    path: Path, frame: VideoFrame, number: int, expected_pts: Sequence[int], settings: EncoderSettings
) -> str:
    """Raise VerificationError unless a frame is as planned; returns its name for the user."""
    if number == len(expected_pts):
        raise VerificationError(f"{path}: holds more than the {number} frames that were planned")
    where = f"{path}: frame {number}, of {seconds(expected_pts[number] * settings.time_base)},"
    if frame.pts != number:
        raise VerificationError(f"{where} has the number {frame.pts}")
    if frame.is_corrupt:
        raise VerificationError(f"{where} is decoded with errors")
    planned = (settings.width, settings.height, plain_format(settings.pix_fmt))
    found = (frame.width, frame.height, plain_format(frame.format.name))
    if found != planned:
        raise VerificationError(
            f"{where} is {found[0]}x{found[1]} {found[2]}, not {planned[0]}x{planned[1]} {planned[2]}"
        )
    return where
