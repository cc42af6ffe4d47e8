"""Reads all packets of a file and compares the streams of two: what was copied has to be the same, byte by byte."""

import hashlib
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.container import InputContainer
from av.packet import Packet

from farm.domain.manifest import OtherStream, VideoStream
from farm.errors import FarmError
from farm.media.failing import reading
from farm.media.opening import open_source
from farm.media.verify_video import seconds


@dataclass(slots=True)
class Track:
    """A stream's packets, 16 bytes each: the first 8 bytes of their SHA-256, and their pts in ``tick`` seconds.

    ``whole`` is the digest of all bytes as one string, however they are cut into packets (PCM).
    """

    other: OtherStream
    tick: Fraction
    hashes: "array[int]" = field(default_factory=lambda: array("Q"))
    times: "array[int]" = field(default_factory=lambda: array("q"))
    whole: Any = field(default_factory=hashlib.sha256)

    @property
    def name(self) -> str:
        """How a person finds it."""
        return f"stream {self.other.index} ({self.other.kind}, {self.other.codec})"

    def add(self, content: bytes, pts: int | None) -> None:
        """Appends a packet, but for MP4's way to say that no subtitle is shown, which muxers add as they need it."""
        if self.other.codec == "mov_text" and content == b"\0\0":
            return
        digest = hashlib.sha256(content).digest()
        self.hashes.append(int.from_bytes(digest[:8], "big"))
        self.times.append(pts if pts is not None else 0)
        self.whole.update(content)

    def when(self, number: int) -> Fraction:
        """A packet's time in seconds."""
        return self.times[number] * self.tick


@dataclass(slots=True)
class Packets:
    """What a demuxer says of a file. ``faults``: lines on the video's packets that must not be."""

    tracks: list[Track]
    pts: "array[int]" = field(default_factory=lambda: array("q"))
    faults: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    chapters: list[tuple[Fraction, Fraction, str]] = field(default_factory=list)
    end: Fraction | None = None
    _dts: int | None = None

    def take(self, packet: "Packet[Any]") -> None:
        """A packet of the video."""
        number = len(self.pts)
        if packet.is_corrupt:
            self.faults.setdefault("damage", f"packet {number} of the video is damaged")
        if packet.is_discard:
            self.faults.setdefault("hidden", f"packet {number} of the video is hidden by an edit list")
        if packet.pts is None:
            self.faults.setdefault("times", f"packet {number} of the video has no time")
            return
        if packet.dts is not None:
            if packet.dts > packet.pts:
                self.faults.setdefault("order", f"packet {number} is decoded after it is shown")
            if self._dts is not None and packet.dts <= self._dts:
                self.faults.setdefault("order", f"packet {number}: its dts {packet.dts} is not after {self._dts}")
            self._dts = packet.dts
        self.pts.append(packet.pts)


def read_packets(path: Path, video: VideoStream, others: Iterable[OtherStream], kind: type[FarmError]) -> Packets:
    """Demuxes a file once; errors become ``kind``. Memory: 8 bytes a frame, 16 a packet of another stream."""
    with open_source(path) as container, reading(path, kind, "cannot be read to its end"):
        tracks = {o.index: _track(container, o) for o in others}
        found = Packets(list(tracks.values()), metadata=dict(container.metadata), chapters=_chapters(container))
        for packet in container.demux():
            if packet.size == 0 and packet.pts is None:
                continue
            if packet.stream_index == video.index:
                found.take(packet)
            elif packet.stream_index in tracks:
                tracks[packet.stream_index].add(bytes(packet), packet.pts)
        stream = container.streams[video.index]
        if stream.duration is not None and stream.time_base is not None:
            found.end = ((stream.start_time or 0) + stream.duration) * stream.time_base
    found.pts = array("q", sorted(found.pts))
    return found


def _track(container: InputContainer, other: OtherStream) -> Track:
    stream = container.streams[other.index]
    track = Track(other, stream.time_base or Fraction(1))
    if other.kind == "attachment":  # its bytes are the stream's, not a packet's
        track.add(getattr(stream, "data", None) or b"", None)
    return track


def _chapters(container: InputContainer) -> list[tuple[Fraction, Fraction, str]]:
    rows = []
    for chapter in container.chapters():
        tick = chapter["time_base"] or Fraction(1)
        begin, end = Fraction(chapter["start"]) * tick, Fraction(chapter["end"]) * tick
        rows.append((begin, end, str(chapter["metadata"].get("title", ""))))
    return rows


@dataclass(frozen=True, slots=True)
class Streams:
    """How two files' other streams compare. ``same``: compared and equal, with the number of packets in all.

    ``lost``: streams that the output lacks; ``wrong``: a line for each that differs, or that nothing in the source is.
    """

    same: int
    packets: int
    lost: tuple[str, ...]
    wrong: tuple[str, ...]


def compare_streams(source: Sequence[Track], output: Sequence[Track], shift: Fraction, *, part: bool) -> Streams:
    """Pairs streams by what is in them, then by kind and order. ``shift``: seconds that the output begins earlier.

    Of a ``part`` a stream may hold a run of the source's packets.
    """
    left, wrong, same, packets = list(source), [], 0, 0
    rest = []
    for track in output:
        partner = next((s for s in left if _alike(s, track) and _difference(s, track, shift, part=part) is None), None)
        if partner is None:
            rest.append(track)
            continue
        left.remove(partner)
        same, packets = same + 1, packets + len(track.hashes)
    for track in rest:
        partner = next((s for s in left if _alike(s, track)), None)
        if partner is None:
            if not _is_chapters(track):
                wrong.append(f"{track.name} of the output is not in the source")
            continue
        left.remove(partner)
        wrong.append(f"{partner.name}: {_difference(partner, track, shift, part=part)}")
    return Streams(same, packets, tuple(s.name for s in left if not _is_chapters(s)), tuple(wrong))


def _alike(one: Track, other: Track) -> bool:
    return (one.other.kind, one.other.codec) == (other.other.kind, other.other.codec)


def _is_chapters(track: Track) -> bool:
    """QuickTime's and MP4's text track of chapters, which is no stream of its own."""
    return track.other.kind == "data" and track.other.codec in ("bin_data", "text")


def _difference(source: Track, output: Track, shift: Fraction, *, part: bool) -> str | None:
    """In what a copy differs from the source's stream, None where it does not."""
    begin = 0
    if part:
        found = _run(source.hashes, output.hashes)
        if found is None:
            return "its packets are no run of the source's"
        begin = found
    elif source.hashes != output.hashes:
        if source.other.codec.startswith("pcm_") and source.whole.digest() == output.whole.digest():
            return None
        return _first_difference(source, output)
    if source.other.kind in ("attachment", "cover"):
        return None
    tick = max(source.tick, output.tick)
    for number in range(len(output.hashes)):
        want, got = source.when(begin + number) - shift, output.when(number)
        if abs(want - got) >= tick:
            return f"packet {number} is at {seconds(got)}, the source's at {seconds(want)}"
    return None


def _first_difference(source: Track, output: Track) -> str:
    for number, (want, got) in enumerate(zip(source.hashes, output.hashes, strict=False)):
        if want != got:
            return f"packet {number} at {seconds(source.when(number))}: its bytes are not the source's"
    return f"has {len(output.hashes)} packets, the source's has {len(source.hashes)}"


def _run(hashes: "array[int]", part: "array[int]") -> int | None:
    """Where ``part`` begins in ``hashes``, None when it is not a run of it."""
    if not part:
        return 0
    width, whole, piece = hashes.itemsize, hashes.tobytes(), part.tobytes()
    at = whole.find(piece)
    while at >= 0 and at % width:
        at = whole.find(piece, at + 1)
    return at // width if at >= 0 else None
