"""What a source is: its container, the one video stream that is redacted, and the streams that are copied."""

import struct
from itertools import islice, pairwise
from pathlib import Path

from av.container import InputContainer
from av.sidedata.sidedata import SideData, Type
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream as AvVideoStream

from farm.domain.manifest import OtherStream, VideoStream
from farm.errors import SourceError
from farm.media.failing import reading
from farm.media.opening import open_source

#: 8-bit planar YUV, whose planes can be painted on and encoded as they are.
PIXEL_FORMATS = frozenset({"yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p"})
_NO_TIMESTAMPS = frozenset({"h264", "hevc", "vvc", "m4v", "mpegvideo", "obu", "mjpeg"})
_LOOK = 8  # frames decoded to learn what only frames tell
_PROGRESSIVE = (0, 1)  # AV_FIELD_UNKNOWN, AV_FIELD_PROGRESSIVE


def probe(path: Path) -> tuple[str, VideoStream, tuple[OtherStream, ...]]:
    """Container name (FFmpeg's), the video stream and the other streams of a source; decodes its first frames.

    Raises SourceError with one reason for what cannot be redacted exactly (yet).
    """
    with open_source(path) as container, reading(path, SourceError, "cannot be decoded"):
        stream = video_stream(container, path)
        _refuse_stream(container, stream, path)
        _refuse_frame(_first_frame(container, stream, path), path)
        others = tuple(_other(s) for s in container.streams if s.index != stream.index)
        return container.format.name, _described(stream), others


def is_cover(stream: Stream) -> bool:
    """Whether a stream is a picture that players show for the file (cover art, thumbnails), not a video."""
    return bool(stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails))


def video_stream(container: InputContainer, path: Path) -> AvVideoStream:
    """The stream to redact. Raises SourceError when there is none, or more than one."""
    videos = [s for s in container.streams.video if not is_cover(s)]
    if not videos:
        what = "holds audio only" if container.streams.audio else "holds no video stream"
        raise SourceError(f"{path}: {what}", hint="there is nothing to redact in it")
    if len(videos) > 1:
        raise SourceError(
            f"{path}: holds {len(videos)} video streams, and only files with one are redacted so far",
            hint="extract one, for example: ffmpeg -i IN -map 0:v:0 -map 0:a -c copy OUT",
        )
    return videos[0]


def _refuse_stream(container: InputContainer, stream: AvVideoStream, path: Path) -> None:
    context = stream.codec_context
    if getattr(stream, "codec_context", None) is None or not context.pix_fmt or not context.width:
        raise SourceError(f"{path}: its video cannot be decoded: no decoder for it, or no picture in it")
    if container.format.name in _NO_TIMESTAMPS:
        raise SourceError(
            f"{path}: is a bare {container.format.name} stream without timestamps",
            hint="put it into a container, for example: ffmpeg -framerate 25 -i IN -c copy OUT.mp4",
        )
    if context.pix_fmt not in PIXEL_FORMATS:
        raise SourceError(
            f"{path}: has pixel format {context.pix_fmt}; "
            "only 8-bit planar YUV (4:2:0, 4:2:2, 4:4:4) is redacted so far"
        )
    if context.field_order not in _PROGRESSIVE:
        raise SourceError(f"{path}: is interlaced; only progressive video is redacted so far")
    if stream.metadata.get("alpha_mode", stream.metadata.get("ALPHA_MODE")) == "1":
        raise SourceError(f"{path}: is partly transparent, and the output's codec cannot hold that")
    odd = (context.width % 2 and "444" not in context.pix_fmt) or (context.height % 2 and "420" in context.pix_fmt)
    if odd:
        raise SourceError(
            f"{path}: is {context.width}x{context.height} pixels; "
            f"H.264 and HEVC cannot hold odd sizes in {context.pix_fmt}"
        )


def _first_frame(container: InputContainer, stream: AvVideoStream, path: Path) -> VideoFrame:
    """The first frame, after a look at a few more: in some files the times contradict the order of the pictures."""
    frames = list(islice(container.decode(stream), _LOOK))
    if not frames:
        raise SourceError(f"{path}: no frame of it can be decoded", hint="is it complete?")
    times = [f.pts for f in frames if f.pts is not None]
    if any(b <= a for a, b in pairwise(times)):
        raise SourceError(
            f"{path}: its frames' times are not in the order of its pictures",
            hint="encode it anew first, for example: ffmpeg -i IN -c:a copy OUT.mp4",
        )
    return frames[0]


def _refuse_frame(frame: VideoFrame, path: Path) -> None:
    if _turned(frame):
        raise SourceError(
            f"{path}: its display matrix turns or mirrors the picture, which is not followed so far",
            hint="turn it for good first, for example: ffmpeg -i IN -c:a copy OUT.mp4",
        )
    if frame.interlaced_frame:
        raise SourceError(f"{path}: is interlaced; only progressive video is redacted so far")


def _turned(frame: VideoFrame) -> bool:
    """Whether the display matrix does more than scale: nine little-endian 16.16 numbers, row by row."""
    for side in frame.side_data:
        if isinstance(side, SideData) and side.type == Type.DISPLAYMATRIX:
            a, b, _, c, d = struct.unpack("<9i", bytes(side))[:5]
            return bool(b or c or a <= 0 or d <= 0)
    return False


def _described(stream: AvVideoStream) -> VideoStream:
    context = stream.codec_context
    if stream.time_base is None:
        raise SourceError("the video stream has no time base")
    return VideoStream(
        index=stream.index,
        codec=context.codec.canonical_name,
        width=context.width,
        height=context.height,
        pix_fmt=context.pix_fmt or "",
        time_base=stream.time_base,
        average_rate=stream.average_rate or stream.guessed_rate or None,
        sample_aspect=stream.sample_aspect_ratio or None,
        color_range=int(context.color_range),
        color_primaries=int(context.color_primaries),
        color_transfer=int(context.color_trc),
        color_space=int(context.colorspace),
        profile=stream.profile,
    )


def _other(stream: Stream) -> OtherStream:
    return OtherStream(stream.index, "cover" if is_cover(stream) else stream.type, _codec_name(stream))


def _codec_name(stream: Stream) -> str:
    """FFmpeg's name of the codec, ``unknown`` where it has no decoder and no name for it."""
    context = getattr(stream, "codec_context", None)
    if context is not None:
        return str(context.codec.canonical_name)
    try:
        return stream.name or "unknown"  # data streams have a name but no context
    except AttributeError:
        return "unknown"
