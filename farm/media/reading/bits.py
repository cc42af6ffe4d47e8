"""The bits of H.264's and HEVC's NAL units, and what is skipped in front of the fields of parameter sets."""

from dataclasses import dataclass

#: profile_idc with which H.264's sequence parameter sets state their chroma format.
HIGH = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 134, 135, 138, 139})
#: Bits in which a unit ends, at most: a one and zeros.
_LAST = 8


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

    def signed(self) -> int:
        """A signed number as in H.264, 9.1.1. Raises ValueError as :meth:`exp_golomb`."""
        value = self.exp_golomb()
        return (value + 1) // 2 if value % 2 else -(value // 2)


def skip_samples(bits: Bits) -> bool:
    """Pass the chroma format, bit depths, and matrices of quantisers (H.264, 7.3.2.1.1).

    Returns whether the planes of 4:4:4 are coded apart.
    """
    chroma = bits.exp_golomb()
    apart = chroma == 3 and bool(bits.take(1))
    bits.exp_golomb()
    bits.exp_golomb()
    bits.take(1)
    if bits.take(1):
        for number in range(12 if chroma == 3 else 8):
            if bits.take(1):
                _skip_scaling(bits, 16 if number < 6 else 64)
    return apart


def _skip_scaling(bits: Bits, size: int) -> None:
    """Pass a scaling list (H.264, 7.3.2.1.1.1)."""
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.signed()) % 256
        last = following or last


def skip_order(bits: Bits) -> None:
    """Pass how the order of pictures is coded (H.264, 7.3.2.1.1)."""
    kind = bits.exp_golomb()
    if kind == 0:
        bits.exp_golomb()
    elif kind == 1:
        bits.take(1)
        for _ in range(2):
            bits.exp_golomb()
        for _ in range(bits.exp_golomb()):
            bits.exp_golomb()
