"""How a video decoder is set up where no damage may pass, and how its frames are taken from it."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import av.error
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from farm.media.reading.integrity import intact_slices
from farm.media.reading.limits import Limits

#: With these a decoder raises where it would otherwise conceal damage.
STRICT = {"err_detect": "explode"}
#: And it compares the checksums that a source may hold of its pictures (HEVC; of 23 flipped bits 23 noticed, else 0).
_CHECKED = {"err_detect": "crccheck+explode"}
#: Decoders that may share their work frame by frame: they raise for damage or do not notice it, whatever the threads.
_THREADED = frozenset({"hevc", "vp8", "vp9", "av1"})
#: H.264's decoder flags whatever damage it notices. To make it raise as well would find nothing more (measured), but
#: also make an error of the frames that a seek into an open GOP leaves without their references.
_FLAGGING = frozenset({"h264"})
_INVALID = 1094995529  # AVERROR_INVALIDDATA
_MARGIN = 256  # pixels that a coded picture may be larger than the shown one, each way
#: Told of the packet (its number from where reading began) that cannot be decoded; None: nothing more can be read.
Damage = Callable[[int | None, Exception], None]
Sent = Callable[[int, "Packet[VideoStream]"], None]


def set_up_decoder(stream: VideoStream, threads: int, options: dict[str, str]) -> None:
    """To be called before the first packet is decoded. ``options`` are the decoder's own.

    All others, H.264's first of all, get one thread: they conceal damage and flag the frame as corrupt. Threads that
    share a frame's slices hardly ever set that flag, and with a frame each it may come after the frame was handed out
    (measured, FFmpeg 8: 2 of 144 damaged clips passed on a busy machine, and one passed with ``err_detect``, too).
    """
    threads = threads if stream.codec_context.codec.canonical_name in _THREADED else 1
    stream.codec_context.thread_count = max(threads, 1)
    stream.thread_type = "FRAME" if threads > 1 else "NONE"
    context = stream.codec_context
    # what was planned is within the user's limits; a picture that grows on the way is not decoded
    planned = (context.width + _MARGIN) * (context.height + _MARGIN) if context.width else Limits().pixels
    context.options = {"max_pixels": str(planned), **options}


def strictness(codec: str) -> dict[str, str]:
    """The options with which the decoder of ``codec`` (FFmpeg's name) lets no damage pass that it notices."""
    return {} if codec in _FLAGGING else _CHECKED


def decoded(
    container: InputContainer,
    stream: VideoStream,
    *,
    sent: Sent | None = None,
    damage: Damage | None = None,
    most: int | None = None,
    numbered: bool = False,
) -> Iterator[VideoFrame]:
    """The frames of a stream from where the container stands, in the order in which they are shown.

    ``sent`` is told of each packet and its number, counted from 0, before it is decoded; ``numbered``: a frame has the
    number of its packet as ``frame.opaque``. That is for decoders without threads only: a thread that frees the number
    waits for Python, which may be waiting for the thread (seen with dav1d: a deadlock on closing). Without ``damage``
    errors of reading and decoding are raised; with it, it is told, and decoding goes on behind the packet, or ends
    where nothing more can be read, or after ``most`` packets. What cannot be decoded before the first key frame is
    never an error.
    """
    stream.codec_context.copy_opaque = numbered
    number, first = -1, _First()
    for packet in islice(packets(container, stream, damage), most):
        number += 1
        if numbered:
            packet.opaque = number
        if sent:
            sent(number, packet)
        yield from _taken(stream, packet, number, damage if first.reaches(packet) else _nothing)
    yield from _taken(stream, None, number, damage)


class _First:
    """The first key frame: what precedes it, in the file or in time, cannot be decoded, and no error there is one."""

    def __init__(self) -> None:
        self._keys = 0
        self._pts: int | None = None

    def reaches(self, packet: "Packet[VideoStream]") -> bool:
        """Whether a packet, the next in decoding order, can be decoded from the first key frame."""
        if packet.is_keyframe:
            self._keys += 1
            self._pts = packet.pts if self._keys == 1 else None
        leading = self._pts is not None and packet.pts is not None and packet.pts < self._pts
        return self._keys > 0 and not leading


def _nothing(_: int | None, __: Exception) -> None:
    """An error that is none."""


def packets(
    container: InputContainer, stream: VideoStream, damage: Damage | None = None
) -> Iterator["Packet[VideoStream]"]:
    """The packets of a stream that hold something: an empty one would end the decoder's work."""
    try:
        for packet in container.demux(stream):
            if packet.size:
                yield packet
    except av.error.FFmpegError as error:
        if damage is None:
            raise
        damage(None, error)


def _check_slices(stream: VideoStream, packet: "Packet[VideoStream] | None") -> None:
    """Raises InvalidDataError for an FFV1 packet whose check sums do not match, which its decoder conceals."""
    context = stream.codec_context
    if packet is None or context.codec.canonical_name != "ffv1" or not context.extradata:
        return
    if not intact_slices(bytes(packet)):
        raise av.error.InvalidDataError(_INVALID, "a check sum in it does not match")


def _taken(
    stream: VideoStream, packet: "Packet[VideoStream] | None", number: int, damage: Damage | None
) -> Iterator[VideoFrame]:
    try:
        _check_slices(stream, packet)
        frames = stream.codec_context.decode(packet)
    except av.error.FFmpegError as error:
        if damage is None:
            raise
        damage(number, error)
        return
    for frame in frames:
        if stream.time_base is not None:
            frame.time_base = stream.time_base  # what comes out at the end has none
        yield frame


def is_shown(codec: str, packet: "Packet[Any]") -> bool:
    """Whether a packet shows a picture; others predict from those that do not. ``codec``: FFmpeg's name.

    Only VP8 and VP9 have such packets, their alternate references. AV1's are temporal units, each with a shown picture.
    """
    shows = _SHOWS.get(codec)
    return shows is None or shows(memoryview(packet))


def _vp8_shown(content: memoryview) -> bool:
    """RFC 6386, 9.1: bit 4 of the first byte."""
    return bool(content[0] & 0x10)


def _vp9_shown(content: memoryview) -> bool:
    """VP9 bitstream, 6.2 and annex B: one frame of a superframe is shown where one is."""
    return any(_vp9_frame_shown(part) for part in _vp9_frames(content))


def _vp9_frames(content: memoryview) -> list[memoryview]:
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
    shift = 1 if profile == 3 else 0  # a reserved bit behind the profile
    if bits >> (3 - shift) & 1:
        return True  # show_existing_frame
    return bool(bits >> (1 - shift) & 1)


_SHOWS: dict[str, Callable[[memoryview], bool]] = {"vp8": _vp8_shown, "vp9": _vp9_shown}
