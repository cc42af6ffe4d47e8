"""HEVC's parameter sets: what splicing reads of them, and the encoder's with other ids and a larger picture buffer.

ITU-T H.265, 7.3.2.1 to 7.3.3. A decoder may drop pictures that it has not shown yet where the next sequence has another
size of its pictures or of their buffer (C.5.2.2), so that spliced sequences state the same; and of their blocks, as
libde265 finishes a picture with the next one's.
"""

from dataclasses import dataclass, replace
from typing import Self

from farm.media.reading.bits import Bits
from farm.media.splicing.sequence import escaped, exp_golomb

VPS, SPS, PPS = 32, 33, 34
#: Bytes of a unit's header.
HEADER = 2
_ALL_COLOURS = 3  # chroma_format_idc of 4:4:4, which says whether its planes are coded apart


def kind_of(unit: bytes) -> int:
    """nal_unit_type."""
    return unit[0] >> 1 & 63


@dataclass(frozen=True, slots=True)
class Limits:
    """A sequence's level, sps_max_dec_pic_buffering_minus1 and sps_max_num_reorder_pics of its highest sub-layer."""

    level: int
    pictures: int
    reordered: int


@dataclass(frozen=True, slots=True)
class Picture:
    """The pictures of a sequence. ``chroma``: chroma_format_idc, 0 where planes are coded apart.

    ``depths``: bits of a sample of luma and chroma; ``order_bits``: of a picture's place in order; ``blocks``: the
    binary logarithms of the least and greatest size of coding blocks, and of transform blocks.
    """

    chroma: int
    size: tuple[int, int]
    depths: tuple[int, int]
    order_bits: int
    blocks: tuple[int, int, int, int] = (0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """A video or sequence parameter set. ``id``: its own; ``picture``: None of a video's.

    ``layers``: sub-layers beside the first. ``places``: the bits of its payload that hold the level, the id of a
    sequence, and the limits. ``at``: the bit behind the sizes of blocks.
    """

    unit: bytes
    id: int
    layers: int
    profile: int
    limits: Limits
    picture: Picture | None
    places: tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
    at: int

    @classmethod
    def of(cls, unit: bytes) -> Self:
        """Parse a set. Raises ValueError for a damaged one."""
        bits = Bits.of(unit, HEADER)
        sequence = kind_of(unit) == SPS
        video = bits.take(4)
        bits.take(0 if sequence else 8)
        layers = bits.take(3)
        bits.take(1 if sequence else 17)
        profile, level, at_level = _profile(bits, layers)
        own, begun, picture = video, bits.at, None
        at_id = (begun, begun)
        if sequence:
            own = bits.exp_golomb()
            at_id = (begun, bits.at)
            picture = _picture(bits)
        limits = at_limits = (0, 0)
        for _ in range(layers + 1 if bits.take(1) else 1):
            begun = bits.at
            limits = bits.exp_golomb(), bits.exp_golomb()
            at_limits = (begun, bits.at)
            bits.exp_golomb()
        places = (at_level, at_level + 8), at_id, at_limits
        if picture:
            coding, more, transform, further = (bits.exp_golomb() for _ in range(4))
            blocks = coding + 3, coding + 3 + more, transform + 2, transform + 2 + further
            picture = replace(picture, blocks=blocks)
        return cls(unit, own, layers, profile, Limits(level, *limits), picture, places, bits.at)

    def saying(self, number: int, limits: Limits) -> bytes:
        """The unit with this id, of its video parameter set too, and with these limits. Raises ValueError."""
        if self.layers:
            raise ValueError("the encoder wrote several layers")
        level, own, buffer = self.places
        sequence = kind_of(self.unit) == SPS
        return replaced(
            self.unit,
            ((0, 4), f"{number:04b}"),
            (level, f"{limits.level:08b}"),
            (own, exp_golomb(number) if sequence else ""),
            (buffer, exp_golomb(limits.pictures) + exp_golomb(limits.reordered)),
        )


def replaced(unit: bytes, *changes: tuple[tuple[int, int], str]) -> bytes:
    """A parameter set with some bits of its payload, ascending, replaced by others."""
    content = Bits.of(unit, HEADER).content
    text = f"{int.from_bytes(content, 'big'):0{8 * len(content)}b}".rstrip("0")  # up to the bit that ends it
    parts, at = list[str](), 0
    for (begin, end), bits in changes:
        parts += [text[at:begin], bits]
        at = end
    return unit[:HEADER] + escaped(in_bytes("".join((*parts, text[at:]))))


def in_bytes(text: str) -> bytes:
    """Bits as bytes, the last one filled with zeros."""
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def _profile(bits: Bits, layers: int) -> tuple[int, int, int]:
    """The profile and level of all layers, and the bit at which the level begins (7.3.3)."""
    bits.take(3)
    profile = bits.take(5)
    bits.take(80)
    at = bits.at
    level = bits.take(8)
    present = [(bits.take(1), bits.take(1)) for _ in range(layers)]
    bits.take(2 * (8 - layers) if layers else 0)
    for with_profile, with_level in present:
        bits.take(88 * with_profile + 8 * with_level)
    return profile, level, at


def _picture(bits: Bits) -> Picture:
    """The format of samples, the size, and the bits of a picture's place in order."""
    chroma = bits.exp_golomb()
    if chroma == _ALL_COLOURS and bits.take(1):
        chroma = 0
    size = bits.exp_golomb(), bits.exp_golomb()
    if bits.take(1):
        for _ in range(4):
            bits.exp_golomb()
    depths = bits.exp_golomb() + 8, bits.exp_golomb() + 8
    return Picture(chroma, size, depths, bits.exp_golomb() + 4)
