"""Writes H.264 in fields (PAFF), which no encoder at hand does: every macroblock is raw samples (I_PCM). And MPEG-2.

ITU-T H.264, 7.3: the syntax; 9.1: Exp-Golomb codes. Pictures are of one brightness for each field.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

#: Macroblocks across and down in a frame.
ACROSS, DOWN = 4, 4
WIDTH, HEIGHT = 16 * ACROSS, 16 * DOWN
_SPS, _PPS, _SLICE, _IDR = 7, 8, 1, 5


class _Bits:
    """A string of bits, the highest first."""

    def __init__(self) -> None:
        self.text: list[str] = []

    def put(self, value: int, count: int = 1) -> "_Bits":
        """``count`` bits."""
        self.text.append(f"{value:0{count}b}")
        return self

    def golomb(self, *values: int) -> "_Bits":
        """Unsigned Exp-Golomb codes."""
        for value in values:
            digits = f"{value + 1:b}"
            self.text.append("0" * (len(digits) - 1) + digits)
        return self

    def aligned(self) -> "_Bits":
        """Zeros up to the next byte."""
        self.text = ["".join(self.text)]
        self.text.append("0" * (-len(self.text[0]) % 8))
        return self

    def raw(self, content: bytes) -> None:
        """Whole bytes."""
        self.text.append(f"{int.from_bytes(content, 'big'):0{8 * len(content)}b}")

    def unit(self, kind: int, *, reference: bool = True) -> bytes:
        """A NAL unit, after a start code."""
        self.put(1).aligned()
        text = "".join(self.text)
        content = int(text, 2).to_bytes(len(text) // 8, "big")
        escaped, zeros = bytearray(), 0
        for byte in content:
            if zeros == 2 and byte <= 3:
                escaped.append(3)
                zeros = 0
            escaped.append(byte)
            zeros = 0 if byte else zeros + 1
        return b"\0\0\0\1" + bytes([(3 if reference else 0) << 5 | kind]) + bytes(escaped)


@dataclass(frozen=True, slots=True)
class Coded:
    """A coded picture: ``kind`` is ``top``, ``bottom`` or ``frame``; ``order`` counts fields in order of showing."""

    kind: str
    number: int
    order: int
    light: int
    key: bool = False
    reference: bool = True


def parameters(*, adaptive: bool = False) -> bytes:
    """The parameter sets of a stream whose pictures may be fields; ``adaptive``: its frames are MBAFF."""
    sps = _Bits().put(77, 8).put(0, 8).put(30, 8)
    # frame numbers and orders of 8 bits, 4 references
    sps.golomb(0, 4, 0, 4, 4).put(0).golomb(ACROSS - 1, DOWN // 2 - 1)
    sps.put(0).put(int(adaptive)).put(1).put(0).put(1)
    # VUI: 25 frames a second; one frame may be decoded before it is shown
    sps.put(0).put(0).put(0).put(0).put(1).put(1, 32).put(50, 32).put(1).put(0).put(0).put(0)
    sps.put(1).put(1).golomb(0, 0, 10, 10, 1, 4)
    pps = _Bits().golomb(0, 0).put(0).put(0).golomb(0, 0, 0).put(0).put(0, 2).golomb(0, 0, 0)
    pps.put(1).put(0).put(0)  # slices switch the deblocking filter off
    return sps.unit(_SPS) + pps.unit(_PPS)


def picture(coded: Coded, *, adaptive: bool = False) -> bytes:
    """One coded picture as NAL units, in a stream with :func:`parameters` of the same ``adaptive``."""
    field = coded.kind != "frame"
    bits = _Bits().golomb(0, 7, 0).put(coded.number % 256, 8)
    bits.put(int(field))
    if field:
        bits.put(int(coded.kind == "bottom"))
    if coded.key:
        bits.golomb(0)
    bits.put(coded.order % 256, 8)
    if coded.reference:
        bits.put(0).put(0) if coded.key else bits.put(0)
    bits.golomb(0, 1)  # the quantiser's difference, no deblocking
    for number in range(ACROSS * DOWN // (2 if field else 1)):
        if adaptive and not field and number % 2 == 0:
            bits.put(0)  # a pair of frame macroblocks
        bits.golomb(25).aligned()
        bits.raw(bytes([coded.light]) * 256 + b"\x80" * 128)
    return bits.unit(_IDR if coded.key else _SLICE, reference=coded.reference)


def in_fields(frames: int, *, bottom_first: bool = False, key_every: int = 5, mixed: bool = False) -> list[list[Coded]]:
    """Frames in decoding order, each a list of its coded pictures.

    The first field of frame n has the brightness 20 + 2 * n, the second one more. Every third frame is shown before
    the one that is decoded before it, and no reference. ``mixed``: every fourth frame is one picture.
    """
    kinds = ("bottom", "top") if bottom_first else ("top", "bottom")
    made: list[list[Coded]] = []
    number = 0
    start = 0  # of the frames since the key frame
    order = _swapped(frames, key_every)
    for shown in order:
        key = shown % key_every == 0
        if key:
            number, start = 0, shown
        leads = _leads(shown, key_every) and shown + 1 < frames
        light = 20 + 2 * shown
        at = 2 * (shown - start)
        if mixed and shown % 4 == 3:
            made.append([Coded("frame", number, at, light, key, not leads)])
        else:
            made.append([
                Coded(kinds[0], number, at, light, key, not leads),
                Coded(kinds[1], number, at + 1, light + 1, False, not leads),
            ])  # fmt: skip
        number += not leads
    return made


def _leads(shown: int, key_every: int) -> bool:
    return shown % key_every % 3 == 1 and shown % key_every + 1 < key_every


def _swapped(frames: int, key_every: int) -> list[int]:
    order = list(range(frames))
    for shown in range(frames - 1):
        if _leads(shown, key_every):
            order[shown], order[shown + 1] = shown + 1, shown
    return order


def shown_at(frame: Sequence[Coded], light: int = 20) -> int:
    """The number of a frame in order of showing."""
    return (frame[0].light - light) // 2


def bare(path: Path, frames: Iterable[Sequence[Coded]], *, adaptive: bool = False) -> Path:
    """Write a bare stream, with an access unit delimiter before every picture."""
    content = bytearray()
    for coded in (picture for frame in frames for picture in frame):
        content += b"\0\0\0\1\x09\xf0" + (parameters(adaptive=adaptive) if coded.key else b"")
        content += picture(coded, adaptive=adaptive)
    path.write_bytes(content)
    return path


def muxed(
    path: Path,
    frames: Sequence[Sequence[Coded]],
    *,
    together: bool = False,
    adaptive: bool = False,
    halved: tuple[int, int] | None = None,
) -> Path:
    """Write a container of 25 frames a second, with one packet a picture; ``together``: one packet a frame.

    ``halved``: the frame in decoding order, and the picture in it, of which the second half is missing.
    """
    stream_file = bare(path.with_suffix(".h264"), frames, adaptive=adaptive)
    with av.open(str(stream_file)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for at, frame in enumerate(frames):
            parts = [picture(coded, adaptive=adaptive) for coded in frame]
            if frame[0].key:
                parts[0] = parameters(adaptive=adaptive) + parts[0]
            if halved and halved[0] == at:
                parts[halved[1]] = parts[halved[1]][: len(parts[halved[1]]) // 2]
            parts = [b"".join(parts)] if together else parts
            for number, content in enumerate(parts):
                packet = av.Packet(content)
                packet.time_base = Fraction(1, 50)
                packet.pts = 2 * shown_at(frame) + number + 2
                packet.dts = 2 * at + number
                packet.duration = 2 if len(parts) == 1 else 1
                packet.is_keyframe = frame[0].key and number == 0
                packet.stream = stream
                target.mux(packet)
    return path


#: ISO/IEC 13818-2, table B.12: the number of bits of a luma block's difference.
_LUMA_SIZES = ("100", "00", "01", "101", "110", "1110", "11110", "111110")


def mpeg2_in_fields(path: Path, frames: int) -> Path:
    """Write MPEG-2 in fields, the top field first, of the same brightness as :func:`in_fields` has.

    A bare stream where the suffix is ``.m2v``; else a container of 25 frames a second, with one packet a frame.
    """
    made = [_mpeg2_frame(number) for number in range(frames)]
    stream_file = path.with_suffix(".m2v")
    stream_file.write_bytes(b"".join(made) + b"\0\0\1\xb7")
    if path != stream_file:
        with av.open(str(stream_file)) as source, av.open(str(path), "w") as target:
            stream = target.add_stream_from_template(source.streams.video[0])
            for number, content in enumerate(made):
                packet = av.Packet(content)
                packet.time_base, packet.duration = Fraction(1, 25), 1
                packet.pts = packet.dts = number + 1
                packet.is_keyframe = True
                packet.stream = stream
                target.mux(packet)
    return path


def _mpeg2_frame(number: int) -> bytes:
    content = bytearray()
    sequence = _Bits().put(WIDTH, 12).put(HEIGHT, 12).put(1, 4).put(3, 4).put(10_000, 18).put(1).put(100, 10)
    content += _section(0xB3, sequence.put(0, 3))
    content += _section(0xB5, _Bits().put(1, 4).put(0x48, 8).put(0).put(1, 2).put(0, 16).put(1).put(0, 16))
    content += _section(0xB8, _Bits().put(1 << 12 | number, 25).put(1).put(0))
    for structure in (1, 2):  # top, bottom
        content += _section(0, _Bits().put(0, 10).put(1, 3).put(0xFFFF, 16).put(0))
        coding = _Bits().put(8, 4).put(0xFFFF, 16).put(0, 2).put(structure, 2).put(0, 10)
        content += _section(0xB5, coding)
        for row in range(DOWN // 2):
            content += _section(1 + row, _mpeg2_row(19 + 2 * number + structure))
    return bytes(content)


def _section(kind: int, bits: _Bits) -> bytes:
    text = "".join(bits.aligned().text)
    return b"\0\0\1" + bytes([kind]) + int(text, 2).to_bytes(len(text) // 8, "big")


def _mpeg2_row(light: int) -> _Bits:
    """A slice of intra macroblocks; the first block differs from 128, all others from the block before in nothing."""
    bits = _Bits().put(2, 5).put(0)
    difference = light - 128
    for macroblock in range(ACROSS):
        bits.put(0b11, 2)
        for block in range(6):
            if block >= 4:
                bits.put(0b00, 2)
            elif macroblock or block or not difference:
                bits.put(0b100, 3)
            else:
                size = abs(difference).bit_length()
                bits.put(int(_LUMA_SIZES[size], 2), len(_LUMA_SIZES[size]))
                bits.put(difference if difference > 0 else difference + (1 << size) - 1, size)
            bits.put(0b10, 2)
    return bits
