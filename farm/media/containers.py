"""Which container an output gets, and which of a source's streams that container can hold."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from farm.domain.manifest import OtherStream
from farm.errors import OutputError

#: FFmpeg's muxer for each suffix that an output may have.
MUXERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".ts": "mpegts",
}
_SUFFIXES = {"mp4": ".mp4", "mov": ".mov", "matroska": ".mkv", "mpegts": ".ts"}
_MILLISECOND = Fraction(1, 1000)
_CODECS = ("h264", "hevc")

_MP4_AUDIO = frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "alac", "opus", "flac", "dts", "truehd", "vorbis"})
_MOV_AUDIO = frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "alac", "amr_nb", "amr_wb", "adpcm_ima_qt", "adpcm_ms"})
_HELD: dict[str, dict[str, frozenset[str]]] = {
    "mp4": {
        "audio": _MP4_AUDIO,
        "subtitle": frozenset({"mov_text", "dvd_subtitle"}),
        "cover": frozenset({"mjpeg", "png", "bmp"}),
    },
    "mov": {"audio": _MOV_AUDIO, "subtitle": frozenset({"mov_text"}), "cover": frozenset({"mjpeg", "png", "bmp"})},
    "mpegts": {
        "audio": frozenset({"aac", "aac_latm", "mp3", "mp2", "ac3", "eac3", "dts", "truehd", "opus", "s302m"}),
        "subtitle": frozenset({"dvb_subtitle", "dvb_teletext"}),
        "data": frozenset({"klv", "timed_id3"}),
    },
}
#: MPEG-TS: start codes instead of lengths, parameter sets in the stream.
_REWRITING = frozenset({"mpegts"})
#: Where in a file streams come that are no tracks of their own, whatever the order they were asked for in.
_LAST = {"attachment": 1, "cover": 2}
_MATROSKA_NOT = frozenset({"mov_text", "dvb_teletext", "eia_608", "unknown"})


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """The other streams of an output, in its order (the source's, attachments and covers last), and a line for each
    stream of the source that it leaves out.
    """

    kept: tuple[OtherStream, ...]
    notes: tuple[str, ...]


def container_for(source_container: str, codec: str, path_suffix: str, time_base: Fraction = _MILLISECOND) -> str:
    """FFmpeg's muxer for an output: ``mp4``, ``mov``, ``matroska`` or ``mpegts``.

    MP4, QuickTime, Matroska and transport streams stay what they are, all others become Matroska; or QuickTime where
    ``time_base`` (seconds a tick) is not in whole milliseconds, the only times that Matroska files keep.
    ``path_suffix`` is the output's; ``""`` leaves the choice.
    Raises OutputError for a suffix that cannot hold the video exactly.
    """
    wanted = default_container(source_container, path_suffix, time_base)
    if codec not in _CODECS:
        raise OutputError(f"{codec} video cannot be written")
    if wanted not in _SUFFIXES:
        raise OutputError(
            f"an output named *{path_suffix} cannot hold {codec.upper()} video here",
            hint=f"use the suffix {default_suffix(source_container, time_base)}",
        )
    if not _holds_times(wanted, time_base):
        raise OutputError(
            f"an output named *{_SUFFIXES[wanted]} cannot keep this video's times (ticks of {time_base} s) exactly",
            hint=f"use the suffix {default_suffix(source_container, time_base)}",
        )
    return wanted


def default_container(source_container: str, path_suffix: str, time_base: Fraction) -> str:
    """The muxer that the suffix names, or the source's own; an unknown suffix is returned as it is."""
    if path_suffix:
        return MUXERS.get(path_suffix.lower(), path_suffix)
    own = _own_container(source_container)
    return own if _holds_times(own, time_base) else "mov"


def default_suffix(source_container: str, time_base: Fraction = _MILLISECOND, source_suffix: str = "") -> str:
    """The suffix (``.mp4``) of an output that nobody named: the source's own where it says the right container."""
    container = default_container(source_container, "", time_base)
    named = MUXERS.get(source_suffix.lower())
    if named == container or (named == "mov" and source_container.startswith("mov")):
        return source_suffix
    return _SUFFIXES[container]


def keeps_packets(container: str) -> bool:
    """Whether a muxer writes H.264 and HEVC packets byte by byte as a segment has them, and its header as one."""
    return container not in _REWRITING


def _own_container(source_container: str) -> str:
    """The muxer for a demuxer's name. MP4 and QuickTime share a demuxer: MP4 unless the caller names a suffix."""
    first = source_container.split(",", maxsplit=1)[0]
    return {"mov": "mp4", "matroska": "matroska", "mpegts": "mpegts"}.get(first, "matroska")


def _holds_times(container: str, time_base: Fraction) -> bool:
    if container == "matroska":
        return (time_base / _MILLISECOND).denominator == 1
    if container == "mpegts":
        return (time_base * 90_000).denominator == 1
    return time_base.denominator < 2**31


def plan_streams(others: Sequence[OtherStream], container: str, *, chapters: bool) -> StreamPlan:
    """Which streams a container takes as they are. ``chapters``: whether the source has any."""
    kept: list[OtherStream] = []
    notes: list[str] = []
    for other in others:
        if holds(container, other):
            kept.append(other)
        elif not (chapters and other.kind == "data" and other.codec == "bin_data"):  # else the chapters' own track
            notes.append(
                f"stream {other.index} ({other.kind}, {other.codec}) was left out: {container} files cannot hold it"
            )
    kept.sort(key=lambda other: _LAST.get(other.kind, 0))
    return StreamPlan(tuple(kept), tuple(notes))


def refuse_loss(others: Sequence[OtherStream], container: str, time_base: Fraction) -> None:
    """Raises OutputError, with a way out, where an output would lack an audio or subtitle stream of the source.

    ``time_base`` is the video's. What else is left out (data, covers, attachments) :func:`plan_streams` notes.
    """
    lost = _lost(others, container)
    if not lost:
        return
    able = [c for c in ("matroska", "mp4", "mov", "mpegts") if _holds_times(c, time_base) and not _lost(others, c)]
    without = " ".join(f"-map -0:{other.index}" for other in lost)
    names = ", ".join(f"stream {other.index} ({other.kind}, {other.codec})" for other in lost)
    raise OutputError(
        f"an output named *{_SUFFIXES[container]} cannot hold {names} of the source",
        hint=f"use -o NAME{_SUFFIXES[able[0]]}"
        if able
        else f"convert or remove it first, for example: ffmpeg -i IN -map 0 {without} -c copy OUT",
    )


def _lost(others: Sequence[OtherStream], container: str) -> list[OtherStream]:
    return [other for other in others if other.kind in ("audio", "subtitle") and not holds(container, other)]


def holds(container: str, other: OtherStream) -> bool:
    """Whether a container can hold a stream without changing it."""
    if container == "matroska":
        return other.kind in ("attachment", "cover") or (
            other.kind in ("audio", "subtitle") and other.codec not in _MATROSKA_NOT
        )
    if container == "mov" and other.kind == "audio" and other.codec.startswith("pcm_"):
        return True
    return other.codec in _HELD[container].get(other.kind, frozenset())
