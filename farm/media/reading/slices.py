"""The check sums that FFV1 keeps in its own packets.

FFmpeg's decoder writes a line of log when one does not match, conceals the slice and says nothing to its caller,
whatever ``err_detect`` is (measured with FFmpeg 8).
"""

import zlib

_REVERSED = bytes(int(f"{n:08b}"[::-1], 2) for n in range(256))
#: Bytes behind a slice: its size alone, or also a status and a check sum.
_PLAIN, _CHECKED = 3, 8


def sound_slices(packet: bytes) -> bool:
    """Whether an FFV1 packet (version 3 or later) is a chain of slices none of whose check sums fails.

    A slice ends with its size, and where the encoder was asked for it a CRC-32 that makes the remainder of the whole
    slice 0 (RFC 9043, section 4.9; polynomial 0x04C11DB7, most significant bit first). zlib's is the same with bits
    reversed. Packets without check sums are sound when the sizes add up.
    """
    checked = _chain(packet, _CHECKED)
    return checked if checked is not None else _chain(packet, _PLAIN) is True


def _chain(packet: bytes, footer: int) -> bool | None:
    """Whether the slices are sound; None where the packet is no chain of slices with such a footer."""
    end, sound = len(packet), True
    while end > 0:
        if end < footer:
            return None
        size = int.from_bytes(packet[end - footer : end - footer + 3], "big") + footer
        if size > end:
            return None
        if footer == _CHECKED:
            sound &= zlib.crc32(packet[end - size : end].translate(_REVERSED), 0xFFFFFFFF) == 0xFFFFFFFF
        end -= size
    return sound
