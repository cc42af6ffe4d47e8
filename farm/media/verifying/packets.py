"""Reads packets of copied streams in a form that does not depend on their container.

Muxers add to packets what only their container needs, and some containers divide a stream into other packets. Two
policies compare the result: :mod:`farm.media.verifying.verify_streams` an output with its plan, and
:mod:`farm.media.verifying.compare_streams` an output with any source.
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
#: Layers of MPEG audio. MP4 does not tell them apart; libavformat then reports mp3.
_MPEG_AUDIO = frozenset({"mp1", "mp2", "mp3"})


@dataclass(frozen=True, slots=True)
class Content:
    """A packet's ``pts`` in ticks of ``tick`` seconds, and its ``payload``.

    ``blank``: an empty subtitle, with which MP4 fills the time between subtitles.
    """

    pts: int | None
    tick: Fraction
    payload: bytes
    blank: bool = False

    @property
    def when(self) -> Fraction | None:
        """The pts in seconds."""
        return None if self.pts is None else self.pts * self.tick

    @property
    def digest(self) -> bytes:
        """The SHA-256 of the payload."""
        return hashlib.sha256(self.payload).digest()


class Joined:
    """A stream as one string of bytes: its SHA-256, and when it began, in seconds."""

    def __init__(self) -> None:
        self.began: Fraction | None = None
        self._sha256 = hashlib.sha256()

    def add(self, content: Content) -> None:
        """Append a packet."""
        if self.began is None:
            self.began = content.when
        self._sha256.update(content.payload)

    @property
    def digest(self) -> bytes:
        """The SHA-256 of everything added."""
        return self._sha256.digest()


def read_packet(packet: "Packet[Any]", codec: str) -> Content | None:
    """Read a packet of a stream of ``codec`` (FFmpeg's name); None for the marker at the end of a stream."""
    if packet.size == 0 and packet.pts is None:
        return None
    payload = bytes(packet)
    if codec == "aac":
        payload = _without_adts(payload)
    return Content(packet.pts, packet.time_base, payload, codec == "mov_text" and payload == _NO_TEXT)


def is_cut_freely(codec: str) -> bool:
    """Whether containers may divide a stream of ``codec`` into packets anywhere."""
    return codec.startswith("pcm_")


def is_same_codec(one: str, other: str) -> bool:
    """Whether two names may stand for the same codec in different containers."""
    return one == other or {one, other} <= _MPEG_AUDIO


def name_of(stream: OtherStream) -> str:
    """A stream's name for the user."""
    return f"stream {stream.index} ({stream.kind}, {stream.codec})"


def seconds(value: Fraction | None) -> str:
    """A time as text for the user."""
    return "no time" if value is None else f"{float(value):.6f} s"


def _without_adts(packet: bytes) -> bytes:
    """Remove the ADTS header (ISO/IEC 13818-7) that AAC has in transport streams, and in MP4 not."""
    if len(packet) < 7 or int.from_bytes(packet[:2], "big") & _ADTS_MASK != _ADTS_SYNC:
        return packet
    return packet[7 if packet[1] & 1 else 9 :]
