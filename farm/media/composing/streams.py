"""Decides what an output takes from the source apart from the video: streams, metadata and chapters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from av.container import InputContainer

from farm.domain.manifest import THUMBNAILS, VIDEO, Manifest, OtherStream
from farm.domain.options import ComposeOptions
from farm.media.composing.arguments import Tags, keeps_any_key
from farm.media.composing.colours import range_note
from farm.media.composing.decode_times import TRANSPORT
from farm.media.composing.trim import Chapter, Trim, chapters_of
from farm.media.encoding.choice import encoded_video
from farm.media.reading.metadata import kept, names, of_the_file
from farm.media.reading.stream_details import StreamDetails, letters_of, stream_details

USUAL = ComposeOptions()
NO_DETAILS = StreamDetails()
_COVER_CODECS = frozenset({"mjpeg", "png", "bmp"})
_MOBILE = frozenset({"aac", "amr_nb", "amr_wb"})
_TRANSPORTED = {
    "audio": frozenset({"aac", "aac_latm", "mp3", "mp2", "ac3", "eac3", "dts", "truehd", "opus", "s302m"}),
    "subtitle": frozenset({"dvb_subtitle", "dvb_teletext"}),
    "data": frozenset({"klv", "timed_id3"}),
}
_HELD: dict[str, dict[str, frozenset[str]]] = {
    "mp4": {
        "audio": frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "alac", "opus", "flac", "dts", "truehd", "vorbis"}),
        "subtitle": frozenset({"mov_text", "dvd_subtitle"}),
        "cover": _COVER_CODECS,
    },
    "mov": {
        "audio": frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "alac", "dts", "amr_nb", "amr_wb", "adpcm_ima_qt"}),
        "subtitle": frozenset({"mov_text"}),
        "cover": _COVER_CODECS,
    },
    "mpegts": _TRANSPORTED,
    "m2ts": _TRANSPORTED
    | {
        "audio": _TRANSPORTED["audio"] | {"pcm_bluray"},
        "subtitle": _TRANSPORTED["subtitle"] | {"hdmv_pgs_subtitle"},
    },
    "webm": {"audio": frozenset({"vorbis", "opus"}), "subtitle": frozenset({"webvtt"})},
    "avi": {"audio": frozenset({"mp3", "mp2", "ac3", "pcm_u8", "pcm_s16le", "pcm_s24le"})},
    "mpeg": {"audio": frozenset({"mp2", "mp3", "ac3", "dts"})},
    "3gp": {"audio": _MOBILE, "subtitle": frozenset({"mov_text"})},
    "3g2": {"audio": _MOBILE, "subtitle": frozenset({"mov_text"})},
    "flv": {"audio": frozenset({"aac", "mp3"})},
}
#: Containers without chapters, and those whose streams have no language.
_NO_CHAPTERS, _NO_LANGUAGES = TRANSPORT | {"avi", "mpeg", "flv", "3gp", "3g2"}, frozenset({"avi", "mpeg", "flv"})

_MATROSKA_NOT = frozenset(
    {"mov_text", "dvb_teletext", "eia_608", "unknown", "aac_latm", "s302m", "adpcm_ima_qt", "nellymoser"}
)
#: Kinds of streams that come last in a file, whatever order they were requested in.
_LAST = {"attachment": 1, "cover": 2}
_HINTS = frozenset({"rtp ", "srtp", "rrtp", "rsrp", "sm2t", "tsp ", "fdp ", "pm2t", "pstp"})
_GPMD, _TIMECODE, _TEXT = "gpmd", "tmcd", "text"
#: Data tracks that are known to hold no private data.
_HARMLESS = frozenset({_TIMECODE, "mp4s", "c608", "scte_35", "epg"})
#: The file's metadata that MP4 keeps as iTunes tags; QuickTime keeps ``make`` and ``model`` too.
_MP4_KEYS = frozenset({
    "title", "artist", "album_artist", "composer", "album", "date", "encoder", "comment", "genre", "copyright",
    "grouping", "lyrics", "description", "synopsis", "show", "episode_id", "network", "keywords", "episode_sort",
    "season_number", "media_type", "hd_video", "gapless_playback", "compilation", "disc", "track", "location",
    "creation_time", "make", "model", "author", "software", "timecode",
})  # fmt: skip
#: The file's metadata that each container keeps; all of it where there is no row.
_KEYS = {
    "mp4": _MP4_KEYS,
    "mov": _MP4_KEYS,
    "mpeg": frozenset({"encoder"}),
    "avi": frozenset({
        "title", "artist", "album", "comment", "copyright", "date", "genre", "encoder", "language", "software",
    }),
    **dict.fromkeys(("3gp", "3g2"), frozenset({
        "title", "artist", "author", "genre", "comment", "album", "copyright", "date", "encoder",
        "creation_time", "major_brand", "minor_version", "compatible_brands",
    })),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """The other streams of an output in its order (the source's; attachments and cover art last), and a note on each
    stream of the source that is left out.
    """

    kept: tuple[OtherStream, ...]
    notes: tuple[str, ...]


def plan_streams(
    others: Sequence[OtherStream],
    container: str,
    options: ComposeOptions = USUAL,
    details: StreamDetails = NO_DETAILS,
) -> StreamPlan:
    """Choose the streams that a container takes unchanged.

    ``details``: from :func:`farm.media.reading.stream_details.stream_details`.
    """
    kept: list[OtherStream] = []
    notes: list[str] = []
    for other in others:
        if options.audio == "drop" and other.kind == "audio":
            continue
        if _made_anew(other, container, details):
            continue
        why = _why_not(other, container, options, details)
        if why is None:
            kept.append(other)
        else:
            notes.append(f"stream {other.index} ({other.kind}, {_named(other, details)}) was left out: {why}")
    dropped = sum(o.kind == "audio" for o in others) if options.audio == "drop" else 0
    if dropped:
        notes.append(f"{dropped} audio stream{'s were' if dropped > 1 else ' was'} left out, as asked")
    notes += [
        f"stream {o.index} (attachment) is a picture or a video of its own: a face in it is not covered"
        for o in kept
        if o.index in details.pictures
    ]
    kept.sort(key=lambda other: _LAST.get(other.kind, 0))
    return StreamPlan(tuple(kept), tuple(notes))


def holds(container: str, other: OtherStream) -> bool:
    """Whether a container can hold a stream without changing it."""
    if container == "matroska":
        return other.kind in ("attachment", "cover") or (
            other.kind in ("audio", "subtitle") and other.codec not in _MATROSKA_NOT
        )
    if container == "mov" and other.kind == "audio" and other.codec.startswith("pcm_"):
        return True
    return other.codec in _HELD[container].get(other.kind, frozenset())


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


def _why_not(other: OtherStream, container: str, options: ComposeOptions, details: StreamDetails) -> str | None:
    if other.kind == "data":
        return _why_not_data(other, container, options, details.letters.get(other.index))
    if other.index in details.placing and options.metadata != "keep":
        return "its text tells where this was filmed (--metadata keep keeps it)"
    if other.kind == THUMBNAILS:
        return "its pictures are frames of the video, and faces in them are not covered"
    if other.kind != VIDEO and not holds(container, other):  # that was asked of its companion's output
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


def _named(other: OtherStream, details: StreamDetails) -> str:
    return details.letters.get(other.index, other.codec).strip() if other.kind == "data" else other.codec


@dataclass(frozen=True, slots=True)
class Rest:
    """What an output takes apart from the video. ``tags``: metadata by stream, None for the file's own."""

    plan: StreamPlan
    tags: Mapping[int | None, Tags]
    chapters: tuple[Chapter, ...]
    #: whether the output's chapters differ from the source's
    changed: bool
    notes: tuple[str, ...]


def rest_of(
    opened: InputContainer, path: Path, manifest: Manifest, container: str, options: ComposeOptions = USUAL
) -> Rest:
    """Decide what an output takes from a source, with notes for the user. Raises SourceError."""
    trim = Trim.of(manifest)
    details = stream_details(opened, path, texts=options.metadata != "keep")
    plan = plan_streams(manifest.source.others, container, options, details)
    chapters, lost = chapters_of(opened, trim, options.metadata)
    notes = list(plan.notes)
    if chapters and container in _NO_CHAPTERS:
        notes.append(f"the chapters were left out: {container} files cannot hold them")
        chapters = []
    if note := range_note(container, manifest.encoder.codec, encoded_video(manifest.source.video, manifest.encoder)):
        notes.append(note)
    tags, removed = _all_tags(opened, manifest, container, options.metadata, trim, plan)
    if removed or lost:
        notes.append(f"metadata left out: {names((*removed, *lost))}")
    if container in _NO_LANGUAGES and any(_is_named(tags[o.index].kept) for o in plan.kept):
        notes.append(f"the languages of the streams were left out: {container} files cannot hold them")
    unheld = _unheld(container, tags[None].kept)
    if unheld:
        notes.append(f"metadata left out because {container} files cannot hold it: {names(unheld)}")
    if trim.start is not None and any("timecode" in map(str.lower, t.removed) for t in tags.values()):
        notes.append("the time code was left out: it is that of the source's first frame")
    return Rest(plan, tags, tuple(chapters), not trim.whole or bool(lost), tuple(notes))


def _all_tags(
    opened: InputContainer, manifest: Manifest, container: str, policy: str, trim: Trim, plan: StreamPlan
) -> tuple[dict[int | None, Tags], tuple[str, ...]]:
    """The metadata of everything in the output, and the keys that the policy removes."""
    indexes = {manifest.source.video.index, *(o.index for o in plan.kept)}
    owners: dict[int | None, dict[str, str]] = {
        None: opened.metadata,
        **{s.index: s.metadata for s in opened.streams if s.index in indexes},
    }
    tags: dict[int | None, Tags] = {}
    all_removed: list[str] = []
    for index, metadata in owners.items():
        remains, removed = kept(metadata, policy)
        all_removed += removed
        gone = [key for key in metadata if of_the_file(key)]
        if trim.start is not None:
            gone += [key for key in remains if key.lower() == "timecode"]
        if index is None and keeps_any_key(container, remains):
            gone += _twins(remains)
        tags[index] = Tags({k: v for k, v in remains.items() if k not in gone}, (*removed, *gone))
    return tags, tuple(all_removed)


def _twins(tags: Mapping[str, str]) -> list[str]:
    """Keys that libavformat repeats with their language (``make-eng`` beside ``make``)."""
    return [key for key, value in tags.items() if key[-4:-3] == "-" and tags.get(key[:-4]) == value]


def _is_named(tags: Mapping[str, str]) -> bool:
    return tags.get("language", "und") != "und"


def _unheld(container: str, tags: Mapping[str, str]) -> list[str]:
    """Keys of the file's metadata that an output cannot hold; Matroska and FLV hold any."""
    held = _KEYS.get(container)
    if held is None or keeps_any_key(container, tags):
        return []
    twins = _twins(tags)
    return [key for key in tags if key not in twins and key.lower() not in held]
