"""Which packets of VP8 and VP9 show a picture."""

import pytest
from av.packet import Packet

from farm.media.reading.decoding import is_shown

KEY, HIDDEN, EXISTING = (
    0b10_00_0_0_1_0,
    0b10_00_0_1_0_0,
    0b10_00_1_000,
)  # marker, profile, existing, type, shown, strict
HIDDEN_3 = 0b10_11_0_0_1_0  # profile 3 has a reserved bit more: what was "shown" is the frame's type


def superframe(*frames: bytes) -> bytes:
    marker = bytes([0xC0 | 1 << 3 | len(frames) - 1])  # sizes of two bytes
    return b"".join(frames) + marker + b"".join(len(f).to_bytes(2, "little") for f in frames) + marker


@pytest.mark.parametrize(
    ("codec", "content", "shown"),
    [
        ("vp9", bytes([KEY, 1, 2]), True),
        ("vp9", bytes([HIDDEN, 1, 2]), False),
        ("vp9", bytes([EXISTING]), True),
        ("vp9", bytes([HIDDEN_3, 0]), False),
        ("vp9", superframe(bytes([HIDDEN, 1, 2]), bytes([KEY, 5])), True),
        ("vp9", superframe(bytes([HIDDEN, 1, 2]), bytes([HIDDEN, 5])), False),
        ("vp9", bytes([KEY, 1, 0xC1]), True),  # looks like the end of a superframe, but is too short
        ("vp8", bytes([0x10, 0, 0]), True),
        ("vp8", bytes([0x01, 0, 0]), False),
        ("h264", bytes([0]), True),
    ],
)
def test_is_shown(codec: str, content: bytes, shown: bool) -> None:
    assert is_shown(codec, Packet(content)) is shown
