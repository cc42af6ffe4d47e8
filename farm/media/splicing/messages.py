"""Supplemental enhancement information (SEI) of H.264 and HEVC, and what of it is kept in copied packets.

ITU-T H.264, 7.3.2.3 and annex D; ITU-T H.265 numbers the messages that matter here in the same way.
"""

import re
from collections.abc import Iterable, Iterator

from farm.media.splicing.sequence import escaped

#: Data that a standards body registered, and data of anybody's: cameras write positions, times and serial numbers here.
_REGISTERED, _UNREGISTERED = 4, 5
#: What else is kept, all of it numbers for decoders and displays: buffering and timing, pan and scan, recovery points,
#: tone mapping, packing of stereo frames, orientation, sets in use, decoding units, checksums of pictures, mastering
#: display, light levels, transfer, ambient light. Messages that hold others are not.
_KEPT = frozenset({0, 1, 2, 6, 23, 45, 47, 129, 130, 132, 137, 144, 147, 148})
#: Captions (ATSC A/53, 6.2.3.1), of as many triples of bytes as they state, and the active format (ETSI TS 101 154).
#: HDR10+ is left out of copied groups, as it is of encoded ones.
_CAPTIONS, _TRIPLES = re.compile(rb"\xb5\x00\x31GA94\x03(.).((?:...)*)\xff", re.DOTALL), 0x1F
_ACTIVE_FORMAT = re.compile(rb"\xb5\x00\x31DTG1[\x01\x41].?", re.DOTALL)
#: x264's UUID, version and options.
_X264 = re.compile(
    re.escape(bytes.fromhex("dc45e9bde6d948b7962cd820d923eeef"))
    + rb"x264 - core \d+[ \w.+]{0,40} - H\.264/MPEG-4 AVC codec - Copy(?:left|right) [ -~]{0,80} - options:"
    rb"(?: [a-z0-9_]+(?:=[-0-9a-z.:,/]{1,40})?){0,120}\x00?"
)
_STOP = 0x80


def without_private(units: Iterable[bytes], kind: int, *, strict: bool, header: int = 1) -> Iterator[bytes]:
    """The units without messages that may tell places or people. Untouched units stay as they are.

    ``kind``: nal_unit_type of SEI; ``header``: bytes of a unit's header. ``strict``: an encoder's name goes, too.
    Raises ValueError for messages that do not fill their unit.
    """
    for unit in units:
        found = unit[0] & 31 if header == 1 else unit[0] >> 1 & 63
        if found != kind:
            yield unit
            continue
        messages = list(_messages(unit[header:].replace(b"\x00\x00\x03", b"\x00\x00")))
        kept = [(number, content) for number, content in messages if not _is_private(number, content, strict=strict)]
        if len(kept) == len(messages):
            yield unit
        elif kept:
            yield unit[:header] + escaped(b"".join(_written(*message) for message in kept) + bytes((_STOP,)))


def _messages(payload: bytes) -> Iterator[tuple[int, bytes]]:
    """Each message's type and content."""
    at = 0
    while at < len(payload) and payload[at:].rstrip(b"\x00") != bytes((_STOP,)):
        numbers = []
        for _ in range(2):
            value = 0
            while at < len(payload) and payload[at] == 0xFF:
                value, at = value + 0xFF, at + 1
            if at >= len(payload):
                raise ValueError("a message in a packet ends early")
            numbers.append(value + payload[at])
            at += 1
        number, size = numbers
        if at + size > len(payload):
            raise ValueError("a message in a packet ends early")
        yield number, payload[at : at + size]
        at += size


def _is_private(number: int, content: bytes, *, strict: bool) -> bool:
    if number == _UNREGISTERED:
        return strict or not _X264.fullmatch(content)
    if number == _REGISTERED:
        captions = _CAPTIONS.fullmatch(content)
        stated = captions is not None and 3 * (captions[1][0] & _TRIPLES) == len(captions[2])
        return not stated and not _ACTIVE_FORMAT.fullmatch(content)
    return number not in _KEPT


def _written(number: int, content: bytes) -> bytes:
    sizes = (b"\xff" * (value // 0xFF) + bytes((value % 0xFF,)) for value in (number, len(content)))
    return b"".join(sizes) + content
