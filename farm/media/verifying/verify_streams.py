"""Checks copied streams against the source, packet by packet in lockstep: content and time; and metadata and chapters.

A part of a source has exactly the packets that begin in it, shifted as its video is.
"""

import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream

from farm.domain.containers import BOXED, TRANSPORT
from farm.domain.manifest import Manifest, OtherStream
from farm.domain.options import ComposeOptions
from farm.domain.sound import SoundSpan
from farm.errors import VerificationError
from farm.media.composing.arguments import Tags, keeps_any_key, place_of_video
from farm.media.composing.sound import encoded_streams
from farm.media.composing.streams import USUAL, Rest, made_by_muxer, rest_of
from farm.media.composing.trim import WHOLE, Trim, check_chapters
from farm.media.failing import reading
from farm.media.reading.hidden_sound import Beginning, heard_fault
from farm.media.reading.metadata import is_private, kept
from farm.media.reading.opening import demuxed
from farm.media.reading.videos import is_cover_art, kind_of
from farm.media.verifying.packets import Content, Joined, is_cut_freely, name_of, read_packet, seconds

#: Muxers add these.
_MADE = frozenset({"encoder", "handler_name", "vendor_id", "language"})
#: What each container is known to keep exactly; the rest may be renamed, shortened or dropped.
_SURE = {
    "mp4": frozenset({"title", "comment", "language"}),
    "mov": frozenset({"title", "comment"}),
    "matroska": frozenset({"title", "comment", "language"}),
    "webm": frozenset({"title", "language"}),
    **dict.fromkeys(("avi", "flv"), frozenset({"title", "comment"})),
    **dict.fromkeys((*TRANSPORT, "mpeg", "3gp", "3g2"), frozenset[str]()),
}
#: The first letters of the brands of MP4's relatives.
_BRANDS = {"qt ": "mov", "3gp": "3gp", "3g2": "3g2"}
_M2TS = 192  # bytes of a packet, of which the fifth marks its beginning
_LANGUAGE = re.compile("[a-z]{3}")


@dataclass(slots=True)
class _Pair:
    """A stream of the source and its copy. ``waiting``: the source's packets that the copy has not reached yet."""

    other: OtherStream
    tick: Fraction
    trim: Trim = WHOLE
    waiting: deque[tuple[Fraction | None, bytes]] = field(default_factory=deque)
    packets: int = 0
    #: when its first packet that the copy has begins in the source, and when both are heard
    begins: Fraction | None = None
    heard: Beginning = field(default_factory=Beginning)
    copy_heard: Beginning = field(default_factory=Beginning)
    #: used instead of packets if containers may divide the stream anywhere
    ours: Joined = field(default_factory=Joined)
    theirs: Joined = field(default_factory=Joined)

    @property
    def whole(self) -> bool:
        """Whether only all bytes as one string, and the time of the first, can be compared."""
        return is_cut_freely(self.other.codec)

    def moved(self, when: Fraction | None) -> Fraction | None:
        """The time in the output of a time in the source."""
        return None if when is None else when - self.trim.shift


class StreamCheck:
    """Takes an output's packets in order and reads the source as far as each of them needs.

    Memory depends on how differently the two files are interleaved, not on their length.
    """

    def __init__(
        self, source: InputContainer, pairs: dict[int, _Pair], ignored: frozenset[int], container: str
    ) -> None:
        self._pairs = pairs
        self._ignored = ignored
        self._container = container
        self.video = 0
        #: the source's streams of sound that were edited, and those that were redacted, by the output's index
        self.edited: dict[int, OtherStream] = {}
        self.redacted: dict[int, OtherStream] = {}
        self._by_source = {pair.other.index: pair for pair in pairs.values()}
        chosen = [source.streams[i] for i in self._by_source]
        self._source: Iterator[Packet[Any]] = demuxed(source, chosen) if chosen else iter(())

    def take(self, packet: "Packet[Any]") -> None:
        """Compare a packet of the output with the next one of the source's stream."""
        index = packet.stream.index  # an end marker's own is not set
        if index in self._ignored:
            return
        pair = self._pairs.get(index)
        if pair is None:
            raise VerificationError(f"the output has a stream {index} that was not planned")
        content = read_packet(packet, pair.other.codec)
        if content is None:
            return
        if pair.other.kind == "audio":
            pair.copy_heard.take(packet)
        if pair.whole:
            pair.theirs.add(content)
        else:
            while not pair.waiting and self._read():
                pass
            if _is_filler(pair, content):
                return
            if not pair.waiting:
                last = f"has packets behind the source's last, at {seconds(content.when)}"
                raise VerificationError(f"{name_of(pair.other)}: {last}")
            self._compare(pair, *pair.waiting.popleft(), content.when, content.digest)
        pair.packets += 1

    def _compare(self, pair: _Pair, want: Fraction | None, wanted: bytes, got: Fraction | None, found: bytes) -> None:
        where = f"{name_of(pair.other)}, packet {pair.packets}"
        if wanted != found:
            raise VerificationError(f"{where} at {seconds(want)}: its bytes are not the source's")
        # the output's container cannot express a difference of less than a tick
        if want is not None and (got is None or abs(got - want) >= pair.tick):
            raise VerificationError(f"{where}: is at {seconds(got)}, the source's at {seconds(want)}")

    def _read(self) -> bool:
        """Read the source's next packet; False at its end."""
        packet = next(self._source, None)
        if packet is None:
            return False
        pair = self._by_source[packet.stream.index]
        content = read_packet(packet, pair.other.codec)
        if content is not None and pair.other.kind == "audio":
            pair.heard.take(packet)
        if content is None or not pair.trim.holds(content.when):
            return True
        if pair.begins is None:
            pair.begins = content.when
        if pair.whole:
            pair.ours.add(content)
        else:
            pair.waiting.append((pair.moved(content.when), content.digest))
        return True

    def end(self) -> None:
        """Raise VerificationError if the output lacks packets of the source."""
        while self._read():
            pass
        for pair in self._pairs.values():
            if pair.waiting:
                first = seconds(pair.waiting[0][0])
                raise VerificationError(
                    f"{name_of(pair.other)}: {len(pair.waiting)} packets are missing, from {first} on"
                )
            if pair.whole:
                began = pair.moved(pair.ours.began)
                self._compare(pair, began, pair.ours.digest, pair.theirs.began, pair.theirs.digest)
            heard = Beginning(pair.begins, pair.heard.heard)
            fault = heard_fault(heard, pair.copy_heard, pair.trim.shift, self._container, pair.tick)
            if fault is not None:
                raise VerificationError(f"{name_of(pair.other)}: {fault}")


def open_checks(
    source: InputContainer,
    output: InputContainer,
    manifest: Manifest,
    options: ComposeOptions = USUAL,
    sound: Sequence[SoundSpan] = (),
) -> StreamCheck:
    """Pair each copied stream of the source with the output's, and check metadata and chapters.

    ``sound``: spans of it that were edited. Sound that is not copied is not compared here; :attr:`StreamCheck.edited`
    names its streams, with the codecs that they have now; :attr:`StreamCheck.redacted` further videos and cover art,
    :attr:`StreamCheck.video` the main video.

    Raises VerificationError if a stream is missing, removed metadata is present, or kept metadata is missing.
    """
    container = container_of(output)
    rest = rest_of(source, Path(source.name), manifest, container, options)
    video = place_of_video(rest.plan.kept, manifest.source.video.index)
    copies = _copies(output, video)
    if len(copies) != len(rest.plan.kept):
        raise VerificationError(f"the output has {len(copies)} other streams, {len(rest.plan.kept)} were copied")
    partners = list(zip(rest.plan.kept, copies, strict=True))
    for other, copy in partners:
        if kind_of(copy) != other.kind:
            raise VerificationError(f"stream {other.index} ({other.kind}): is {kind_of(copy)} in the output")
    _check_tags(
        rest, options.metadata, container, output, [(manifest.source.video.index, output.streams[video])], partners
    )
    check_chapters(rest.chapters, output)
    codecs = encoded_streams(rest.plan, options, sound)
    edited = {c.index: replace(o, codec=codecs[o.index]) for o, c in partners if o.index in codecs}
    copied = [(other, copy) for other, copy in partners if copy.index not in edited and not other.redacted]
    check = _paired(source, output, copied, Trim.of(manifest))
    check.video, check.edited = video, edited
    check.redacted = {copy.index: other for other, copy in partners if other.redacted}
    return check


def _copies(output: InputContainer, video: int) -> list[Stream]:
    """The output's streams except its main video and those made by the muxer."""
    made = made_by_muxer(output, Path(output.name))
    return [s for s in output.streams if s.index != video and not (s.type == "data" and s.index in made)]


def _paired(
    source: InputContainer, output: InputContainer, partners: Sequence[tuple[OtherStream, Stream]], trim: Trim
) -> StreamCheck:
    pairs: dict[int, _Pair] = {}
    for other, copy in partners:
        ours = source.streams[other.index]
        if other.kind == "attachment":
            if getattr(ours, "data", None) != getattr(copy, "data", None):
                raise VerificationError(f"stream {other.index} (attachment): its bytes are not the source's")
            continue
        tick = copy.time_base or Fraction(1)
        # the shift is in the source's ticks, the result in the output's; and ffmpeg spaces sound evenly within these
        if not trim.whole or other.kind == "audio":
            tick = max(tick, ours.time_base or Fraction(0))
        pairs[copy.index] = _Pair(other, tick, trim)
    ignored = frozenset(s.index for s in output.streams if s.index not in pairs)
    return StreamCheck(source, pairs, ignored, container_of(output))


def container_of(output: InputContainer) -> str:
    """The container of an output: MP4, QuickTime and 3GP share one demuxer and differ in the brand."""
    name = output.format.name.split(",", maxsplit=1)[0]
    if name == "mov":
        return _BRANDS.get(output.metadata.get("major_brand", "")[:3], "mp4")
    if name in ("matroska", "mpegts"):
        path = Path(output.name)
        with reading(path, VerificationError, "the output cannot be read"), path.open("rb") as file:
            head = file.read(_M2TS + 5)
        if name == "matroska":
            return "webm" if b"webm" in head[:64] else name  # as its EBML header says
        return "m2ts" if head[4:5] == head[_M2TS + 4 :] == b"G" else name
    return name


def _is_filler(pair: _Pair, content: Content) -> bool:
    """Whether a packet only fills the time before the first subtitle; muxers add it."""
    if not content.blank or pair.packets or content.when:
        return False
    return not pair.waiting or (pair.waiting[0][0] or Fraction(0)) >= pair.tick


def _check_tags(
    rest: Rest,
    policy: str,
    container: str,
    output: InputContainer,
    videos: Sequence[tuple[int, Stream]],
    partners: Sequence[tuple[OtherStream, Stream]],
) -> None:
    """Raise VerificationError for metadata that ``policy`` removes and for lost metadata, as far as it can be told."""
    any_key = keeps_any_key(container, rest.tags[None].kept)
    _check_kept("the output", rest.tags[None], output.metadata, policy, container, any_key=any_key)
    for index, copy in (*videos, *((other.index, copy) for other, copy in partners)):
        tags = rest.tags.get(index)
        if tags is not None and copy.type != "attachment" and not is_cover_art(copy):
            _check_kept(f"stream {index}", tags, copy.metadata, policy, container, any_key=False)
    for chapter in output.chapters():
        _check_removed("a chapter", chapter["metadata"], policy, ())


def _check_kept(
    where: str, tags: Tags, found: Mapping[str, str], policy: str, container: str, *, any_key: bool
) -> None:
    _check_removed(where, found, policy, [key for key in tags.removed if key.lower() == "timecode"])
    have = {key.lower(): value for key, value in found.items()}
    for key, value in tags.kept.items():
        name = key.lower()
        sure = name in _SURE[container] or (any_key and name.startswith("com."))
        if not sure or (name == "language" and (value == "und" or not _LANGUAGE.fullmatch(value))):
            continue
        if where != "the output" and name != "language" and container in BOXED:
            continue  # container tracks store no other metadata there
        if value.strip() and have.get(name, "").strip() != value.strip():
            raise VerificationError(f"{where}: its metadata {key} is {have.get(name)!r}, the source's {value!r}")


def _check_removed(where: str, found: Mapping[str, str], policy: str, removed: Sequence[str]) -> None:
    ours = {key: value for key, value in found.items() if value and key.lower() not in _MADE}
    _, private = kept(ours, policy)
    left = [*private, *(key for key in removed if key.lower() in {name.lower() for name in found})]
    # values that muxers add are checked too, unless nothing is to be removed
    left += [key for key in found if key.lower() in _MADE and policy != "keep" and is_private(key, found[key])]
    if left:
        raise VerificationError(f"{where}: has metadata that was to be left out: {', '.join(left)}")
