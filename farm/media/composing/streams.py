"""Decides which of a source's other streams an output copies, with a note on each that it does not."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from av.container import InputContainer

from farm.domain.manifest import OtherStream
from farm.domain.options import ComposeOptions
from farm.media.reading.stream_details import StreamDetails, letters_of

USUAL = ComposeOptions()
NO_DETAILS = StreamDetails()
_COVER_CODECS = frozenset({"mjpeg", "png", "bmp"})
_HELD: dict[str, dict[str, frozenset[str]]] = {
    "mp4": {
        "audio": frozenset(
            {"aac", "mp3", "mp2", "ac3", "eac3", "alac", "opus", "flac", "dts", "truehd", "vorbis"},
        ),
        "subtitle": frozenset({"mov_text", "dvd_subtitle"}),
        "cover": _COVER_CODECS,
    },
    "mov": {
        "audio": frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "alac", "dts", "amr_nb", "amr_wb", "adpcm_ima_qt"}),
        "subtitle": frozenset({"mov_text"}),
        "cover": _COVER_CODECS,
    },
    "mpegts": {
        "audio": frozenset({"aac", "aac_latm", "mp3", "mp2", "ac3", "eac3", "dts", "truehd", "opus", "s302m"}),
        "subtitle": frozenset({"dvb_subtitle", "dvb_teletext"}),
        "data": frozenset({"klv", "timed_id3"}),
    },
    "webm": {"audio": frozenset({"vorbis", "opus"}), "subtitle": frozenset({"webvtt"})},
}
_MATROSKA_NOT = frozenset(
    {"mov_text", "dvb_teletext", "eia_608", "unknown", "aac_latm", "s302m", "adpcm_ima_qt", "nellymoser"}
)
#: Kinds of streams that come last in a file, whatever order they were requested in.
_LAST = {"attachment": 1, "cover": 2}
_HINTS = frozenset({"rtp ", "srtp", "rrtp", "rsrp", "sm2t", "tsp ", "fdp ", "pm2t", "pstp"})
_GPMD, _TIMECODE, _TEXT = "gpmd", "tmcd", "text"
#: Data tracks that are known to hold no private data.
_HARMLESS = frozenset({_TIMECODE, "mp4s", "c608", "scte_35", "epg"})


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """The other streams of an output in its order (the source's; attachments and cover art last), and a note on each
    stream of the source that is left out and on all cover art.
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
        f"stream {o.index} (cover) is the source's own picture: a face in it is not covered"
        for o in kept
        if o.kind == "cover"
    ]
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
        return "its text says where this was filmed (--metadata keep keeps it)"
    if other.index in details.thumbnails:
        return "its pictures are frames of the video, and faces in them are not covered"
    if not holds(container, other):
        return f"{container} files cannot hold it"
    return None


def _why_not_data(other: OtherStream, container: str, options: ComposeOptions, letters: str | None) -> str | None:
    if letters in _HINTS:
        return "it says how to send packets that are no longer there"
    copied = holds(container, other) or (letters == _GPMD and container in ("mp4", "mov"))
    if options.metadata != "keep" and (letters or other.codec) not in _HARMLESS:
        return "it may say where and with what this was filmed" + (" (--metadata keep keeps it)" if copied else "")
    if copied:
        return None
    # libavformat keeps the packets of such a track, but not the sample entry that describes them
    return "what describes it cannot be copied" if letters else f"{container} files cannot hold it"


def _named(other: OtherStream, details: StreamDetails) -> str:
    return details.letters.get(other.index, other.codec).strip() if other.kind == "data" else other.codec
