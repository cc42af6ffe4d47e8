"""Supplemental enhancement information (SEI) of H.264 and HEVC, and what of it is kept in copied packets.

ITU-T H.264, 7.3.2.3 and annex D; ITU-T H.265 numbers the messages that matter here in the same way.
"""

from collections.abc import Iterable, Iterator

from farm.media.splicing.sequence import escaped

#: Data that a standards body registered, and data of anybody's: cameras write positions, times and serial numbers here.
_REGISTERED, _UNREGISTERED = 4, 5
#: Country and provider, then what captions (ATSC A/53) and the active format (ETSI TS 101 154) begin with. HDR10+ is
#: left out of copied groups, as it is of encoded ones.
_KNOWN = (b"\xb5\x00\x31GA94", b"\xb5\x00\x31DTG1")
#: The UUID before x264's version and options.
_X264 = bytes.fromhex("dc45e9bde6d948b7962cd820d923eeef")
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
        return strict or not content.startswith(_X264)
    return number == _REGISTERED and not content.startswith(_KNOWN)


def _written(number: int, content: bytes) -> bytes:
    sizes = (b"\xff" * (value // 0xFF) + bytes((value % 0xFF,)) for value in (number, len(content)))
    return b"".join(sizes) + content
