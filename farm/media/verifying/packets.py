"""Packets of copied streams, read back so that they can be compared whatever containers they come from.

A muxer may add to a packet what only its own container needs, and some containers cut a stream into packets of their
own. What is left after :func:`read_packet` is the same in every container. :mod:`verify_streams` compares an output
with its plan, :mod:`compare_streams` with any source.
"""

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from av.packet import Packet

from farm.domain.manifest import OtherStream

_ADTS_SYNC = 0xFFF0  # twelve ones, then two zeros for the layer, in the first 16 bits under _ADTS_MASK
_ADTS_MASK = 0xFFF6
_NO_TEXT = b"\x00\x00"  # a mov_text of length 0
#: Layers of MPEG audio. MP4 and AVI say only that it is one of them, which libavformat calls mp3.
_MPEG_AUDIO = frozenset({"mp1", "mp2", "mp3"})


@dataclass(frozen=True, slots=True)
class Content:
    """A packet's ``pts`` in ticks of ``tick`` seconds, and its ``payload``.

    ``blank``: it says that no subtitle is shown, as MP4 does it.
    """

    pts: int | None
    tick: Fraction
    payload: bytes
    blank: bool = False

    @property
    def when(self) -> Fraction | None:
        """Its time in seconds."""
        return None if self.pts is None else self.pts * self.tick

    @property
    def digest(self) -> bytes:
        """The SHA-256 of the payload."""
        return hashlib.sha256(self.payload).digest()


class Joined:
    """A stream as one string of bytes: the time in seconds that it begins at, and its SHA-256 so far."""

    def __init__(self) -> None:
        self.began: Fraction | None = None
        self._sha256 = hashlib.sha256()

    def add(self, content: Content) -> None:
        """Appends a packet."""
        if self.began is None:
            self.began = content.when
        self._sha256.update(content.payload)

    @property
    def digest(self) -> bytes:
        """The SHA-256 of everything added."""
        return self._sha256.digest()


def read_packet(packet: "Packet[Any]", codec: str) -> Content | None:
    """A packet of a stream of ``codec`` (FFmpeg's name); None for the marker that ends the stream."""
    if packet.size == 0 and packet.pts is None:
        return None
    payload = bytes(packet)
    if codec == "aac":
        payload = _without_adts(payload)
    return Content(packet.pts, packet.time_base, payload, codec == "mov_text" and payload == _NO_TEXT)


def is_cut_freely(codec: str) -> bool:
    """Whether containers cut a stream of ``codec`` into packets as they like: only its bytes in a row are its own."""
    return codec.startswith("pcm_")


def is_same_codec(one: str, other: str) -> bool:
    """Whether two names may be of the same codec, as different containers know it."""
    return one == other or {one, other} <= _MPEG_AUDIO


def name_of(stream: OtherStream) -> str:
    """A stream for a person."""
    return f"stream {stream.index} ({stream.kind}, {stream.codec})"


def seconds(value: Fraction | None) -> str:
    """A time for a person."""
    return "no time" if value is None else f"{float(value):.6f} s"


def _without_adts(packet: bytes) -> bytes:
    """AAC as MP4 has it: transport streams put an ADTS header (ISO/IEC 13818-7) before each frame."""
    if len(packet) < 7 or int.from_bytes(packet[:2], "big") & _ADTS_MASK != _ADTS_SYNC:
        return packet
    return packet[7 if packet[1] & 1 else 9 :]
