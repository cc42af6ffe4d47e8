"""Packets of pictures that are never shown, which others are predicted from: VP8's and VP9's alternate references."""

from collections.abc import Callable
from typing import Any

from av.packet import Packet


def is_shown(codec: str, packet: "Packet[Any]") -> bool:
    """Whether a packet shows a picture. ``codec``: FFmpeg's name. AV1's packets always do: they are temporal units."""
    look = _LOOKS.get(codec)
    return look is None or look(memoryview(packet))


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


_LOOKS: dict[str, Callable[[memoryview], bool]] = {"vp8": _vp8_shown, "vp9": _vp9_shown}
