"""Decides what an output takes from the source apart from the video: streams, metadata and chapters."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from av.container import InputContainer

from farm.domain.containers import TRANSPORT
from farm.domain.manifest import THUMBNAILS, VIDEO, Manifest, OtherStream
from farm.domain.options import ComposeOptions
from farm.media.composing.arguments import Tags
from farm.media.composing.colours import range_note
from farm.media.composing.held import encoded_as, holds, is_unknown
from farm.media.composing.hiding import beginnings_of
from farm.media.composing.tags import all_tags, unheld_tags
from farm.media.composing.trim import Chapter, Trim, chapters_of
from farm.media.encoding.choice import encoded_video
from farm.media.reading.hidden_sound import Beginning
from farm.media.reading.metadata import names
from farm.media.reading.stream_details import StreamDetails, letters_of, stream_details

USUAL = ComposeOptions()
NO_DETAILS = StreamDetails()
#: Kinds of streams that come last in a file, whatever order they were requested in.
_LAST = {"attachment": 1, "cover": 2}
_HINTS = frozenset({"rtp ", "srtp", "rrtp", "rsrp", "sm2t", "tsp ", "fdp ", "pm2t", "pstp"})
_GPMD, _TIMECODE, _TEXT = "gpmd", "tmcd", "text"
#: Data tracks that are known to hold no private data.
_HARMLESS = frozenset({_TIMECODE, "mp4s", "c608", "scte_35", "epg"})
#: Containers without chapters, and those whose streams have no language.
_NO_CHAPTERS, _NO_LANGUAGES = TRANSPORT | {"avi", "mpeg", "flv", "3gp", "3g2"}, frozenset({"avi", "mpeg", "flv"})


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """The other streams of an output in its order (the source's; attachments and cover art last), and a note on each
    stream of the source that is left out.

    ``encoded``: sound in ``kept`` that is not copied, with the codec that it gets, by index.
    """

    kept: tuple[OtherStream, ...]
    notes: tuple[str, ...]
    encoded: Mapping[int, str] = field(default_factory=dict)


def plan_streams(
    others: Sequence[OtherStream],
    container: str,
    options: ComposeOptions = USUAL,
    details: StreamDetails = NO_DETAILS,
    source: str = "",
) -> StreamPlan:
    """Choose the streams that a container takes, and those of them that are encoded for it.

    ``details``: from :func:`farm.media.reading.stream_details.stream_details`. ``source``: see :func:`holds`.
    """
    kept: list[OtherStream] = []
    notes: list[str] = []
    encoded: dict[int, str] = {}
    for other in wanted(others, options):
        if _made_anew(other, container, details):
            continue
        why = _why_not(other, container, options, details, source)
        codec = encoded_as(container, other, options, source)
        if codec is not None:
            encoded[other.index], why = codec, None
            notes.append(f"{_name(other, details)} was encoded as {codec}: {container} files cannot hold it")
        if why is None:
            kept.append(other)
        else:
            notes.append(f"{_name(other, details)} was left out: {why}")
    dropped = sum(o.kind == "audio" for o in others) if options.audio == "drop" else 0
    if dropped:
        notes.append(f"{dropped} audio stream{'s were' if dropped > 1 else ' was'} left out, as asked")
    notes += [
        f"{_name(o, details)} was left out, as asked"
        for o in others
        if o not in wanted([o], options) and not (options.audio == "drop" and o.kind == "audio")
    ]
    notes += [
        f"stream {o.index} (attachment) is a picture or a video of its own: a face in it is not covered"
        for o in kept
        if o.index in details.pictures
    ]
    kept.sort(key=lambda other: _LAST.get(other.kind, 0))
    return StreamPlan(tuple(kept), tuple(notes), encoded)


def wanted(others: Iterable[OtherStream], options: ComposeOptions) -> tuple[OtherStream, ...]:
    """The streams that the options do not leave out."""
    return tuple(
        other
        for other in others
        if not (options.audio == "drop" and other.kind == "audio")
        and not (options.drop_unknown and is_unknown(other))
        and other.index not in options.dropped
    )


def check_dropped(video: int, others: Iterable[OtherStream], options: ComposeOptions) -> None:
    """Raise SettingsError for streams to leave out that are not there. ``video``: the number of the redacted one."""
    declared, there = options.options()["drop_streams"], sorted(other.index for other in others)
    if video in options.dropped:
        raise declared.refused(options.drop_streams, f"stream {video} is the video that is redacted")
    if unknown := options.dropped.difference(there):
        numbers = f"; its streams beside the video are {', '.join(map(str, there))}" if there else ""
        raise declared.refused(options.drop_streams, f"the source has no stream {min(unknown)}{numbers}")


def made_by_muxer(output: InputContainer, path: Path) -> frozenset[int]:
    """The streams of an output that the MP4 muxer makes from chapters or a time code."""
    return frozenset(index for index, letters in letters_of(output, path).items() if letters in (_TEXT, _TIMECODE))


def _made_anew(other: OtherStream, container: str, details: StreamDetails) -> bool:
    """Whether a muxer writes the stream itself: the text track of chapters, or a time code from its tag."""
    if other.kind != "data":
        return False
    letters = details.letters.get(other.index)
    if letters is None:  # a data track of another container, or without details
        return details.chapters and other.codec == "bin_data"
    return (details.chapters and letters == _TEXT) or (letters == _TIMECODE and container in ("mp4", "mov", "matroska"))


def _why_not(
    other: OtherStream, container: str, options: ComposeOptions, details: StreamDetails, source: str
) -> str | None:
    if other.kind == "data":
        return _why_not_data(other, container, options, details.letters.get(other.index))
    if other.index in details.placing and options.metadata != "keep":
        return "its text tells where this was filmed (--metadata keep keeps it)"
    if other.kind == THUMBNAILS:
        return "its pictures are frames of the video, and faces in them are not covered"
    if other.kind != VIDEO and not holds(container, other, source):  # that was asked of its companion's output
        return f"{container} files cannot hold it"
    return None


def _why_not_data(other: OtherStream, container: str, options: ComposeOptions, letters: str | None) -> str | None:
    if letters in _HINTS:
        return "it describes how to send packets that are no longer there"
    copied = holds(container, other) or (letters == _GPMD and container in ("mp4", "mov"))
    if options.metadata != "keep" and (letters or other.codec) not in _HARMLESS:
        return "it may tell where and with what this was filmed" + (" (--metadata keep keeps it)" if copied else "")
    if copied:
        return None
    # libavformat keeps the packets of such a track, but not the sample entry that describes them
    return "what describes it cannot be copied" if letters else f"{container} files cannot hold it"


def _name(other: OtherStream, details: StreamDetails) -> str:
    codec = details.letters.get(other.index, other.codec).strip() if other.kind == "data" else other.codec
    return f"stream {other.index} ({other.kind}, {codec})"


@dataclass(frozen=True, slots=True)
class Rest:
    """What an output takes apart from the video. ``tags``: metadata by stream, None for the file's own."""

    plan: StreamPlan
    tags: Mapping[int | None, Tags]
    chapters: tuple[Chapter, ...]
    #: whether the output's chapters differ from the source's
    changed: bool
    notes: tuple[str, ...]
    #: when copied sound is heard, by index
    heard: Mapping[int, Beginning] = field(default_factory=dict)


def rest_of(
    opened: InputContainer, path: Path, manifest: Manifest, container: str, options: ComposeOptions = USUAL
) -> Rest:
    """Decide what an output takes from a source, with notes for the user. Raises SourceError."""
    trim = Trim.of(manifest)
    details = stream_details(opened, path, texts=options.metadata != "keep")
    plan = plan_streams(manifest.source.others, container, options, details, opened.format.name)
    copied = [other for other in plan.kept if other.kind == "audio" and other.index not in plan.encoded]
    begins = beginnings_of(opened, path, [other.index for other in copied], container, trim)
    again = {other.index: other.codec for other in copied if other.index in begins.too_early}
    plan = replace(plan, encoded={**plan.encoded, **again})
    chapters, lost = chapters_of(opened, trim, options.metadata)
    notes = list(plan.notes)
    notes += [f"{_name(o, details)} {begins.notes[o.index]}" for o in copied if o.index in begins.notes]
    if chapters and container in _NO_CHAPTERS:
        notes.append(f"the chapters were left out: {container} files cannot hold them")
        chapters = []
    if note := range_note(container, manifest.encoder.codec, encoded_video(manifest.source.video, manifest.encoder)):
        notes.append(note)
    indexes = {manifest.source.video.index, *(o.index for o in plan.kept)}
    tags, removed = all_tags(opened, indexes, container, options.metadata, part=trim.start is not None)
    if removed or lost:
        notes.append(f"metadata left out: {names((*removed, *lost))}")
    if container in _NO_LANGUAGES and any(_is_named(tags[o.index].kept) for o in plan.kept):
        notes.append(f"the languages of the streams were left out: {container} files cannot hold them")
    unheld = unheld_tags(container, tags[None].kept)
    if unheld:
        notes.append(f"metadata left out because {container} files cannot hold it: {names(unheld)}")
    if trim.start is not None and any("timecode" in map(str.lower, t.removed) for t in tags.values()):
        notes.append("the time code was left out: it is that of the source's first frame")
    return Rest(plan, tags, tuple(chapters), not trim.whole or bool(lost), tuple(notes), begins.found)


def _is_named(tags: Mapping[str, str]) -> bool:
    return tags.get("language", "und") != "und"
