"""NAL units of H.264 and HEVC, and the few of their fields that splicing has to read.

ITU-T H.264, 7.3 and annex B; ISO/IEC 14496-15 for units after their length, as in MP4 and Matroska.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

#: Bytes of a unit's length. MP4 allows 1 and 2, too, which hold no large encoded frame.
LENGTH = 4
#: Bits in which a unit ends, at most: a one and zeros.
_LAST = 8
_START = b"\x00\x00\x01"
#: What a stream with start codes begins with.
STARTS = (_START, b"\x00" + _START)


@dataclass(slots=True)
class Bits:
    """Reads the bits of a unit's payload, without the bytes that prevent start codes (H.264, 7.3.1)."""

    content: bytes
    at: int = 0

    @classmethod
    def of(cls, unit: bytes, header: int = 1) -> "Bits":
        """Those behind a unit's ``header`` bytes."""
        return cls(unit[header:].replace(b"\x00\x00\x03", b"\x00\x00"))

    def take(self, count: int) -> int:
        """An unsigned number of ``count`` bits. Raises ValueError at the end."""
        end = self.at + count
        if end > 8 * len(self.content):
            raise ValueError("a parameter set ends early")
        found = int.from_bytes(self.content[self.at // 8 : -(-end // 8)], "big") >> (-end % 8)
        self.at = end
        return found & ((1 << count) - 1)

    @property
    def ended(self) -> bool:
        """Whether nothing is left but the bit that ends a unit, and zeros."""
        left = 8 * len(self.content) - self.at
        rest = int.from_bytes(self.content, "big") & ((1 << left) - 1)
        return left > 0 and rest == 1 << (left - 1) and left <= _LAST

    def exp_golomb(self) -> int:
        """An unsigned number as in H.264, 9.1. Raises ValueError for one of more than 32 bits, or at the end."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > 32:
                raise ValueError("a parameter set is damaged")
        return (1 << zeros) - 1 + self.take(zeros)


def lengthened(units: Iterable[bytes]) -> bytes:
    """Units, each after its length."""
    return b"".join(len(unit).to_bytes(LENGTH, "big") + unit for unit in units)


def units_in(packet: bytes) -> Iterator[bytes]:
    """The units of a packet in which each comes after its length. Raises ValueError where they do not fill it."""
    at = 0
    while at < len(packet):
        size = int.from_bytes(packet[at : at + LENGTH], "big")
        at += LENGTH
        if not 0 < size <= len(packet) - at:
            raise ValueError("a packet's NAL units do not fill it")
        yield packet[at : at + size]
        at += size


def units_of_stream(stream: bytes) -> Iterator[bytes]:
    """The units of a packet with start codes (annex B), without the zeros that may follow each.

    Raises ValueError for what does not begin with one.
    """
    if stream.lstrip(b"\x00")[:1] != b"\x01":
        raise ValueError("a packet does not begin with a start code")
    begin = stream.find(_START) + len(_START)
    while begin >= len(_START):
        following = stream.find(_START, begin)
        unit = stream[begin : len(stream) if following < 0 else following].rstrip(b"\x00")
        if unit:
            yield unit
        begin = following + len(_START)
