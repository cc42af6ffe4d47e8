"""Checks an output against the plan. Nothing is published that does not pass."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from av.container import InputContainer
from av.video.stream import VideoStream as AvVideoStream

from farm.domain.containers import BOXED
from farm.domain.encoding import EncoderSettings
from farm.domain.manifest import VIDEO, Manifest, OtherStream
from farm.domain.options import ComposeOptions
from farm.domain.sound import SoundSpan
from farm.errors import VerificationError
from farm.media.composing.containers import keeps_packets
from farm.media.composing.decode_times import ChunkPts
from farm.media.composing.redacted import RedactedStream, check_complete
from farm.media.composing.sound import in_frames
from farm.media.composing.streams import USUAL
from farm.media.encoding.choice import output_video
from farm.media.failing import reading
from farm.media.progress import Progress, no_progress, part
from farm.media.reading.opening import open_source
from farm.media.reading.probe import probe_output
from farm.media.reading.stream_details import track_ends
from farm.media.verifying.packets import seconds
from farm.media.verifying.properties import display_properties, encoding_properties
from farm.media.verifying.verify_redacted import RedactedVideo
from farm.media.verifying.verify_sound import check_sound
from farm.media.verifying.verify_streams import container_of, open_checks
from farm.media.verifying.verify_video import CopiedVideo, DecodedVideo, Video

_NONE: Mapping[int, RedactedStream] = MappingProxyType({})


def verify_output(
    source_path: Path,
    manifest: Manifest,
    chunk_pts: ChunkPts,
    output_path: Path,
    segments: Sequence[Path],
    settings: EncoderSettings,
    options: ComposeOptions = USUAL,
    sound: Sequence[SoundSpan] = (),
    *,
    redacted: Mapping[int, RedactedStream] = _NONE,
    threads: int = 1,
    progress: Progress = no_progress,
) -> int:
    """Read an output once, together with its segments and the source's other streams, in constant memory.

    Returns the number of video frames.
    The segments were encoded with ``settings``, and decoded in full when they were written. If the container rewrites
    packets, the output's video is decoded in full, with ``threads``. Raises VerificationError naming the property and
    the place: frame count, every pts (the source's, less the manifest's shift), dts (strictly rising, not after pts),
    codec, size, pixel format, colour, HDR, sample aspect, orientation, field order, the last frame's duration, damage,
    a frame that an edit list hides, each packet of the video and of every copied stream, and metadata that ``options``
    keep or remove; of sound that is edited (``sound``: its spans), the decoded samples, see
    :mod:`farm.media.verifying.verify_sound`; of the further videos and covers ``redacted``, all that
    :mod:`farm.media.verifying.verify_redacted` compares; and whatever ``progress`` raises.
    """
    alone = None if redacted else probe_output(output_path).video
    with open_source(output_path) as output, open_source(source_path) as source:
        container = container_of(output)
        checks = open_checks(source, output, manifest, options, sound)
        video = alone or probe_output(output_path, checks.video).video
        want = output_video(manifest.source.video, settings)
        for pair in (*encoding_properties(want, video), *display_properties(want, video, container)):
            if not pair.equal:
                raise VerificationError(f"{output_path}: {pair.difference}")
        watching = part(progress, manifest.frames, 0, 2) if checks.edited else progress
        further = _further(output_path, output, checks.redacted, redacted, container)
        stream = output.streams[video.index]
        assert isinstance(stream, AvVideoStream)
        checker: Video
        if keeps_packets(container):
            checker = CopiedVideo(output_path, video, stream, manifest, chunk_pts, segments)
        else:
            checker = DecodedVideo(output_path, video, stream, manifest, chunk_pts, threads)
        with reading(output_path, VerificationError, "the output cannot be decoded"):
            for packet in output.demux():
                if packet.stream.index == video.index:  # an end-of-stream packet's own index is not set
                    checker.take(packet)
                elif packet.stream.index in further:
                    further[packet.stream.index].take(packet)
                else:
                    checks.take(packet)
                watching(checker.frames)
        for each in (checker, *further.values(), checks):
            each.end()
        ends = {video.index: manifest} | {
            index: redacted[other.index].manifest for index, other in checks.redacted.items() if other.kind == VIDEO
        }
        for index, planned in ends.items() if container in BOXED else ():  # the others do not store it
            _check_end(output.streams[index].id, planned, output_path)
        checker.check_end(container, manifest)
    if checks.edited:
        with open_source(output_path) as output, open_source(source_path) as source:
            listening = in_frames(part(progress, manifest.frames, 1, 2), manifest)
            check_sound(source, output, checks.edited, manifest, container, options, sound, listening)
    return checker.frames


def _further(
    path: Path,
    output: InputContainer,
    streams: Mapping[int, OtherStream],
    redacted: Mapping[int, RedactedStream],
    container: str,
) -> dict[int, RedactedVideo]:
    check_complete([*streams.values()], redacted)
    return {
        index: RedactedVideo(path, output.streams[index], other, redacted[other.index], container)
        for index, other in streams.items()
    }


def _check_end(number: int, manifest: Manifest, path: Path) -> None:
    """Raise VerificationError unless the last frame ends when the source's does. ``number``: the track ID."""
    said = track_ends(path).get(number)
    if said is None:
        raise VerificationError(f"{path}: does not state how long its video is")
    want = (manifest.chunks[-1].pts_end - manifest.shift) * manifest.source.video.time_base
    if abs(said.seconds - want) >= said.tick:
        raise VerificationError(f"{path}: its last frame is shown until {seconds(said.seconds)}, not {seconds(want)}")
