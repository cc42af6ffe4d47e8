"""NAL units of H.264 and HEVC.

ITU-T H.264, 7.3 and annex B; ISO/IEC 14496-15 for units after their length, as in MP4 and Matroska.
"""

from collections.abc import Iterable, Iterator

#: Bytes of a unit's length. MP4 allows 1 and 2, too, which hold no large encoded frame.
LENGTH = 4
_START = b"\x00\x00\x01"
#: What a stream with start codes begins with.
STARTS = (_START, b"\x00" + _START)


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
