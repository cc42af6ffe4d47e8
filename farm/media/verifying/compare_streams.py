"""Reads all packets of two files and compares their streams: copied ones must be equal byte by byte."""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition

from farm.domain.manifest import OtherStream, VideoStream
from farm.errors import FarmError
from farm.media.composing.streams import made_by_muxer
from farm.media.failing import reading
from farm.media.reading.counting import is_numbered
from farm.media.reading.decoding import is_shown
from farm.media.reading.hidden_sound import Beginning, heard_fault
from farm.media.reading.opening import demuxed, open_source
from farm.media.reading.stream_details import track_ends
from farm.media.verifying.packets import (
    Content,
    Joined,
    is_cut_freely,
    is_same_codec,
    name_of,
    read_packet,
    seconds,
)
from farm.media.verifying.rates import by_time
from farm.media.verifying.verify_streams import container_of

_NO_ROLE = Disposition(0)
_MUXERS_OWN = frozenset({"major_brand", "minor_version", "compatible_brands", "encoder"})


@dataclass(slots=True)
class StreamPackets:
    """A stream's packets, 16 bytes each: the first 8 bytes of their SHA-256, and their pts in ``tick`` seconds.

    ``whole``: all packets of PCM as one string of bytes, however they are cut. ``made``: whether a muxer made the
    stream from chapters or a time code. ``language``: as the file says it; ``flags``: FFmpeg's dispositions.
    ``container``: the file's; ``beginning``: when sound is heard.
    """

    other: OtherStream
    tick: Fraction
    made: bool = False
    language: str = "und"
    flags: Disposition = _NO_ROLE
    hashes: "array[int]" = field(default_factory=lambda: array("Q"))
    times: "array[int]" = field(default_factory=lambda: array("q"))
    whole: Joined = field(default_factory=Joined)
    container: str = ""
    beginning: Beginning = field(default_factory=Beginning)

    def add(self, content: Content | None) -> None:
        """Append a packet, except end markers and blank subtitles, which muxers add as they need them."""
        if content is None or content.blank:
            return
        self.hashes.append(int.from_bytes(content.digest[:8], "big"))
        self.times.append(content.pts or 0)
        if is_cut_freely(self.other.codec):
            self.whole.add(content)

    def when(self, number: int) -> Fraction:
        """A packet's time in seconds."""
        return self.times[number] * self.tick


@dataclass(slots=True)
class FilePackets:
    """The packets of a file. ``container``: its muxer. ``pts`` and ``lasting``: of the video's frames, by pts.

    ``faults``: lines on invalid packets of the video.
    """

    container: str
    streams: list[StreamPackets]
    pts: "array[int]" = field(default_factory=lambda: array("q"))
    lasting: "array[int]" = field(default_factory=lambda: array("q"))
    faults: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    chapters: list[tuple[Fraction, Fraction, str]] = field(default_factory=list)
    end: Fraction | None = None
    _dts: int | None = None

    def take(self, packet: "Packet[Any]") -> None:
        """Take a packet of the video."""
        number = len(self.pts)
        if packet.is_corrupt:
            self.faults.setdefault("damage", f"packet {number} of the video is damaged")
        if packet.is_discard:
            self.faults.setdefault("hidden", f"packet {number} of the video is hidden by an edit list")
        if packet.pts is None:
            self.faults.setdefault("times", f"packet {number} of the video has no time")
            return
        if packet.dts is not None and self.container not in ("matroska", "webm"):  # as in verify_video
            if packet.dts > packet.pts:
                self.faults.setdefault("order", f"packet {number} is decoded after it is shown")
            if self._dts is not None and packet.dts <= self._dts:
                self.faults.setdefault("order", f"packet {number}: its dts {packet.dts} is not after {self._dts}")
            self._dts = packet.dts
        self.pts.append(packet.pts)
        self.lasting.append(packet.duration or 0)


def read_packets(path: Path, video: VideoStream, others: Iterable[OtherStream], kind: type[FarmError]) -> FilePackets:
    """Demux a file once; errors become ``kind``. Memory: 16 bytes per frame and per packet of another stream."""
    with open_source(path) as container, reading(path, kind, "cannot be read to its end"):
        made = made_by_muxer(container, path)
        kind_of_file = container_of(container)
        streams = {o.index: _stream(container, o, kind_of_file, made=o.index in made) for o in others}
        found = FilePackets(kind_of_file, list(streams.values()))
        found.metadata, found.chapters = dict(container.metadata), _chapters(container)
        for packet in demuxed(container):
            other = streams.get(packet.stream_index)
            if other is not None:
                other.add(read_packet(packet, other.other.codec))
                if other.other.kind == "audio":
                    other.beginning.take(packet)
            elif packet.stream_index == video.index and packet.size and is_shown(video.codec, packet):
                if is_numbered(container, container.streams[video.index]):
                    packet.pts = len(found.pts)
                found.take(packet)
        stream = container.streams[video.index]
        if container.format.name.startswith("mov") and (said := track_ends(path).get(stream.id)):
            found.end = said.seconds
    found.pts, found.lasting = by_time(found.pts, found.lasting)
    return found


def _stream(container: InputContainer, other: OtherStream, name: str, *, made: bool) -> StreamPackets:
    stream = container.streams[other.index]
    language = stream.metadata.get("language", "und")
    tick = stream.time_base or Fraction(1)
    found = StreamPackets(other, tick, made, language, stream.disposition, container=name)
    if other.kind == "attachment":  # its bytes are the stream's, not a packet's
        found.add(Content(None, found.tick, getattr(stream, "data", None) or b""))
    return found


def _chapters(container: InputContainer) -> list[tuple[Fraction, Fraction, str]]:
    rows = []
    for chapter in container.chapters():
        tick = chapter["time_base"] or Fraction(1)
        begin, end = Fraction(chapter["start"]) * tick, Fraction(chapter["end"]) * tick
        rows.append((begin, end, str(chapter["metadata"].get("title", ""))))
    return rows


@dataclass(frozen=True, slots=True)
class Streams:
    """The result of comparing two files' other streams. ``same``: equal streams, ``packets`` in all of them.

    ``lost``: streams that the output lacks. ``wrong``: a line on each that differs, is not in the source, or comes in
    another order or with another language. ``unsaid``: a line on each missing language, and each other role (default,
    forced); not every container can store them.
    """

    same: int
    packets: int
    lost: tuple[str, ...]
    wrong: tuple[str, ...]
    unsaid: tuple[str, ...] = ()


def compare_streams(
    source: Sequence[StreamPackets], output: Sequence[StreamPackets], shift: Fraction, *, part: bool
) -> Streams:
    """Pair streams by content, then by kind and order, and compare them. ``shift``: seconds that the output is earlier.

    In a ``part`` a stream may hold a run of the source's packets.
    """
    left, wrong, packets = list(source), list[str](), 0
    rest, pairs = list[StreamPackets](), list[tuple[StreamPackets, StreamPackets]]()
    for track in output:
        partner = next((s for s in left if _alike(s, track) and _difference(s, track, shift, part=part) is None), None)
        if partner is None:
            rest.append(track)
            continue
        left.remove(partner)
        pairs.append((partner, track))
        packets += len(track.hashes)
    for track in rest:
        partner = next((s for s in left if _alike(s, track)), None)
        if partner is None:
            if not _is_chapters(track) and not track.made:
                wrong.append(f"{name_of(track.other)} of the output is not in the source")
            continue
        left.remove(partner)
        wrong.append(f"{name_of(partner.other)}: {_difference(partner, track, shift, part=part)}")
    wrong += [*_exchanged(pairs), *(line for a, b in pairs if (line := _other_language(a, b)))]
    kinds = [ours.other.kind for ours, _ in pairs]
    unsaid = tuple(line for a, b in pairs if (line := _unsaid(a, b, single=kinds.count(a.other.kind) == 1)))
    lost = tuple(name_of(s.other) for s in left if not _is_chapters(s))
    return Streams(len(pairs), packets, lost, tuple(wrong), unsaid)


def _exchanged(pairs: Sequence[tuple[StreamPackets, StreamPackets]]) -> Iterator[str]:
    """Yield a line on each stream that is not in the source's order of its kind, by which players number them."""
    latest: dict[str, StreamPackets] = {}
    for ours, _ in pairs:
        before = latest.setdefault(ours.other.kind, ours)
        if ours.other.index < before.other.index:
            yield f"{name_of(ours.other)} comes behind {name_of(before.other)}"
        latest[ours.other.kind] = ours


def _other_language(ours: StreamPackets, theirs: StreamPackets) -> str | None:
    if theirs.language in ("und", ours.language):
        return None
    return f"{name_of(ours.other)}: its language is {theirs.language}, the source's is {ours.language}"


def _unsaid(ours: StreamPackets, theirs: StreamPackets, *, single: bool) -> str | None:
    """``single``: the only stream of its kind, which is the default whatever its flags are."""
    if theirs.language == "und" != ours.language:
        return f"{name_of(ours.other)}: its language, {ours.language}, is missing"
    if (theirs.flags ^ ours.flags) & ~(Disposition.default if single else _NO_ROLE):
        return f"{name_of(ours.other)}: is {_roles(theirs.flags)}, in the source {_roles(ours.flags)}"
    return None


def _roles(flags: Disposition) -> str:
    return " and ".join(role.name or "" for role in flags) or "neither default nor anything else"


def _alike(one: StreamPackets, other: StreamPackets) -> bool:
    return one.other.kind == other.other.kind and is_same_codec(one.other.codec, other.other.codec)


def _is_chapters(track: StreamPackets) -> bool:
    """Whether it is the text track of chapters that QuickTime and MP4 have."""
    return track.other.kind == "data" and track.other.codec in ("bin_data", "text")


def _difference(source: StreamPackets, output: StreamPackets, shift: Fraction, *, part: bool) -> str | None:
    """How a copy differs from the source's stream; None if it does not."""
    begin, tick = 0, max(source.tick, output.tick)
    if part:
        found = _run(source.hashes, output.hashes)
        if found is None:
            return "its packets are no run of the source's"
        begin = found
    elif source.hashes != output.hashes:
        if not is_cut_freely(source.other.codec) or source.whole.digest != output.whole.digest:
            return _first_difference(source, output)
        late = _other_time(source.whole.began, output.whole.began, 0, shift, tick)
        return late or heard_fault(source.beginning, output.beginning, shift, output.container, tick)
    if source.other.kind in ("attachment", "cover"):
        return None
    pairs = enumerate((source.when(begin + number), output.when(number)) for number in range(len(output.hashes)))
    late = next((line for number, times in pairs if (line := _other_time(*times, number, shift, tick))), None)
    if late is None and source.other.kind == "audio" and output.hashes:
        heard = Beginning(source.when(begin), source.beginning.heard)
        return heard_fault(heard, output.beginning, shift, output.container, tick)
    return late


def _other_time(
    source: Fraction | None, output: Fraction | None, number: int, shift: Fraction, tick: Fraction
) -> str | None:
    want, got = (source or Fraction(0)) - shift, output or Fraction(0)
    if abs(want - got) < tick:  # a difference that one of the containers cannot express
        return None
    return f"packet {number} is at {seconds(got)}, the source's at {seconds(want)}"


def _first_difference(source: StreamPackets, output: StreamPackets) -> str:
    for number, (want, got) in enumerate(zip(source.hashes, output.hashes, strict=False)):
        if want != got:
            return f"packet {number} at {seconds(source.when(number))}: its bytes are not the source's"
    return f"has {len(output.hashes)} packets, the source's has {len(source.hashes)}"


def _run(hashes: "array[int]", part: "array[int]") -> int | None:
    """Where ``part`` begins in ``hashes``; None if it is not a run of it."""
    if not part:
        return 0
    width, whole, piece = hashes.itemsize, hashes.tobytes(), part.tobytes()
    at = whole.find(piece)
    while at >= 0 and at % width:
        at = whole.find(piece, at + 1)
    return at // width if at >= 0 else None


def tags_of(metadata: dict[str, str]) -> dict[str, str]:
    """A file's tags without those that its muxer adds."""
    return {name.lower(): value for name, value in metadata.items() if name.lower() not in _MUXERS_OWN}
