"""Pairs the fields of H.264 that is coded field by field (PAFF): two packets, or one, hold a frame.

Interlaced cameras (AVCHD) and broadcasts are coded so, often mixed with frames. libavformat delivers each field as a
packet of its own, and the decoder makes one frame of two. The pairs are found as the decoder finds them: a field
completes the one before it if that has the other parity and the same ``frame_num`` (ITU-T H.264, 7.4.3).
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from typing import Any

from av.packet import Packet

from farm.media.reading.bits import HIGH, Bits, skip_order, skip_samples

#: nal_unit_type of slices that begin with a slice header, and of parameter sets.
_SLICES, _SPS, _PPS = frozenset({1, 2, 5}), 7, 8
#: The note where the last field has no other one.
CUT_WITHIN_A_FRAME = "the source ends with one field of a frame, which decoders do not show: it was left out"
#: The note where a field before the first key frame has no other one.
BEGINS_WITHIN_A_FRAME = "the source begins with one field of a frame, which decoders do not show: it was left out"
#: The fault where a field elsewhere has no other one.
FIELD_MISSING = "one field of the frame is missing"
#: Bytes of a NAL unit, and of a key frame's packet, in which headers and parameter sets end.
_HEAD, _FRONT = 512, 4096


class Part(Enum):
    """What a packet holds: a frame, or one of two fields of a frame."""

    WHOLE = 1
    FIRST = 2
    SECOND = 3


@dataclass(frozen=True, slots=True)
class _Sequence:
    """What slice headers depend on; ``coded_apart``: colour planes are, and have a number in the header."""

    number_bits: int
    fields: bool
    coded_apart: bool


@dataclass(frozen=True, slots=True)
class _Picture:
    """A field, or a frame: ``bottom`` is None."""

    number: int
    bottom: bool | None


class Fields:
    """Tells what each packet of a stream holds; call :meth:`part` once for each, in decoding order.

    Nothing but the parameter sets in front of key frames is read where they allow no fields.
    """

    def __init__(self, codec: str, extradata: bytes | None) -> None:
        """``codec``: FFmpeg's name; only ``h264`` is coded so. ``extradata``: the stream's."""
        self._h264 = codec == "h264"
        self._sequences: dict[int, _Sequence] = {}
        self._sets: dict[int, int] = {}
        self._open: _Picture | None = None
        extra = extradata or b""
        self._sized = extra[4] % 4 + 1 if len(extra) > 6 and extra[0] == 1 else 0  # bytes of a unit's length
        if self._h264:
            for unit in _configured(extra) if self._sized else _units(extra, 0):
                self._learn(unit)

    def part(self, packet: "Packet[Any]") -> Part:
        """What a packet holds. A packet that cannot be understood is taken for a frame."""
        if not self._h264:
            return Part.WHOLE
        may = any(sequence.fields for sequence in self._sequences.values())
        if not may and not packet.is_keyframe:
            return Part.WHOLE
        content = memoryview(packet)
        found: list[_Picture] = []
        for unit in _units(bytes(content if may else content[:_FRONT]), self._sized):
            self._learn(unit)
            picture = self._picture(unit) if unit[0] & 31 in _SLICES else None
            if picture and picture not in found[-1:]:
                found.append(picture)
            if picture and picture.bottom is None:
                break
        return self._taken(found)

    def _taken(self, pictures: list[_Picture]) -> Part:
        begins = not pictures
        for picture in pictures:
            first, self._open = self._open, None
            field = picture.bottom is not None
            if not (first and field and first.number == picture.number and first.bottom != picture.bottom):
                begins = True
                self._open = picture if field else None
        if not begins:
            return Part.SECOND
        return Part.FIRST if pictures and self._open else Part.WHOLE

    def _learn(self, unit: bytes) -> None:
        with suppress(ValueError):  # a damaged parameter set
            if unit[0] & 31 == _SPS:
                number, self._sequences[number] = _sequence(Bits.of(unit))
            elif unit[0] & 31 == _PPS:
                bits = Bits.of(unit)
                self._sets[bits.exp_golomb()] = bits.exp_golomb()

    def _picture(self, unit: bytes) -> _Picture | None:
        bits = Bits.of(unit[:64])
        with suppress(ValueError, KeyError):
            bits.exp_golomb()  # first_mb_in_slice
            bits.exp_golomb()  # slice_type
            sequence = self._sequences[self._sets[bits.exp_golomb()]]
            if sequence.coded_apart:
                bits.take(2)
            number = bits.take(sequence.number_bits)
            field = sequence.fields and bits.take(1)
            return _Picture(number, bool(bits.take(1)) if field else None)
        return None


def _sequence(bits: Bits) -> tuple[int, _Sequence]:
    """The number of a sequence parameter set, and what it says (7.3.2.1.1)."""
    profile = bits.take(8)
    bits.take(16)
    number = bits.exp_golomb()
    apart = skip_samples(bits) if profile in HIGH else False
    number_bits = bits.exp_golomb() + 4
    skip_order(bits)
    bits.exp_golomb()
    bits.take(1)
    bits.exp_golomb()
    bits.exp_golomb()
    return number, _Sequence(number_bits, not bits.take(1), apart)


def _configured(extradata: bytes) -> Iterator[bytes]:
    """The parameter sets in an avcC box (ISO/IEC 14496-15, 5.3.3.1)."""
    at, many = 6, extradata[5] & 31
    for kind in (_SPS, _PPS):
        for _ in range(many):
            size = int.from_bytes(extradata[at : at + 2], "big")
            if unit := extradata[at + 2 : at + 2 + size]:
                yield unit
            at += 2 + size
        if kind == _SPS:
            many = extradata[at] if at < len(extradata) else 0
            at += 1


def _units(content: bytes, sized: int) -> Iterator[bytes]:
    """The beginnings of the NAL units of a packet, each after its length of ``sized`` bytes, or a start code if 0."""
    at = 0
    while sized and at + sized < len(content):
        begin = at + sized
        at = begin + int.from_bytes(content[at:begin], "big")
        if at > begin:
            yield content[begin : min(at, begin + _HEAD)]
    at = -1 if sized else content.find(b"\0\0\1")
    while at >= 0 and at + 3 < len(content):
        end = content.find(b"\0\0\1", at + 3)
        yield content[at + 3 : min(len(content) if end < 0 else end, at + 3 + _HEAD)]
        at = end
