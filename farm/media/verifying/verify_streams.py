"""Checks that the streams that were copied are the source's: every packet's bytes and time, in lockstep.

A part of a source has exactly the packets that begin in it, each as much earlier as its video is.
"""

import hashlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from farm.domain.manifest import Manifest, OtherStream
from farm.domain.options import ComposeOptions
from farm.errors import VerificationError
from farm.media.composing.chapters import check_chapters
from farm.media.composing.rest import rest_of
from farm.media.composing.streams import USUAL, is_made_by_muxer
from farm.media.composing.window import Window
from farm.media.failing import reading
from farm.media.reading.probe import is_cover_art
from farm.media.reading.tracks import look
from farm.media.verifying.metadata_check import check_tags

_WHOLE = Window()
_ADTS_SYNC = 0xFFF0  # eleven ones and two zeros for the layer, in the first 16 bits under _ADTS_MASK
_ADTS_MASK = 0xFFF6
_NO_TEXT = b"\x00\x00"  # mov_text of no length: a muxer fills the time before the first subtitle with it


class _Whole:
    """A stream as one string of bytes: when it begins, and its SHA-256 so far."""

    def __init__(self) -> None:
        self.began: Fraction | None = None
        self.digest = hashlib.sha256()

    def add(self, packet: "Packet[Any]", when: Fraction | None) -> None:
        """Appends a packet of a time in seconds."""
        if self.began is None:
            self.began = when
        self.digest.update(bytes(packet))


@dataclass(slots=True)
class _Pair:
    """A stream of the source and its copy. ``waiting``: the source's packets that the copy's have not reached yet."""

    other: OtherStream
    tick: Fraction
    window: Window = _WHOLE
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
            pair.theirs.add(packet, _time(packet))
        else:
            while not pair.waiting and self._read():
                pass
            when = _time(packet)
            if _is_filler(pair, packet):
                return
            if not pair.waiting:
                raise VerificationError(f"{_name(pair)}: has packets behind the source's last, at {_seconds(when)}")
            self._compare(pair, *pair.waiting.popleft(), when, _digest(packet, pair))
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
            when = _time(packet)
            if not pair.window.holds(when):
                return True
            when = None if when is None else when - pair.window.shift
            if pair.whole:
                pair.ours.add(packet, when)
            else:
                pair.waiting.append((when, _digest(packet, pair)))
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


def open_checks(
    source: InputContainer, output: InputContainer, manifest: Manifest, options: ComposeOptions = USUAL
) -> StreamCheck:
    """Pairs each copied stream of the source with the output's, and checks metadata and chapters.

    Raises VerificationError when a stream is missing, or metadata is there that was to be left out, or not there that
    was to be kept.
    """
    container = container_of(output)
    rest = rest_of(source, Path(source.name), manifest, container, options)
    copies = _copies(output)
    if len(copies) != len(rest.plan.kept):
        raise VerificationError(f"the output has {len(copies)} other streams, {len(rest.plan.kept)} were copied")
    partners = list(zip(rest.plan.kept, copies, strict=True))
    for other, copy in partners:
        if _kind(copy) != other.kind:
            raise VerificationError(f"stream {other.index} ({other.kind}): is {_kind(copy)} in the output")
    check_tags(rest, options.metadata, container, output, manifest, [(other.index, copy) for other, copy in partners])
    check_chapters(rest.chapters, output)
    return _paired(source, output, partners, Window.of(manifest))


def _copies(output: InputContainer) -> list[Stream]:
    """The output's streams that are neither its video nor made by the muxer."""
    letters = look(output, Path(output.name), texts=False).letters
    made = {index for index, name in letters.items() if is_made_by_muxer(name)}
    videos = {s.index for s in output.streams.video if not is_cover_art(s)}
    return [s for s in output.streams if s.index not in videos and not (s.type == "data" and s.index in made)]


def _paired(
    source: InputContainer,
    output: InputContainer,
    partners: list[tuple[OtherStream, Stream]],
    window: Window,
) -> StreamCheck:
    pairs: dict[int, _Pair] = {}
    for other, copy in partners:
        ours = source.streams[other.index]
        if other.kind == "attachment":
            _check_attachment(ours, copy, other)
            continue
        tick = copy.time_base or Fraction(1)
        moved = window if other.kind != "cover" else _WHOLE
        if not moved.whole:  # the shift is in the source's ticks, the result in the output's
            tick = max(tick, ours.time_base or Fraction(0))
        pairs[copy.index] = _Pair(other, tick, moved, whole=other.codec.startswith("pcm_"))
    ignored = frozenset(s.index for s in output.streams if s.index not in pairs)
    return StreamCheck(source, pairs, ignored)


def _check_attachment(ours: Stream, copy: Stream, other: OtherStream) -> None:
    if getattr(ours, "data", None) != getattr(copy, "data", None):
        raise VerificationError(f"stream {other.index} (attachment): its bytes are not the source's")


def container_of(output: InputContainer) -> str:
    """The muxer that wrote an output: MP4 and QuickTime have one demuxer and differ in the brand."""
    name = output.format.name.split(",", maxsplit=1)[0]
    if name == "mov":
        return "mov" if output.metadata.get("major_brand", "").startswith("qt") else "mp4"
    return "webm" if name == "matroska" and _is_webm(Path(output.name)) else name


def _is_webm(path: Path) -> bool:
    """WebM is Matroska that says so in its EBML header."""
    with reading(path, VerificationError, "the output cannot be read"), path.open("rb") as file:
        return b"webm" in file.read(64)


def _kind(stream: Stream) -> str:
    return "cover" if is_cover_art(stream) else stream.type


def _is_end(packet: "Packet[Any]") -> bool:
    return packet.size == 0 and packet.pts is None


def _digest(packet: "Packet[Any]", pair: _Pair) -> bytes:
    body = bytes(packet)
    if pair.other.codec == "aac":
        body = _without_adts(body)
    return hashlib.sha256(body).digest()


def _without_adts(packet: bytes) -> bytes:
    """AAC as MP4 has it: transport streams put an ADTS header (ISO/IEC 13818-7) before each frame."""
    if len(packet) < 7 or int.from_bytes(packet[:2], "big") & _ADTS_MASK != _ADTS_SYNC:
        return packet
    return packet[7 if packet[1] & 1 else 9 :]


def _is_filler(pair: _Pair, packet: "Packet[Any]") -> bool:
    """Whether a packet is MP4's way to say that no subtitle is shown yet, where the source has no such packet."""
    when = _time(packet)
    if pair.other.codec != "mov_text" or pair.packets or when or bytes(packet) != _NO_TEXT:
        return False
    return not pair.waiting or (pair.waiting[0][0] or Fraction(0)) >= pair.tick


def _time(packet: "Packet[Any]") -> Fraction | None:
    return None if packet.pts is None else packet.pts * packet.time_base


def _name(pair: _Pair) -> str:
    return f"stream {pair.other.index} ({pair.other.kind}, {pair.other.codec})"


def _seconds(value: Fraction | None) -> str:
    return "no time" if value is None else f"{float(value):.6f} s"
