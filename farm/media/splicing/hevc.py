"""Splices HEVC: encoded groups have parameter sets with an id of their own, beside the source's in one header.

x265 takes no ids, so that its sets and the headers of its slices are written anew. A copied group begins with an IDR
picture: in front of another a decoder takes up no other sequence (ITU-T H.265, 7.4.2.4.5), and behind the end of one
it drops what it has not shown yet (C.5.2.2).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Self

from av.packet import Packet

from farm.domain.options import PRESETS
from farm.media.reading.bits import Bits
from farm.media.splicing.base import free_id, with_parameters
from farm.media.splicing.hevc_sets import PPS, SPS, VPS, Limits, SequenceSet, kind_of
from farm.media.splicing.hevc_slices import Slices, renumbered_pps
from farm.media.splicing.messages import without_private
from farm.media.splicing.units import LENGTH, STARTS, lengthened, units_in, units_of_stream

_SETS = (VPS, SPS, PPS)
_PICTURES, _IDR, _SEI = range(32), (19, 20), (39, 40)
_DELIMITER, _FILLER = 35, 38
#: What copied packets may hold. Others end a sequence, or are other layers and makers' own.
_COPIED = frozenset({*range(10), *range(16, 22), *_SETS, _DELIMITER, _FILLER, *_SEI})
_RECORD = 22  # bytes of a header before its arrays
_LEVEL = 12  # the byte of it with the level
#: Bits of a slice's first byte (no_output_of_prior_pics_flag), and of a record's second (the high tier).
_DROPS, _TIER = 0x40, 0x20
_NO_LAYER, _NOTHING = 64, b"\xff"
_MOST_ID = 15
_PARAMETERS = "x265-params"
#: Reference frames of x265's presets.
_REFERENCES = dict(zip(PRESETS, (1, 1, 2, 2, 3, 3, 4, 5, 5), strict=True))


@dataclass(frozen=True, slots=True)
class Header:
    """An HEVCDecoderConfigurationRecord (ISO/IEC 14496-15, 8.3.3.1): what precedes its arrays, and their units."""

    record: bytes
    units: tuple[bytes, ...]

    @classmethod
    def of(cls, extradata: bytes) -> Self:
        """Parse a record. Raises ValueError for anything else, and for lengths of other than 4 bytes."""
        if len(extradata) <= _RECORD or extradata[0] != 1:
            raise ValueError("its header is no HEVCDecoderConfigurationRecord")
        if (extradata[_RECORD - 1] & 3) + 1 != LENGTH:
            raise ValueError("the lengths in its packets are too short for encoded frames")
        at, units = _RECORD + 1, list[bytes]()
        for _ in range(extradata[_RECORD]):
            count = int.from_bytes(extradata[at + 1 : at + 3], "big")
            at += 3
            if 2 * count > len(extradata) - at:
                raise ValueError("its header is damaged")
            for _ in range(count):
                size = int.from_bytes(extradata[at : at + 2], "big")
                units.append(extradata[at + 2 : at + 2 + size])
                at += 2 + size
        if at > len(extradata) or not all(units):
            raise ValueError("its header is damaged")
        return cls(extradata[:_RECORD], tuple(units))

    @classmethod
    def of_units(cls, extradata: bytes) -> Self:
        """Of parameter sets with start codes, as in MPEG-TS. Raises ValueError."""
        units = tuple(unit for unit in units_of_stream(extradata) if kind_of(unit) in _SETS)
        sequence = next((SequenceSet.of(unit) for unit in units if kind_of(unit) == SPS), None)
        if sequence is None or sequence.picture is None:
            raise ValueError("its header holds no parameter sets")
        content, picture = Bits.of(sequence.unit, 2).content, sequence.picture
        layers = sequence.layers + 1 << 3 | (content[0] & 1) << 2 | LENGTH - 1
        samples = 0xFC | picture.chroma, *(0xF8 | depth - 8 for depth in picture.depths)
        return cls(bytes((1, *content[1 : _LEVEL + 1], 0xF0, 0, 0xFC, *samples, 0, 0, layers)), units)

    def of_kind(self, *kinds: int) -> tuple[bytes, ...]:
        """Its units of these kinds."""
        return tuple(unit for unit in self.units if kind_of(unit) in kinds)

    def written(self) -> bytes:
        """The inverse of :meth:`of`; all sets are here and none is in a packet."""
        kinds = sorted({kind_of(unit) for unit in self.units})
        parts = [self.record, bytes((len(kinds),))]
        for kind in kinds:
            units = self.of_kind(kind)
            parts.append(bytes((0x80 | kind,)) + len(units).to_bytes(2, "big"))
            parts += [len(unit).to_bytes(2, "big") + unit for unit in units]
        return b"".join(parts)


class Hevc:
    """See :class:`farm.media.splicing.base.Splicer`."""

    def __init__(self, extradata: bytes, metadata: str, *_: object) -> None:
        # MPEG-TS has start codes, and the segment lengths; its muxer writes start codes again, and the sets
        coded = extradata.startswith(STARTS)
        self._units = units_of_stream if coded else units_in
        self._header, self._metadata = Header.of_units(extradata) if coded else Header.of(extradata), metadata
        self._sets = frozenset(self._header.of_kind(*_SETS))
        sequences = [SequenceSet.of(unit) for unit in self._header.of_kind(SPS)]
        if {kind_of(unit) for unit in self._sets} != set(_SETS) or any(map(_layer, self._header.units)):
            raise ValueError("its header lacks parameter sets, or has some of further layers")
        self._sequence = sequences[0]
        if len({(s.profile, s.limits, s.picture) for s in sequences}) > 1:
            raise ValueError("its parameter sets are of several kinds")
        used = {s.id for s in sequences} | {SequenceSet.of(unit).id for unit in self._header.of_kind(VPS)}
        used |= {Bits.of(unit, 2).exp_golomb() for unit in self._header.of_kind(PPS)}
        self._id = free_id(used, _MOST_ID)
        self._slices: Slices | None = None

    def parameters(self, encoder: dict[str, str], depth: int) -> dict[str, str]:
        """See :meth:`farm.media.splicing.base.Splicer.parameters`."""
        own = self._sequence.limits
        reordered = min(depth, own.reordered, own.pictures - 2)
        if own.pictures < 1:
            raise ValueError("its frames refer to no others")
        assert self._sequence.picture is not None
        coding, largest, _, transform = (1 << size for size in self._sequence.picture.blocks)
        given = [f"ctu={largest}", f"min-cu-size={coding}", f"max-tu-size={transform}"]
        given += [f"ref={min(own.pictures, _REFERENCES[encoder['preset']])}"]
        if reordered < 1:
            given.append("bframes=0")
        elif reordered == 1:
            given.append("b-pyramid=0")
        return with_parameters(encoder, _PARAMETERS, given)

    def header(self, encoded: bytes) -> bytes:
        """See :meth:`farm.media.splicing.base.Splicer.header`."""
        units = list(units_of_stream(encoded))
        (video,), (sequence,) = ([SequenceSet.of(u) for u in units if kind_of(u) == kind] for kind in (VPS, SPS))
        (pps,) = (unit for unit in units if kind_of(unit) == PPS)
        own = self._sequence
        found, wanted = ((s.profile, s.picture and replace(s.picture, order_bits=0)) for s in (sequence, own))
        if found != wanted:
            raise ValueError(f"the encoder wrote {found}, not {wanted}")
        if sequence.limits.reordered > own.limits.reordered:
            raise ValueError(f"the encoder reorders by {sequence.limits.reordered} frames")
        self._slices = Slices.of(sequence, pps)
        limits = Limits(max(own.limits.level, sequence.limits.level), own.limits.pictures, own.limits.reordered)
        record, profile = bytearray(self._header.record), Bits.of(sequence.unit, 2).content
        record[1] |= profile[1] & _TIER
        record[2:_LEVEL] = bytes(one & other for one, other in zip(record[2:_LEVEL], profile[2:_LEVEL], strict=True))
        record[_LEVEL] = max(record[_LEVEL], limits.level)
        added = (*(each.saying(self._id, limits) for each in (video, sequence)), renumbered_pps(pps, self._id))
        messages = (unit for unit in units if kind_of(unit) in _SEI)
        return Header(bytes(record), (*self._header.of_kind(*_SETS), *added, *messages)).written()

    def encoded(self, packet: bytes) -> bytes:
        """See :meth:`farm.media.splicing.base.Splicer.encoded`."""
        assert self._slices is not None
        return lengthened(
            self._slices.renumbered(unit, self._id) if kind_of(unit) in _PICTURES else unit
            for unit in units_of_stream(packet)
        )

    def copied(self, packet: bytes) -> bytes:
        """See :meth:`farm.media.splicing.base.Splicer.copied`. Sets are left out where units have lengths."""
        kinds = {kind_of(unit) for unit in self._units(packet)}
        # with start codes they stay in front of the messages that refer to them
        left = () if self._units is units_of_stream else _SETS
        kept: Iterable[bytes] = (unit for unit in self._units(packet) if kind_of(unit) not in left)
        if self._metadata != "keep":
            for kind in kinds.intersection(_SEI):
                kept = without_private(kept, kind, strict=self._metadata == "strip", header=2)
        same = self._units is units_in and not kinds.intersection((*_SETS, *_SEI))
        return packet if same else lengthened(kept)

    def begins(self, packet: bytes) -> bool:
        """See :meth:`farm.media.splicing.base.Splicer.begins`."""
        try:
            pictures = {kind for kind in map(kind_of, self._units(packet)) if kind in _PICTURES}
        except ValueError:  # a damaged one
            return False
        return bool(pictures) and pictures <= set(_IDR)

    def fault(self, packet: "Packet[Any]") -> str | None:
        """See :meth:`farm.media.splicing.base.Splicer.fault`."""
        try:
            units = list(self._units(bytes(packet)))
            self.copied(bytes(packet))
        except ValueError as error:
            return str(error)
        other = next((kind_of(unit) for unit in units if kind_of(unit) not in _COPIED or _layer(unit)), None)
        if other is not None:
            return f"it holds NAL units of the type {other}, or of further layers"
        pictures = [unit for unit in units if kind_of(unit) in _PICTURES]
        if any(kind_of(unit) in _IDR and (unit[2:3] or _NOTHING)[0] & _DROPS for unit in pictures):
            return "it drops the frames before it"
        return None if pictures else "it holds no picture"

    def changes(self, packet: "Packet[Any]") -> bool:
        """See :meth:`farm.media.splicing.base.Splicer.changes`."""
        if packet.has_sidedata("new_extradata"):
            return True
        try:
            return any(kind_of(unit) in _SETS and unit not in self._sets for unit in self._units(bytes(packet)))
        except ValueError:
            return True


def _layer(unit: bytes) -> int:
    """nuh_layer_id; the one after the last for a unit without it."""
    return (unit[0] & 1) << 5 | unit[1] >> 3 if len(unit) > 1 else _NO_LAYER
