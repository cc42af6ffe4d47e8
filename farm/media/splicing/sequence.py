"""What an H.264 sequence parameter set says of reordering, and the same set saying something else of it.

A decoder may drop pictures that it has not shown yet where the next sequence has another size of its picture buffer
(ITU-T H.264, C.4.4), and decoders do. So spliced sequences state the same.
"""

from dataclasses import dataclass
from typing import Self

from farm.media.reading.bits import HIGH, Bits, skip_order, skip_samples

_ANY_ASPECT = 255
#: Limits of sizes and motion that precede what is said of reordering.
_LIMITS = 4


@dataclass(frozen=True, slots=True)
class Reordering:
    """``frames``: max_num_reorder_frames; ``buffered``: max_dec_frame_buffering."""

    frames: int
    buffered: int


@dataclass(frozen=True, slots=True)
class Sequence:
    """A parsed set. ``references``: max_num_ref_frames; ``said``: of reordering, None if nothing.

    ``size``: width, height and how both are cropped, as they are coded.
    ``at``: the bit of its payload in which it says whether it says something of reordering, 0 if it has none;
    ``numbers``: the bit from which on it does.
    """

    unit: bytes
    profile: int
    level: int
    references: int
    size: tuple[int, ...]
    said: Reordering | None
    at: int
    numbers: int

    @classmethod
    def of(cls, unit: bytes) -> Self:
        """Parse a unit (7.3.2.1.1, E.1.1). Raises ValueError for a damaged one."""
        bits = Bits.of(unit)
        profile, _, level = bits.take(8), bits.take(8), bits.take(8)
        bits.exp_golomb()
        if profile in HIGH:
            skip_samples(bits)
        bits.exp_golomb()
        skip_order(bits)
        references = bits.exp_golomb()
        bits.take(1)
        width, height, frames_only = bits.exp_golomb(), bits.exp_golomb(), bits.take(1)
        bits.take(1 if frames_only else 2)
        cropped = [bits.exp_golomb() for _ in range(4)] if bits.take(1) else []
        size = (width, height, frames_only, *cropped)
        at, numbers, said = 0, 0, None
        if bits.take(1):
            _skip_display(bits)
            at = bits.at
            if bits.take(1):
                bits.take(1)
                for _ in range(_LIMITS):
                    bits.exp_golomb()
                numbers = bits.at
                said = Reordering(bits.exp_golomb(), bits.exp_golomb())
        if not bits.ended:
            raise ValueError("a parameter set holds something behind its end")
        return cls(unit, profile, level, references, size, said, at, numbers)

    def saying(self, reordering: Reordering | None) -> bytes:
        """The unit that says this of reordering. Raises ValueError for one that cannot."""
        if reordering == self.said:
            return self.unit
        at = self.numbers if reordering else self.at
        if not at:
            raise ValueError("the encoder's parameter set says nothing of reordering")
        kept = f"{Bits.of(self.unit).take(at):0{at}b}"
        kept += "0" if reordering is None else exp_golomb(reordering.frames) + exp_golomb(reordering.buffered)
        kept += "1"
        kept += "0" * (-len(kept) % 8)
        return self.unit[:1] + escaped(int(kept, 2).to_bytes(len(kept) // 8, "big"))


def escaped(payload: bytes) -> bytes:
    """A payload with the bytes that prevent start codes (7.4.1)."""
    out, zeros = bytearray(), 0
    for byte in payload:
        if zeros >= 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    return bytes(out)


def exp_golomb(value: int) -> str:
    """A number as the bits of H.264, 9.1."""
    digits = f"{value + 1:b}"
    return "0" * (len(digits) - 1) + digits


def _skip_display(bits: Bits) -> None:
    """What describes the display, up to reordering (VUI)."""
    if bits.take(1) and bits.take(8) == _ANY_ASPECT:
        bits.take(32)
    if bits.take(1):
        bits.take(1)
    if bits.take(1):
        bits.take(4)
        if bits.take(1):
            bits.take(24)
    if bits.take(1):
        bits.exp_golomb()
        bits.exp_golomb()
    if bits.take(1):
        bits.take(65)
    buffers = [_skip_rates(bits) for _ in range(2) if bits.take(1)]
    if buffers:
        bits.take(1)
    bits.take(1)


def _skip_rates(bits: Bits) -> bool:
    """Rates and buffers of a hypothetical decoder (E.1.2)."""
    count = bits.exp_golomb() + 1
    bits.take(8)
    for _ in range(count):
        bits.exp_golomb()
        bits.exp_golomb()
        bits.take(1)
    bits.take(20)
    return True
