"""What a source is: its container, the one video stream that is redacted, and the streams that are copied."""

from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import av.error
from av.container import InputContainer
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream as AvVideoStream

from farm.domain.manifest import OtherStream, VideoStream
from farm.domain.pixels import pixel_format
from farm.errors import SourceError, VerificationError
from farm.media.failing import reading, reason
from farm.media.reading.abundance import refuse_many_opened, refuse_many_tags
from farm.media.reading.decoding import coded_size, decoded, set_up_decoder
from farm.media.reading.dolby_vision import enhancement_layers, refuse_dolby_vision
from farm.media.reading.limits import NO_LIMITS, Limits
from farm.media.reading.opening import check_readable, open_source
from farm.media.reading.picture import picture_of
from farm.media.reading.unpacking import has_separate_palette
from farm.media.reading.videos import is_cover_art, kind_of, videos_of

#: Bare streams, without times of showing: FFmpeg's names.
BARE = frozenset({"h264", "hevc", "vvc", "m4v", "mpegvideo", "obu", "mjpeg", "jpeg_pipe"})
#: FFmpeg's rate for a bare stream whose header says none.
_DEFAULT_RATE = Fraction(25)
#: Upper limits of the frames decoded for what only frames tell, and of the packets read for them.
_FIRST_FRAMES, _FIRST_PACKETS = 16, 1000
#: Where a video is checked for becoming interlaced later, as broadcasts do: shares of its length, frames, packets.
_LATER, _LATER_FRAMES, _LATER_PACKETS = (Fraction(1, 4), Fraction(1, 2), Fraction(3, 4)), 4, 60
#: Their frames have no fields, or fields of their own.
_NO_FIELDS = frozenset({"hevc", "av1", "vp8", "vp9", "vvc", "gif", "png", "apng"})


@dataclass(frozen=True, slots=True)
class Probe:
    """A source as its header and its first frames show it.

    ``size`` (bytes) and ``mtime_ns``: the file's when it was probed. ``container``: FFmpeg's name. ``first``: the first
    decoded frame's pts, None if frames have none. ``empty``: indices of video streams that hold nothing, ``notes``:
    lines for the user.
    """

    path: Path
    size: int
    mtime_ns: int
    container: str
    video: VideoStream
    others: tuple[OtherStream, ...]
    first: int | None
    empty: frozenset[int]
    notes: tuple[str, ...]


def probe_output(path: Path, video: int | None = None) -> Probe:
    """Read an output as :func:`probe_source` does, without limits. Raises VerificationError."""
    try:
        return probe_source(path, NO_LIMITS, video)
    except SourceError as error:
        raise VerificationError(f"the output cannot be read: {error.message}") from error


def probe_source(path: Path, limits: Limits | None = None, video: int | None = None) -> Probe:
    """Reads a source's header and decodes its first frames, without searching for damage.

    ``video``: the index of the stream to redact, by default the first video (see :func:`videos_of`). Raises SourceError
    with one reason for what cannot be redacted exactly, and for what exceeds ``limits``.
    """
    limits = limits or Limits()
    check_readable(path)
    size, mtime_ns = file_state(path)
    refuse_many_tags(path)
    with (
        open_source(path, limits) as container,
        reading(path, SourceError, "cannot be decoded"),
    ):
        refuse_many_opened(path, container)
        layers = enhancement_layers(path, container)
        videos = videos_of(container, path, video, ignored=layers)
        stream, empty = videos.stream, videos.empty
        _refuse_stream(container, stream, path, limits)
        _refuse_covers(container, path, limits)
        frames, whole = _first_frames(container, stream, path)
        _refuse_picture(stream, frames, path, limits)
        refuse_dolby_vision(path, container.format.name, frames[0])
        others = tuple(
            OtherStream(s.index, kind_of(s), codec_name(s))
            for s in container.streams
            if s.index != stream.index and s.index not in empty | layers
        )
        name = container.format.name
        still, ordered = is_cover_art(stream), _in_order(frames)
        counted = still or name in BARE or (whole and not ordered) or has_separate_palette(stream)
        later = () if counted or stream.codec_context.codec.canonical_name in _NO_FIELDS else _later(container, stream)
        found, notes = _described(stream, [*frames, *later])
        if still:
            found = replace(found, timing="counted", time_base=Fraction(1), average_rate=Fraction(1))
        elif counted:
            found, more = _counted(stream, found, bare=name in BARE, in_order=ordered)
            notes = (*more, *notes)
        if layers:
            notes = (*notes, "the second layer of Dolby Vision was left out: the output is the base picture")
        if empty:
            notes = (*notes, "an empty video track was left out")
        first = None if counted else frames[0].pts
        return Probe(path, size, mtime_ns, name, found, others, first, empty, notes)


def file_state(path: Path) -> tuple[int, int]:
    """The file's size in bytes and its time of change in nanoseconds: equal as long as nothing writes to it."""
    with reading(path, SourceError, "cannot be read"):
        status = path.stat()
    return status.st_size, status.st_mtime_ns


def _refuse_stream(container: InputContainer, stream: AvVideoStream, path: Path, limits: Limits) -> None:
    context = getattr(stream, "codec_context", None)
    if context is None or not context.pix_fmt or not context.width:
        raise SourceError(f"{path}: its video cannot be decoded: no decoder for it, or no picture in it")
    limits.check_size(path, *coded_size(context))
    limits.check_length(path, (container.duration or 0) / 1_000_000)
    if stream.metadata.get("alpha_mode", stream.metadata.get("ALPHA_MODE")) == "1":
        raise SourceError(
            f"{path}: is partly transparent, in a second stream that its decoder does not read",
            hint="make it opaque first, for example: ffmpeg -i IN -c:a copy OUT.webm",
        )


def _refuse_covers(container: InputContainer, path: Path, limits: Limits) -> None:
    """Raise SourceError for cover art of too many pixels, which every program that opens the file would decode."""
    for stream in container.streams.video:
        if is_cover_art(stream):
            context = getattr(stream, "codec_context", None)
            if context is not None and not (context.width and context.height):  # its decoder refused the size
                raise SourceError(
                    f"{path}: its cover art (stream {stream.index}) cannot be decoded, or has more than "
                    f"{limits.pixels} pixels",
                    hint=f"remove it, for example: ffmpeg -i IN -map 0 -map -0:{stream.index} -c copy OUT",
                )


def _first_frames(container: InputContainer, stream: AvVideoStream, path: Path) -> tuple[list[VideoFrame], bool]:
    """The first frames, and whether they were decoded without an error."""
    errors: list[Exception] = []
    set_up_decoder(stream, 1, {})
    found = decoded(container, stream, damage=lambda _, error: errors.append(error), most=_FIRST_PACKETS)
    frames = list(islice(found, _FIRST_FRAMES))
    if not frames:
        why = f": {reason(errors[0])}" if errors else ""
        raise SourceError(f"{path}: no frame of it can be decoded{why}", hint="is it complete?")
    return frames, not errors and not any(frame.is_corrupt for frame in frames)


def _later(container: InputContainer, stream: AvVideoStream) -> list[VideoFrame]:
    """A few frames after the first ones, as far as they can be decoded; damage is ignored here."""
    frames: list[VideoFrame] = []
    duration = stream.duration or 0
    with suppress(av.error.FFmpegError):
        for share in _LATER if duration > 0 else ():
            container.seek((stream.start_time or 0) + int(duration * share), stream=stream, backward=True)
            found = decoded(container, stream, damage=lambda *_: None, most=_LATER_PACKETS)
            frames += islice(found, _LATER_FRAMES)
    return [frame for frame in frames if (frame.width, frame.height) == (stream.width, stream.height)]


def _refuse_picture(stream: AvVideoStream, frames: list[VideoFrame], path: Path, limits: Limits) -> None:
    context, frame = stream.codec_context, frames[0]
    limits.check_size(path, frame.width, frame.height)
    if pixel_format(frame.format.name) is None:
        raise SourceError(
            f"{path}: has pixel format {frame.format.name}, which cannot be painted on",
            hint="convert it first, for example: ffmpeg -i IN -pix_fmt yuv444p -c:a copy OUT.mkv",
        )
    if context.codec.canonical_name == "hevc" and any(f.interlaced_frame for f in islice(frames, _FIRST_FRAMES)):
        raise SourceError(
            f"{path}: is interlaced HEVC, one field a picture, which FFmpeg does not put together",
            hint="convert it with the recorder's own software first",
        )


def _in_order(frames: list[VideoFrame]) -> bool:
    """Whether the frames have times, in the order of the pictures: in some files they contradict it."""
    times = [f.pts for f in frames]
    return times[0] is not None and all(a is not None and b is not None and a < b for a, b in pairwise(times))


def _described(stream: AvVideoStream, frames: list[VideoFrame]) -> tuple[VideoStream, tuple[str, ...]]:
    context, frame = stream.codec_context, frames[0]
    if stream.time_base is None:
        raise SourceError("the video stream has no time base")
    picture = picture_of(frames, context.field_order)
    video = VideoStream(
        index=stream.index,
        codec=context.codec.canonical_name,
        width=frame.width,
        height=frame.height,
        pix_fmt=frame.format.name,
        time_base=stream.time_base,
        average_rate=stream.average_rate or stream.guessed_rate or None,
        sample_aspect=stream.sample_aspect_ratio or None,
        # the first frame's: the decoder's own are those of the frame that it saw last
        color_range=int(frame.color_range),
        color_primaries=int(frame.color_primaries),
        color_transfer=int(frame.color_trc),
        color_space=int(frame.colorspace),
        profile=stream.profile,
        matrix=picture.matrix,
        fields=picture.fields,
        mastering=picture.mastering,
        light=picture.light,
    )
    return video, picture.notes


def _counted(
    stream: AvVideoStream, video: VideoStream, *, bare: bool, in_order: bool
) -> tuple[VideoStream, tuple[str, ...]]:
    """The video as one whose frames are counted: frame n of a bare stream has the time n."""
    if not bare:
        note = "the source's times contradict the order of its pictures: they were kept and sorted"
        return replace(video, timing="counted"), () if in_order else (note,)
    rate = stream.guessed_rate or stream.average_rate or _DEFAULT_RATE
    stated = bool(stream.codec_context.framerate)
    source = "as its header states" if stated else "FFmpeg's default, as it states none"
    note = f"the source has no timestamps: taken to be {float(rate):.6g} frames a second, {source}"
    return replace(video, timing="counted", time_base=1 / rate, average_rate=rate), (note,)


def codec_name(stream: Stream) -> str:
    """FFmpeg's name of a stream's codec, ``unknown`` if it has no decoder and no name for it."""
    context = getattr(stream, "codec_context", None)
    if context is not None:
        return str(context.codec.canonical_name)
    try:
        return stream.name or "unknown"  # data streams have a name but no context
    except AttributeError:
        return "unknown"
