"""Slices of HEVC as x265 writes them, with another picture parameter set: their headers are written anew.

ITU-T H.265, 7.3.2.3, 7.3.6 and 7.3.7. What x265 is not told to use here is refused.
"""

from dataclasses import dataclass
from typing import Self

from farm.media.reading.bits import Bits
from farm.media.splicing.hevc_sets import HEADER, SequenceSet, in_bytes, kind_of, replaced
from farm.media.splicing.sequence import escaped, exp_golomb

#: Bytes of a unit among which its header ends, with the places where its rows begin.
_MOST = 8192
_B, _P = 0, 1
_IRAP, _IDR = range(16, 24), (19, 20)


@dataclass(frozen=True, slots=True)
class Slices:
    """What the encoder's parameter sets say of slice headers; the names are the standard's, shortened."""

    order_bits: int
    chroma: bool
    sao: bool
    temporal_mvp: bool
    output: bool
    extra: int
    cabac_init: bool
    references: tuple[int, int]
    chroma_offsets: bool
    weighted: tuple[bool, bool]
    rows: bool
    across: bool
    deblocking_override: bool
    deblocking_off: bool
    extension: bool

    @classmethod
    def of(cls, sequence: SequenceSet, pps: bytes) -> Self:
        """Parse the encoder's sets. Raises ValueError for those of another kind."""
        sps, picture = Bits.of(sequence.unit, HEADER), sequence.picture
        assert picture is not None
        sps.at = sequence.at
        sps.exp_golomb()
        sps.exp_golomb()
        _none(sps.take(1))  # lists of scaling
        sps.take(1)
        sao = bool(sps.take(1))
        _none(sps.take(1) | sps.exp_golomb() | sps.take(1))  # PCM, sets of references, long-term references
        mvp = bool(sps.take(1))
        bits = Bits.of(pps, HEADER)
        _none(bits.exp_golomb() | bits.exp_golomb())
        _none(bits.take(1))  # dependent slices
        output, extra = bool(bits.take(1)), bits.take(3)
        bits.take(1)
        cabac, references = bool(bits.take(1)), (bits.exp_golomb() + 1, bits.exp_golomb() + 1)
        bits.exp_golomb()
        bits.take(2)
        if bits.take(1):
            bits.exp_golomb()
        bits.exp_golomb()
        bits.exp_golomb()
        offsets, weighted = bool(bits.take(1)), (bool(bits.take(1)), bool(bits.take(1)))
        bits.take(1)
        _none(bits.take(1))  # tiles
        rows, across = bool(bits.take(1)), bool(bits.take(1))
        override = off = False
        if bits.take(1):
            override, off = bool(bits.take(1)), bool(bits.take(1))
            for _ in range(0 if off else 2):
                bits.exp_golomb()
        _none(bits.take(1) | bits.take(1))  # lists of scaling, and of references in another order
        bits.exp_golomb()
        return cls(
            picture.order_bits, picture.chroma > 0, sao, mvp, output, extra, cabac, references, offsets, weighted,
            rows, across, override, off, bool(bits.take(1)),
        )  # fmt: skip

    def renumbered(self, unit: bytes, number: int) -> bytes:
        """A slice that names the picture parameter set ``number``. Raises ValueError for a header of another kind."""
        head = unit[: HEADER + _MOST]
        bits = Bits.of(head, HEADER)
        place = self._read(bits, kind_of(unit))
        end = bits.at
        text = f"{Bits(bits.content).take(end):0{end}b}"
        if not bits.take(1):
            raise ValueError("a slice's header ends elsewhere")
        size = at = HEADER + -(-bits.at // 8)
        while len(_plain(head[:at])) < size:
            at += 1
        written = in_bytes(text[: place[0]] + exp_golomb(number) + text[place[1] :] + "1")
        return unit[:HEADER] + escaped(written) + unit[at:]

    def _read(self, bits: Bits, kind: int) -> tuple[int, int]:
        """Read a header up to its end (7.3.6.1); returns the bits that name the picture parameter set."""
        if not bits.take(1):
            raise ValueError("the encoder wrote several slices of a picture")
        bits.take(1 if kind in _IRAP else 0)
        begun = bits.at
        bits.exp_golomb()
        place = (begun, bits.at)
        bits.take(self.extra)
        slice_type = bits.exp_golomb()
        bits.take(1 if self.output else 0)
        mvp = False
        if kind not in _IDR:
            bits.take(self.order_bits)
            _none(bits.take(1))
            for _ in range(bits.exp_golomb() + bits.exp_golomb()):
                bits.exp_golomb()
                bits.take(1)
            mvp = self.temporal_mvp and bool(bits.take(1))
        sao = [bits.take(1) for _ in range(1 + self.chroma)] if self.sao else []
        if slice_type in (_B, _P):
            self._read_references(bits, both=slice_type == _B, mvp=mvp)
        bits.exp_golomb()
        for _ in range(2 if self.chroma_offsets else 0):
            bits.exp_golomb()
        off = self.deblocking_off
        if self.deblocking_override and bits.take(1):
            off = bool(bits.take(1))
            for _ in range(0 if off else 2):
                bits.exp_golomb()
        bits.take(1 if self.across and (any(sao) or not off) else 0)
        if self.rows and (count := bits.exp_golomb()):
            bits.take(count * (bits.exp_golomb() + 1))
        if self.extension:
            bits.take(8 * bits.exp_golomb())
        return place

    def _read_references(self, bits: Bits, *, both: bool, mvp: bool) -> None:
        """What P and B slices say of their references."""
        counts = list(self.references)
        if bits.take(1):
            counts = [bits.exp_golomb() + 1, bits.exp_golomb() + 1 if both else counts[1]]
        bits.take(1 if both else 0)
        bits.take(1 if self.cabac_init else 0)
        if mvp:
            first = not both or bool(bits.take(1))
            if counts[0 if first else 1] > 1:
                bits.exp_golomb()
        if self.weighted[1 if both else 0]:
            self._read_weights(bits, counts[: 2 if both else 1])
        bits.exp_golomb()

    def _read_weights(self, bits: Bits, counts: list[int]) -> None:
        """pred_weight_table (7.3.6.3)."""
        bits.exp_golomb()
        if self.chroma:
            bits.exp_golomb()
        for count in counts:
            luma = [bits.take(1) for _ in range(count)]
            chroma = [bits.take(1) for _ in range(count if self.chroma else 0)] or [0] * count
            for numbers in (2 * one + 4 * two for one, two in zip(luma, chroma, strict=True)):
                for _ in range(numbers):
                    bits.exp_golomb()


def renumbered_pps(unit: bytes, number: int) -> bytes:
    """A picture parameter set with this id, that names the sequence parameter set with the same."""
    bits = Bits.of(unit, HEADER)
    bits.exp_golomb()
    bits.exp_golomb()
    return replaced(unit, ((0, bits.at), 2 * exp_golomb(number)))


def _plain(content: bytes) -> bytes:
    return content.replace(b"\x00\x00\x03", b"\x00\x00")


def _none(found: int) -> None:
    if found:
        raise ValueError("the encoder wrote parameter sets of another kind")
