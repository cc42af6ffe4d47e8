"""Splices H.264: encoded groups have parameter sets with an id of their own, beside the source's in one header.

A decoder takes up another sequence parameter set at an IDR picture only (ITU-T H.264, 7.4.1.2.1), which also ends all
prediction and reordering, so that a group begins with one. Other key frames (open groups, recovery points) do not.
The encoder reorders no more than the source, and its parameter sets say of that what the source's say: see
:mod:`farm.media.splicing.sequence`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

from av.packet import Packet

from farm.domain.manifest import VideoStream
from farm.domain.options import PRESETS
from farm.media.reading.bits import Bits
from farm.media.splicing.base import free_id, with_parameters
from farm.media.splicing.messages import without_private
from farm.media.splicing.sequence import Sequence
from farm.media.splicing.units import LENGTH, STARTS, lengthened, units_in, units_of_stream

_SLICE, _IDR, _SEI, _SPS, _PPS, _DELIMITER, _FILLER = 1, 5, 6, 7, 8, 9, 12
#: What copied packets may hold. Others are layers, views, transparency and partitions, which this decoder hides.
_COPIED = frozenset({_SLICE, _IDR, _SEI, _SPS, _PPS, _DELIMITER, _FILLER})
#: x264 gives the id to both of its parameter sets, and takes no greater one.
_MOST_ID = 31
_PARAMETERS = "x264-params"
#: profile_idc of what x264 writes: Constrained Baseline, Main, High, High 10, High 4:2:2, High 4:4:4 Predictive. From
#: High on, a header also states the chroma format and the bits of a sample.
_PROFILES = frozenset({66, 77, 100, 110, 122, 244})
_BASELINE, _MAIN, _HIGH = 66, 77, 100
#: Bytes that High profile adds to a header: the chroma format, the bits of a sample, and a count of further sets.
_TAIL = 4
#: Bytes of a delimiter.
_DELIMITED = 2
#: Reference frames of x264's presets.
_REFERENCES = dict(zip(PRESETS, (1, 1, 1, 2, 2, 3, 5, 8, 16), strict=True))
#: Those that x264 states at least with B-frames, and where these are references.
_LEAST_FOR_B, _LEAST_FOR_PYRAMID = 2, 4


@dataclass(frozen=True, slots=True)
class Header:
    """An AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1). ``tail``: what High profile adds to it."""

    profile: int
    compatible: int
    level: int
    sps: tuple[bytes, ...]
    pps: tuple[bytes, ...]
    tail: bytes

    @classmethod
    def of(cls, extradata: bytes) -> Self:
        """Parse a record. Raises ValueError for anything else, and for lengths of other than 4 bytes."""
        if len(extradata) < 7 or extradata[0] != 1:
            raise ValueError("its header is no AVCDecoderConfigurationRecord")
        if (extradata[4] & 3) + 1 != LENGTH:
            raise ValueError("its packets state lengths that are too short for encoded frames")
        at, found = 5, list[tuple[bytes, ...]]()
        for mask in (0x1F, 0xFF):  # SPS, then PPS
            count = extradata[at] & mask if at < len(extradata) else 0
            at, units = at + 1, list[bytes]()
            for _ in range(count):
                size = int.from_bytes(extradata[at : at + 2], "big")
                units.append(extradata[at + 2 : at + 2 + size])
                at += 2 + size
            if at > len(extradata) or not units or not all(units):
                raise ValueError("its header is damaged")
            found.append(tuple(units))
        (profile, compatible, level), (sps, pps) = extradata[1:4], found
        tail = extradata[at:]
        if tail and (len(tail) != _TAIL or tail[-1]):  # sets of alpha planes, or bytes of no use
            raise ValueError("its header holds more than parameter sets")
        return cls(profile, compatible, level, sps, pps, tail)

    @classmethod
    def of_units(cls, extradata: bytes) -> Self:
        """The header of an encoder, which writes parameter sets with start codes. Raises ValueError."""
        units = list(units_of_stream(extradata))
        sps, pps = (tuple(unit for unit in units if unit[0] & 31 == kind) for kind in (_SPS, _PPS))
        if not sps or not pps:
            raise ValueError("its header holds no parameter sets")
        tail = b""
        if sps[0][1] >= _HIGH:
            bits = Bits.of(sps[0], header=4)
            bits.exp_golomb()
            chroma = bits.exp_golomb()
            if chroma == 3:  # 4:4:4 says here whether its planes are coded apart
                bits.take(1)
            tail = bytes((0xFC | chroma, 0xF8 | bits.exp_golomb(), 0xF8 | bits.exp_golomb(), 0))
        return cls(sps[0][1], sps[0][2], sps[0][3], sps, pps, tail)

    @property
    def ids(self) -> frozenset[int]:
        """The ids of all parameter sets. Raises ValueError."""
        of_sps = (Bits.of(unit, header=4).exp_golomb() for unit in self.sps)
        return frozenset((*of_sps, *(Bits.of(unit).exp_golomb() for unit in self.pps)))

    def record(self) -> bytes:
        """The inverse of :meth:`of`. Raises ValueError for more sets than it can count."""
        if len(self.sps) > _MOST_ID or len(self.pps) > 0xFF:
            raise ValueError("its parameter sets leave no room for the encoder's")
        parts = [bytes((1, self.profile, self.compatible, self.level, 0xFC | LENGTH - 1, 0xE0 | len(self.sps)))]
        parts += [len(unit).to_bytes(2, "big") + unit for unit in self.sps]
        parts += [bytes((len(self.pps),)), *(len(unit).to_bytes(2, "big") + unit for unit in self.pps)]
        return b"".join((*parts, self.tail))


class H264:
    """See :class:`farm.media.splicing.base.Splicer`."""

    def __init__(self, extradata: bytes, metadata: str, first: bytes = b"", _: VideoStream | None = None) -> None:
        """``first``: the source's first packet. If it holds parameter sets, so do the encoder's key frames: players may
        forget those of the header, and FFmpeg's muxer of MPEG-TS repeats those that it saw last in a packet.
        """
        # MPEG-TS has start codes, and the segment lengths; its muxer writes start codes again
        coded = extradata.startswith(STARTS)
        self._units = units_of_stream if coded else units_in
        self._header = Header.of_units(extradata) if coded else Header.of(extradata)
        self._metadata = metadata
        self._sets = frozenset((*self._header.sps, *self._header.pps))
        sequences = [Sequence.of(unit) for unit in self._header.sps]
        self._sequence = sequences[0]
        said = {(s.profile, s.level, s.references, s.said, s.size) for s in sequences}
        if len(said) > 1 or self._sequence.profile not in _PROFILES:
            raise ValueError("its parameter sets are of several kinds, or of one that encoders do not continue")
        if any(map(_is_spare, self._header.pps)):
            raise ValueError("its pictures may have spare slices, or slices in another order")
        self._id = free_id(self._header.ids, _MOST_ID)
        self._repeats = coded or any(kind == _SPS for kind in self._kinds(first))
        self._added: tuple[bytes, ...] = ()  # the encoder's sets

    def parameters(self, encoder: dict[str, str], depth: int) -> dict[str, str]:
        """See :meth:`farm.media.splicing.base.Splicer.parameters`."""
        own = self._sequence
        frames = min(depth, own.said.frames if own.said else depth)
        given = [f"sps-id={self._id}", f"level={own.level}", f"dpb-size={own.references}"]
        given.append(f"ref={max(1, min(own.references, _REFERENCES[encoder['preset']]))}")
        if not frames or own.references < _LEAST_FOR_B or own.profile == _BASELINE:
            given.append("bframes=0")
        else:
            if frames == 1 or own.references < _LEAST_FOR_PYRAMID:
                given.append("b-pyramid=none")
            if encoder["preset"] == PRESETS[0]:  # has none, and would count pictures in another way
                given.append("bframes=3")
        # without these it may state a lower profile
        given += {_MAIN: ["cabac=1"], _HIGH: ["8x8dct=1"]}.get(own.profile, [])
        profile = {_BASELINE: {"profile": "baseline"}, _MAIN: {"profile": "main"}}.get(own.profile, {})
        return with_parameters({**encoder, **profile}, _PARAMETERS, given)

    def header(self, encoded: bytes) -> bytes:
        """See :meth:`farm.media.splicing.base.Splicer.header`."""
        own, added = self._header, Header.of_units(encoded)
        if added.ids != {self._id}:
            raise ValueError(f"the encoder gave its parameter sets the ids {sorted(added.ids)}, not {self._id}")
        if own.tail and added.tail and own.tail[:3] != added.tail[:3]:
            raise ValueError("the encoder wrote other samples than the source's")
        sps = tuple(self._alike(Sequence.of(unit)) for unit in added.sps)
        self._added = (*sps, *added.pps)
        return Header(
            own.profile, own.compatible & added.compatible, own.level, (*own.sps, *sps), (*own.pps, *added.pps),
            own.tail or added.tail,
        ).record()  # fmt: skip

    def _alike(self, added: Sequence) -> bytes:
        """A parameter set of the encoder that says of reordering what the source's say."""
        own = self._sequence
        found, wanted = ((s.profile, s.level, s.references) for s in (added, own))
        if found != wanted:
            raise ValueError(f"the encoder wrote profile, level and reference frames {found}, not {wanted}")
        if own.said and added.said and added.said.frames > own.said.frames:
            raise ValueError(f"the encoder reorders by {added.said.frames} frames")
        return added.saying(own.said)

    def encoded(self, packet: bytes) -> bytes:
        """See :meth:`farm.media.splicing.base.Splicer.encoded`."""
        units = list(units_of_stream(packet))
        if self._repeats and any(unit[0] & 31 == _IDR for unit in units):
            units[:0] = self._added
        return lengthened(units)

    def copied(self, packet: bytes) -> bytes:
        """See :meth:`farm.media.splicing.base.Splicer.copied`."""
        if self._metadata == "keep" or not {_SEI, _FILLER}.intersection(self._kinds(packet)):
            return packet if self._units is units_in else lengthened(self._units(packet))
        used = (unit for unit in self._units(packet) if unit[0] & 31 != _FILLER)
        return lengthened(without_private(used, _SEI, strict=self._metadata == "strip"))

    def begins(self, packet: bytes) -> bool:
        """See :meth:`farm.media.splicing.base.Splicer.begins`."""
        try:
            return {kind for kind in self._kinds(packet) if kind in (_SLICE, _IDR)} == {_IDR}
        except ValueError:  # a damaged one
            return False

    def fault(self, packet: "Packet[Any]") -> str | None:
        """See :meth:`farm.media.splicing.base.Splicer.fault`."""
        try:
            units = list(self._units(bytes(packet)))
            self.copied(bytes(packet))
        except ValueError as error:
            return str(error)
        kinds = [unit[0] & 31 for unit in units]
        if any(kind == _DELIMITER and len(unit) > _DELIMITED for kind, unit in zip(kinds, units, strict=True)):
            return "a delimiter in it holds something"
        other = next((kind for kind in kinds if kind not in _COPIED), None)
        if other is not None:
            return f"it holds NAL units of the type {other}"
        return None if {_SLICE, _IDR}.intersection(kinds) else "it holds no picture"

    def changes(self, packet: "Packet[Any]") -> bool:
        """See :meth:`farm.media.splicing.base.Splicer.changes`."""
        if packet.has_sidedata("new_extradata"):
            return True
        try:
            return any(u[0] & 31 in (_SPS, _PPS) and u not in self._sets for u in self._units(bytes(packet)))
        except ValueError:
            return True

    def _kinds(self, packet: bytes) -> Iterator[int]:
        return (unit[0] & 31 for unit in self._units(packet))


def _is_spare(unit: bytes) -> bool:
    """Whether a picture parameter set allows redundant slices, which may hold another picture, or groups of slices, or
    holds something behind its end (7.3.2.2).
    """
    bits = Bits.of(unit)
    for _ in range(2):  # ids
        bits.exp_golomb()
    bits.take(2)
    if bits.exp_golomb():
        return True
    for _ in range(2):
        bits.exp_golomb()
    bits.take(3)
    for _ in range(3):  # quantisers
        bits.exp_golomb()
    bits.take(2)
    if bits.take(1):
        return True
    if bits.ended:
        return False
    bits.take(1)  # the transform of 8 x 8
    if not bits.take(1):  # lists of quantisers, which are not read
        bits.exp_golomb()
        return not bits.ended
    return False
