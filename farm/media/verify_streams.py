"""Checks that the streams that were copied are the source's: every packet's bytes and time, in lockstep."""

import hashlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from farm.domain.manifest import Manifest, OtherStream
from farm.errors import VerificationError
from farm.media.containers import plan_streams
from farm.media.probe import is_cover


class _Whole:
    """A stream as one string of bytes: when it begins, and its SHA-256 so far."""

    def __init__(self) -> None:
        self.began: Fraction | None = None
        self.digest = hashlib.sha256()

    def add(self, packet: "Packet[Any]") -> None:
        """Appends a packet."""
        if self.began is None:
            self.began = _time(packet)
        self.digest.update(bytes(packet))


@dataclass(slots=True)
class _Pair:
    """A stream of the source and its copy. ``waiting``: the source's packets that the copy's have not reached yet."""

    other: OtherStream
    tick: Fraction
    waiting: deque[tuple[Fraction | None, bytes]] = field(default_factory=deque)
    packets: int = 0
    #: where a container is free to cut (PCM): the bytes as one string, and the time they begin at
    whole: bool = False
    ours: _Whole = field(default_factory=_Whole)
    theirs: _Whole = field(default_factory=_Whole)


class StreamCheck:
    """Takes an output's packets in the order they come and reads the source as far as it needs for each.

    Memory is bounded by how far the two files interleave differently, not by their length.
    """

    def __init__(self, source: InputContainer, pairs: dict[int, _Pair], ignored: frozenset[int]) -> None:
        self._pairs = pairs
        self._ignored = ignored
        self._by_source = {pair.other.index: pair for pair in pairs.values()}
        chosen = [source.streams[i] for i in self._by_source]
        self._source: Iterator[Packet[Any]] = source.demux(chosen) if chosen else iter(())

    @property
    def streams(self) -> int:
        """Streams compared."""
        return len(self._pairs)

    @property
    def packets(self) -> int:
        """Packets compared so far."""
        return sum(pair.packets for pair in self._pairs.values())

    def take(self, packet: "Packet[Any]") -> None:
        """Compares one packet of the output with the source's next one of the same stream."""
        if packet.stream_index in self._ignored or _is_end(packet):
            return
        pair = self._pairs[packet.stream_index]
        if pair.whole:
            pair.theirs.add(packet)
        else:
            while not pair.waiting and self._read():
                pass
            when = _time(packet)
            if not pair.waiting:
                raise VerificationError(f"{_name(pair)}: has packets behind the source's last, at {_seconds(when)}")
            self._compare(pair, *pair.waiting.popleft(), when, _digest(packet))
        pair.packets += 1

    def _compare(self, pair: _Pair, want: Fraction | None, wanted: bytes, got: Fraction | None, found: bytes) -> None:
        where = f"{_name(pair)}, packet {pair.packets}"
        if wanted != found:
            raise VerificationError(f"{where} at {_seconds(want)}: its bytes are not the source's")
        # a difference of less than a tick is none, or one that the output's container cannot express
        if want is not None and (got is None or abs(got - want) >= pair.tick):
            raise VerificationError(f"{where}: is at {_seconds(got)}, the source's at {_seconds(want)}")

    def _read(self) -> bool:
        """Reads the source's next packet. False at its end."""
        packet = next(self._source, None)
        if packet is None:
            return False
        if not _is_end(packet):
            pair = self._by_source[packet.stream_index]
            if pair.whole:
                pair.ours.add(packet)
            else:
                pair.waiting.append((_time(packet), _digest(packet)))
        return True

    def end(self) -> None:
        """Raises VerificationError when the source has packets that the output lacks."""
        while self._read():
            pass
        for pair in self._pairs.values():
            if pair.waiting:
                raise VerificationError(
                    f"{_name(pair)}: {len(pair.waiting)} packets are missing, from {_seconds(pair.waiting[0][0])} on"
                )
            if pair.whole:
                self._compare(
                    pair, pair.ours.began, pair.ours.digest.digest(), pair.theirs.began, pair.theirs.digest.digest()
                )


def open_checks(source: InputContainer, output: InputContainer, manifest: Manifest) -> StreamCheck:
    """Pairs each copied stream of the source with the output's. Raises VerificationError when one is missing."""
    container = container_of(output)
    plan = plan_streams(manifest.source.others, container, chapters=bool(source.chapters()))
    videos = [s for s in output.streams.video if not is_cover(s)]
    chapters = [s for s in output.streams if s.type == "data"] if output.chapters() else []
    kept_data = any(o.kind == "data" for o in plan.kept)
    ignored = {s.index for s in videos} | (set() if kept_data else {s.index for s in chapters})
    copies = [s for s in output.streams if s.index not in ignored]
    if len(copies) != len(plan.kept):
        raise VerificationError(f"the output has {len(copies)} other streams, {len(plan.kept)} were copied")
    pairs: dict[int, _Pair] = {}
    for other, copy in zip(plan.kept, copies, strict=True):
        if _kind(copy) != other.kind:
            raise VerificationError(f"stream {other.index} ({other.kind}): is {_kind(copy)} in the output")
        if other.kind == "attachment":
            _check_attachment(source.streams[other.index], copy, other)
            ignored.add(copy.index)
            continue
        pairs[copy.index] = _Pair(other, copy.time_base or Fraction(1), whole=other.codec.startswith("pcm_"))
    return StreamCheck(source, pairs, frozenset(ignored))


def _check_attachment(ours: Stream, copy: Stream, other: OtherStream) -> None:
    if getattr(ours, "data", None) != getattr(copy, "data", None):
        raise VerificationError(f"stream {other.index} (attachment): its bytes are not the source's")


def container_of(output: InputContainer) -> str:
    """The muxer that wrote an output: MP4 and QuickTime have one demuxer and differ in the brand."""
    name = output.format.name.split(",")[0]
    if name == "mov":
        return "mov" if output.metadata.get("major_brand", "").startswith("qt") else "mp4"
    return name


def _kind(stream: Stream) -> str:
    return "cover" if is_cover(stream) else stream.type


def _is_end(packet: "Packet[Any]") -> bool:
    return packet.size == 0 and packet.pts is None


def _digest(packet: "Packet[Any]") -> bytes:
    return hashlib.sha256(bytes(packet)).digest()


def _time(packet: "Packet[Any]") -> Fraction | None:
    return None if packet.pts is None else packet.pts * packet.time_base


def _name(pair: _Pair) -> str:
    return f"stream {pair.other.index} ({pair.other.kind}, {pair.other.codec})"


def _seconds(value: Fraction | None) -> str:
    return "no time" if value is None else f"{float(value):.6f} s"
