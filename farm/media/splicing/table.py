"""Which videos can be spliced: the codecs, what is asked of each, and where the output may be."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import av
import av.error
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream as AvVideoStream

from farm.domain.containers import BOXED, TRANSPORT
from farm.domain.encoding import EncoderSettings
from farm.domain.manifest import VideoStream
from farm.domain.options import ENCODE, JobOptions
from farm.errors import SourceError
from farm.media.reading.decoding import coded_size, open_video, packets
from farm.media.reading.frame_times import reorder_depth
from farm.media.reading.picture import frame_properties
from farm.media.splicing.base import Splicer
from farm.media.splicing.h264 import H264
from farm.media.splicing.hevc import Hevc
from farm.media.splicing.motion_jpeg import MotionJpeg
from farm.media.splicing.vp9 import Vp9

#: Samples by which a coded picture may be larger than what is shown of it: no more than blocks need. What is cut away
#: was not examined.
_PADDING = 16
#: Packets by which it is decided how far a source reorders its frames.
_SEEN = 250


@dataclass(frozen=True, slots=True)
class Spliced:
    """A codec that can be spliced. ``make``: of a source's header, ``--metadata``, the first packet, and the video;
    raises ValueError.

    ``containers`` of outputs in which it was proven: the muxers' names; ``encoders`` that take the place beside it.
    ``silent``: properties of a frame that its streams never state: the container does, for all frames alike.
    """

    make: Callable[[bytes, str, bytes, VideoStream], Splicer]
    containers: frozenset[str]
    encoders: frozenset[str]
    silent: frozenset[str] = frozenset()


_LIGHT = frozenset({"colour primaries", "colour transfer"})
SPLICED = {
    "h264": Spliced(H264, BOXED | TRANSPORT | {"matroska"}, frozenset({"libx264"})),
    "hevc": Spliced(Hevc, TRANSPORT | {"mp4", "mov", "matroska"}, frozenset({"libx265"})),
    "mjpeg": Spliced(MotionJpeg, frozenset({"mp4", "mov", "matroska", "avi"}), frozenset({"mjpeg"}), _LIGHT),
    "vp9": Spliced(Vp9, frozenset({"mp4", "matroska", "webm"}), frozenset({"libvpx-vp9"}), _LIGHT),
}


def planned_splicer(
    path: Path, video: VideoStream, settings: EncoderSettings, options: JobOptions, container: str
) -> tuple[Splicer, EncoderSettings]:
    """What splices a source, and settings that ask the encoder for what can stand beside it.

    ``container``: the output's muxer. Raises ValueError with the reason why nothing can be copied, SourceError.
    """
    if fault := _fault(video, settings, options, container):
        raise ValueError(fault)
    with open_video(path, video) as (opened, stream):
        found = packets(opened, stream)
        splicer, first = _made(video, stream, options, found)
        while first is not None and not splicer.begins(bytes(first)):
            first = next(found, None)
        if first is None or first.pts is None:
            raise ValueError("none of its frames decodes alone")
        _check_stated(video, stream.codec_context, bytes(first))
        pts = [first.pts, *(p.pts for p in islice(found, _SEEN) if p.pts is not None)]
    parameters = splicer.parameters(settings.options, reorder_depth(dict.fromkeys(pts)))
    return splicer, replace(settings, options=parameters, copies=True)


def splicer_of(path: Path, video: VideoStream, options: JobOptions) -> Splicer:
    """What splices a source of which :func:`planned_splicer` said that it can be. Raises SourceError."""
    with open_video(path, video) as (opened, stream):
        try:
            return _made(video, stream, options, packets(opened, stream))[0]
        except ValueError as error:
            raise SourceError(f"{path}: cannot be spliced: {error}", hint="add --untouched encode") from error


def _made(
    video: VideoStream, stream: AvVideoStream, options: JobOptions, found: "Iterator[Packet[AvVideoStream]]"
) -> "tuple[Splicer, Packet[AvVideoStream] | None]":
    """The splicer of an opened source, and the first of the packets ``found`` in it."""
    first = next(found, None)
    header, content = stream.codec_context.extradata or b"", bytes(first) if first else b""
    return SPLICED[video.codec].make(header, options.compose.metadata, content, video), first


def _fault(video: VideoStream, settings: EncoderSettings, options: JobOptions, container: str) -> str | None:
    """Why a video is encoded as a whole, by what is known without reading it; None if it may be copied."""
    spliced, redact = SPLICED.get(video.codec), options.redact
    if redact.untouched == ENCODE:
        return "that was asked"
    if spliced is None or settings.encoder not in spliced.encoders:
        return f"{video.codec} with {settings.encoder} was not proven"
    if container not in spliced.containers:
        return f"{video.codec} in {container} was not proven"
    if (settings.width, settings.height, settings.pix_fmt) != (video.width, video.height, video.pix_fmt):
        return "the output has another picture"
    if redact.debug or redact.overlay or options.compose.pictures:
        return "something is drawn on every frame"
    if video.timing != "stamped" or video.resized or video.interlaced:
        return "its frames are counted, of several sizes or interlaced"
    return None


def _check_stated(video: VideoStream, context: VideoCodecContext, packet: bytes) -> None:
    """Raise ValueError unless the stream itself, without its container, states what is planned for the whole video.

    A decoder would else see the encoded frames change from the copied ones.
    """
    frame, alone = _decoded_alone(context, packet)
    silent = SPLICED[video.codec].silent
    planned = {
        "colour range": video.full_range,
        "colour primaries": video.color_primaries,
        "colour transfer": video.color_transfer,
        "colour matrix": video.color_space,
    }
    found = frame_properties(frame)
    differs = any(found[name] != value for name, value in planned.items() if name not in silent)
    picture, aspect = (frame.width, frame.height, frame.format.name), alone.sample_aspect_ratio or 1
    if differs or picture != (video.width, video.height, video.pix_fmt) or aspect != (video.sample_aspect or 1):
        raise ValueError("its stream states another picture, aspect or other colours than its container")
    width, height = coded_size(alone)
    if not (0 <= width - video.width < _PADDING and 0 <= height - video.height < _PADDING):
        raise ValueError("its coded picture is larger than what is shown of it")


def _decoded_alone(context: VideoCodecContext, packet: bytes) -> tuple[VideoFrame, VideoCodecContext]:
    """A key frame, decoded with the stream's header alone, and the decoder."""
    alone = av.CodecContext.create(context.codec.canonical_name, "r")
    assert isinstance(alone, VideoCodecContext)
    alone.extradata = context.extradata
    alone.thread_count = 1
    try:
        frames = [*alone.decode(av.Packet(packet)), *alone.decode(None)]
    except av.error.FFmpegError as error:
        raise ValueError("its first key frame does not decode alone") from error
    if len(frames) != 1:
        raise ValueError("its first key frame does not decode alone")
    return frames[0], alone
