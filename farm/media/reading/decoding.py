"""Sets up video decoders so that no damage passes unnoticed, and yields their frames."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import av.error
import av.logging
from av.container import InputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream as AvVideoStream

from farm.domain.manifest import VideoStream
from farm.liveness import beat
from farm.media.failing import invalid_data, logged
from farm.media.reading.integrity import intact_slices
from farm.media.reading.limits import Limits
from farm.media.reading.opening import demuxed, open_source
from farm.media.reading.unpacking import unpacked

#: Options with which a decoder raises an error instead of concealing damage.
STRICT = {"err_detect": "explode"}
#: It also compares the checksums of pictures that a source may hold (HEVC: 23 of 23 flipped bits noticed, else 0).
_CHECKED = {"err_detect": "crccheck+explode"}
#: Decoders that may use frame threads: they raise for damage or miss it, however many threads they use.
_THREADED = frozenset({"hevc", "vp8", "vp9", "av1"})
#: H.264's decoder flags all damage that it notices. Making it raise would find no more damage (measured), but turn the
#: frames that a seek into an open GOP leaves without references into errors.
_FLAGGING = frozenset({"h264"})
#: Decoders that always start threads of their own.
OWN_THREADS = frozenset({"vvc"})
#: MPEG-2's decoder raises for every picture in fields, intact or not, and flags no damage in them: only its log tells.
_TELLING = frozenset({"mpeg2video"})
#: TIFF's decoder then also raises for a tag that FFmpeg itself writes (the unit of the resolution).
_LENIENT = frozenset({"tiff"})
#: An APNG states its colours once, before its pictures; FFmpeg's decoder forgets some of them after the first.
_STATED_ONCE = frozenset({"apng"})
_THEORA = b"\x80theora"  # begins its header
_MARGIN = 256  # pixels that a coded picture may be larger than the shown one, each way
#: Called with the number of a packet that cannot be decoded, from where reading began; None: reading itself failed.
Damage = Callable[[int | None, Exception], None]
Sent = Callable[[int, "Packet[AvVideoStream]"], None]


@contextmanager
def open_video(
    path: Path, video: VideoStream, threads: int = 1, options: Mapping[str, str] | None = None
) -> Iterator[tuple[InputContainer, AvVideoStream]]:
    """Open a file and set up the decoder of its stream ``video``: with ``options``, else with :func:`strictness`.

    Raises SourceError as :func:`farm.media.reading.opening.open_source`.
    """
    with open_source(path) as container:
        stream = container.streams[video.index]
        assert isinstance(stream, AvVideoStream)
        chosen = strictness(video.codec) if options is None else options
        set_up_decoder(stream, threads, {**_pixels_of(video), **chosen})
        yield container, stream


def set_up_decoder(stream: AvVideoStream, threads: int, options: Mapping[str, str]) -> None:
    """Configure a decoder. Call it before the first packet is decoded. ``options`` are the decoder's own.

    Only a few codecs get several ``threads``. The other decoders, H.264's above all, conceal damage and flag the frame
    as corrupt. With slice threads that flag is rarely set, and with frame threads it may be set after the frame was
    returned (measured, FFmpeg 8: 2 of 144 damaged clips passed on a busy machine, and one even with ``err_detect``).
    """
    threads = threads if stream.codec_context.codec.canonical_name in _THREADED else 1
    stream.codec_context.thread_count = max(threads, 1)
    stream.thread_type = "FRAME" if threads > 1 else "NONE"
    context = stream.codec_context
    # the planned size is within the user's limits; a picture that becomes larger is not decoded
    width, height = coded_size(context)
    planned = (width + _MARGIN) * (height + _MARGIN) if width else Limits().pixels
    context.options = {"max_pixels": str(planned), **options}


def coded_size(context: VideoCodecContext) -> tuple[int, int]:
    """Width and height of the pictures that a decoder allocates, which may be cropped by a lot; 0 if not known."""
    width, height = max(context.width, context.coded_width), max(context.height, context.coded_height)
    head = (context.extradata or b"").partition(_THEORA)[2] if context.codec.canonical_name == "theora" else b""
    if width and len(head) >= 7:  # Theora I, 6.2: the version, then the size in macroblocks
        width, height = (max(n, 16 * int.from_bytes(head[at : at + 2], "big")) for n, at in ((width, 3), (height, 5)))
    return width, height


def _pixels_of(video: VideoStream) -> dict[str, str]:
    """The decoder's option for the pixels of the largest planned size, where there are several."""
    sizes = [(video.width, video.height), *(row[:2] for row in video.resized)]
    return {"max_pixels": str(max((w + _MARGIN) * (h + _MARGIN) for w, h in sizes))} if video.resized else {}


def strictness(codec: str) -> dict[str, str]:
    """The options with which the decoder of ``codec`` (FFmpeg's name) reports all damage that it notices."""
    return {} if codec in _FLAGGING | _TELLING | _LENIENT else _CHECKED


def decoded(
    container: InputContainer,
    stream: AvVideoStream,
    *,
    sent: Sent | None = None,
    damage: Damage | None = None,
    most: int | None = None,
    numbered: bool = False,
) -> Iterator[VideoFrame]:
    """Yield the frames of a stream from the container's position on, in presentation order, unpacked.

    ``sent`` is called with each packet and its number, counted from 0, before it is decoded. ``numbered`` sets
    ``frame.opaque`` to the number of the frame's packet. Use it with decoders without threads only: a thread that frees
    the number waits for Python, which may be waiting for the thread (seen with dav1d: a deadlock on closing).

    Errors of reading and decoding are raised, or passed to ``damage`` if it is given; decoding then continues with the
    next packet, and ends when nothing more can be read. It also ends after ``most`` packets. Packets before the first
    key frame, in the file or in time, may fail to decode without being an error.
    """
    stream.codec_context.copy_opaque = numbered
    codec = stream.codec_context.codec.canonical_name
    frames = _decoded(container, stream, codec, sent, damage, most, numbered)
    return _coloured_as_first(frames) if codec in _STATED_ONCE else frames


def _decoded(
    container: InputContainer,
    stream: AvVideoStream,
    codec: str,
    sent: Sent | None,
    damage: Damage | None,
    most: int | None,
    numbered: bool,
) -> Iterator[VideoFrame]:
    number, first = -1, _First()
    for packet in islice(packets(container, stream, damage), most):
        number += 1
        beat()  # decoding may begin long before the first frame that is wanted
        if numbered:
            packet.opaque = number
        if sent:
            sent(number, packet)
        yield from _taken(stream, codec, packet, number, damage if first.reaches(packet) else _nothing)
    yield from _taken(stream, codec, None, number, damage)


def _coloured_as_first(frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    """Yield the frames with the colours of the first one."""
    first = None
    for frame in frames:
        first = first or (frame.color_primaries, frame.color_trc, frame.colorspace)
        frame.color_primaries, frame.color_trc, frame.colorspace = first
        yield frame


class _First:
    """Tracks the first key frame: errors in what precedes it, in the file or in time, are expected."""

    def __init__(self) -> None:
        self._keys = 0
        self._pts: int | None = None

    def reaches(self, packet: "Packet[AvVideoStream]") -> bool:
        """Whether the next packet in decoding order can be decoded from the first key frame."""
        if packet.is_keyframe:
            self._keys += 1
            self._pts = packet.pts if self._keys == 1 else None
        leading = self._pts is not None and packet.pts is not None and packet.pts < self._pts
        return self._keys > 0 and not leading


def _nothing(_: int | None, __: Exception) -> None:
    """Ignore an expected error."""


def packets(
    container: InputContainer, stream: AvVideoStream, damage: Damage | None = None
) -> Iterator["Packet[AvVideoStream]"]:
    """Yield the packets of a stream that are not empty: an empty one would flush the decoder."""
    try:
        for packet in demuxed(container, stream):
            if packet.size:
                yield packet
    except av.error.FFmpegError as error:
        if damage is None:
            raise
        damage(None, error)


def _check_slices(stream: AvVideoStream, packet: "Packet[AvVideoStream] | None") -> None:
    """Raise InvalidDataError for an FFV1 packet whose checksums do not match, which its decoder conceals."""
    if packet is None or not stream.codec_context.extradata:
        return
    if not intact_slices(bytes(packet)):
        raise invalid_data("a check sum in it does not match")


def _taken(
    stream: AvVideoStream, codec: str, packet: "Packet[AvVideoStream] | None", number: int, damage: Damage | None
) -> Iterator[VideoFrame]:
    try:
        if codec == "ffv1":
            _check_slices(stream, packet)
        frames, told = _told(stream, packet) if codec in _TELLING else (stream.codec_context.decode(packet), None)
        if told and damage is None:
            raise told
        if told and damage:
            damage(number, told)
        frames = [unpacked(frame, codec) for frame in frames]
    except av.error.FFmpegError as error:
        if damage is None:
            raise
        damage(number, error)
        return
    for frame in frames:
        if stream.time_base is not None:
            frame.time_base = stream.time_base  # frames flushed at the end have none
        yield frame


def _told(
    stream: AvVideoStream, packet: "Packet[AvVideoStream] | None"
) -> tuple[list[VideoFrame], av.error.FFmpegError | None]:
    """The frames that a packet yields, and an error if the decoder logs one meanwhile."""
    with logged(av.logging.ERROR) as messages:
        frames = stream.codec_context.decode(packet)
    text = next((text.strip() for at, _, text in messages if at <= av.logging.ERROR), None)
    return frames, invalid_data(text) if text else None


def is_shown(codec: str, packet: "Packet[Any]") -> bool:
    """Whether a packet holds a picture that is shown. ``codec``: FFmpeg's name.

    VP8 and VP9 have packets that others are only predicted from, alternate references. AV1's packets are temporal
    units, each with a shown picture.
    """
    shows = _SHOWS.get(codec)
    return shows is None or shows(memoryview(packet))


def _vp8_shown(content: memoryview) -> bool:
    """RFC 6386, 9.1: bit 4 of the first byte."""
    return bool(content[0] & 0x10)


def _vp9_shown(content: memoryview) -> bool:
    """VP9 bitstream, 6.2: at most one frame of a superframe is shown."""
    return any(_vp9_frame_shown(part) for part in vp9_frames(content))


def vp9_frames(content: memoryview) -> list[memoryview]:
    """The frames of a packet that are not empty (VP9 bitstream, annex B)."""
    marker = content[-1]
    count, width = (marker & 7) + 1, (marker >> 3 & 3) + 1
    size = 2 + count * width
    if marker & 0xE0 != 0xC0 or len(content) < size or content[-size] != marker:
        return [content]
    frames, at = [], 0
    for index in range(count):
        start = len(content) - size + 1 + index * width
        length = int.from_bytes(content[start : start + width], "little")
        frames.append(content[at : at + length])
        at += length
    return [frame for frame in frames if len(frame)]


def _vp9_frame_shown(frame: memoryview) -> bool:
    bits = frame[0]
    profile = (bits >> 5 & 1) | (bits >> 4 & 1) << 1
    shift = 1 if profile == 3 else 0  # a reserved bit after the profile
    if bits >> (3 - shift) & 1:
        return True  # show_existing_frame
    return bool(bits >> (1 - shift) & 1)


_SHOWS: dict[str, Callable[[memoryview], bool]] = {"vp8": _vp8_shown, "vp9": _vp9_shown}
