"""Chooses the container of an output: the source's own, or the next that can hold everything exactly."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from farm.domain.artefacts import PICTURE_ARCHIVE
from farm.domain.manifest import OtherStream, VideoStream
from farm.domain.options import ComposeOptions
from farm.domain.orientation import Matrix
from farm.errors import OutputError
from farm.media.composing.streams import LOSABLE, USUAL, encoded_as, holds, wanted

#: FFmpeg's muxer for each suffix that an output may have.
MUXERS = {
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".ts": "mpegts",
}
#: The usual suffix of each muxer: the first in the table.
SUFFIXES = {muxer: suffix for suffix, muxer in reversed(MUXERS.items())}
_ONE = 65536  # in a display matrix, whose numbers have 16 fractional bits
#: The codecs that each muxer keeps with every pts, header, aspect and colours (measured with FFmpeg).
_VIDEO: dict[str, frozenset[str]] = {
    "mp4": frozenset({"h264", "hevc", "av1", "vp9", "mpeg1video", "mpeg2video", "mpeg4", "mjpeg"}),
    "mov": frozenset({"h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "prores", "ffv1", "mjpeg"}),
    "matroska": frozenset(
        {"h264", "hevc", "av1", "vp8", "vp9", "mpeg1video", "mpeg2video", "mpeg4", "prores", "ffv1", "mjpeg"}
    ),
    "webm": frozenset({"av1", "vp8", "vp9"}),
    "mpegts": frozenset({"h264", "hevc", "mpeg2video"}),
}
#: Muxers that rewrite packets. MPEG-TS: start codes instead of lengths, parameter sets in the stream.
_REWRITING = frozenset({"mpegts"})
_MOV = ("mp4", "mov", "matroska")
_OTHERS = ("matroska", "mov", "mp4")


@dataclass(frozen=True, slots=True)
class Needs:
    """What an output must hold: video of ``codec`` with ticks of ``time_base`` seconds, and ``others`` of the source.

    ``width`` in pixels. ``options``: what of the source is kept, and how; ``source``: FFmpeg's name of its container.
    """

    codec: str
    time_base: Fraction
    others: tuple[OtherStream, ...] = ()
    matrix: Matrix | None = None
    sample_aspect: Fraction | None = None
    width: int = 0
    options: ComposeOptions = USUAL
    source: str = ""

    @classmethod
    def of(
        cls,
        video: VideoStream,
        others: Sequence[OtherStream] = (),
        options: ComposeOptions = USUAL,
        source: str = "",
    ) -> "Needs":
        """The needs of an output with the video ``video`` and the streams of the source that ``options`` keep."""
        kept = wanted(others, options)
        size = video.matrix, video.sample_aspect, video.width
        return cls(video.codec, video.time_base, kept, *size, options, source)

    def held(self, container: str, other: OtherStream) -> bool:
        """Whether a container holds a stream, as it is or encoded as the options say."""
        known = holds(container, other, self.source)
        return known or encoded_as(container, other, self.options, self.source) is not None

    def lost(self, container: str) -> list[OtherStream]:
        """The sound and subtitles that a container cannot hold."""
        return [other for other in self.others if other.kind in LOSABLE and not self.held(container, other)]


def output_suffix(container: str, options: ComposeOptions) -> str:
    """Suffix of the composed artefact, with its dot. ``container``: FFmpeg's name of it."""
    return PICTURE_ARCHIVE if options.pictures else SUFFIXES.get(container, ".mkv")


def default_container(source_container: str, needs: Needs, source_suffix: str) -> tuple[str, str, str | None]:
    """The default of an output: FFmpeg's muxer, the suffix, and a note if it is not the source's own container.

    The muxer is the source's if it holds everything, else the next that does, or, if none does, one that holds video,
    audio and subtitles. ``source_suffix`` distinguishes QuickTime from MP4; it stays if it stands for the muxer.
    Raises OutputError if no container holds the video exactly.
    """
    container = _chosen(source_container, needs, source_suffix)
    suffix = source_suffix if MUXERS.get(source_suffix.lower()) == container else SUFFIXES[container]
    own = _own_container(source_container, source_suffix)
    if own == container:
        return container, suffix, None
    named, usual = source_suffix.lower() or source_container.split(",", maxsplit=1)[0], SUFFIXES[container]
    if own is None:
        note = f"the source is {named}, which is not written here; the output is {usual}, which keeps it exactly"
    else:
        why = _why_not(own, needs) or _why_not_streams(own, needs)
        note = f"the source is {named}; the output is {usual}: {named} {why}"
    return container, suffix, note


def container_for(suffix: str, source_container: str, needs: Needs, source_suffix: str) -> str:
    """The muxer for an output with ``suffix``: ``mp4``, ``mov``, ``matroska``, ``webm`` or ``mpegts``.

    Without a suffix it is the default one. Raises OutputError, which :mod:`farm.jobs.advising` completes, if it cannot
    hold the video exactly.
    """
    if not suffix:
        return _chosen(source_container, needs, source_suffix)
    wanted = MUXERS.get(suffix.lower())
    why = f"cannot hold {needs.codec} video here" if wanted is None else _why_not(wanted, needs)
    if wanted is None or why:
        raise OutputError(f"an output named *{suffix} {why}", field="redact.codec")
    return wanted


def keeps_packets(container: str) -> bool:
    """Whether a muxer writes video packets unchanged, and one header for all of them."""
    return container not in _REWRITING


def refuse_loss(container: str, needs: Needs) -> None:
    """Raise OutputError, which :mod:`farm.jobs.advising` completes, for sound or subtitles that would be lost.

    :func:`farm.media.composing.streams.plan_streams` notes other streams that are left out (data, cover art,
    attachments).
    """
    lost = needs.lost(container)
    if lost:
        names = ", ".join(f"stream {other.index} ({other.kind}, {other.codec})" for other in lost)
        what = f"an output named *{SUFFIXES[container]} cannot hold {names} of the source"
        raise OutputError(what, field="compose.audio")


def _chosen(source_container: str, needs: Needs, source_suffix: str) -> str:
    own = _own_container(source_container, source_suffix)
    order = dict.fromkeys(((own,) if own else ()) + (_MOV if own in _MOV[:2] else _OTHERS))
    able = [c for c in order if not _why_not(c, needs)]
    if not able:
        what = f"this video's times (ticks of {needs.time_base} s) and picture exactly as {needs.codec}"
        raise OutputError(f"no container keeps {what}", field="redact.codec")
    whole = [c for c in able if not _why_not_streams(c, needs)]
    audible = [c for c in able if not needs.lost(c)]
    return (whole or audible or able)[0]


def _own_container(source_container: str, source_suffix: str) -> str | None:
    """The muxer for a demuxer's name; the suffix distinguishes those that share one. None if it is not supported."""
    named = MUXERS.get(source_suffix.lower())
    family = source_container.split(",", maxsplit=1)[0]
    if family == "mov":
        return named if named in ("mp4", "mov") else "mp4"
    if family == "matroska":
        return "webm" if named == "webm" else "matroska"
    return "mpegts" if family == "mpegts" else None


def _why_not(container: str, needs: Needs) -> str | None:
    """Why a container cannot hold the video exactly, as text to follow its name; None if it can."""
    if needs.codec not in _VIDEO[container]:
        return f"cannot hold {needs.codec} video here"
    if not _holds_times(container, needs.time_base):
        return f"cannot keep this video's times (ticks of {needs.time_base} s) exactly"
    if not _holds_matrix(container, needs.matrix):
        return "cannot keep which way up this video is shown"
    if not _holds_aspect(container, needs):
        return f"cannot keep this video's sample aspect ({needs.sample_aspect}) exactly"
    return None


def _why_not_streams(container: str, needs: Needs) -> str | None:
    for other in needs.others:
        if other.kind in (*LOSABLE, "attachment", "cover") and not needs.held(container, other):
            return f"cannot hold stream {other.index} ({other.kind}, {other.codec})"
    return None


def _holds_times(container: str, time_base: Fraction) -> bool:
    if container in ("matroska", "webm"):
        return (time_base * 1000).denominator == 1
    if container == "mpegts":
        return (time_base * 90_000).denominator == 1
    return time_base.denominator < 2**31


def _holds_matrix(container: str, matrix: Matrix | None) -> bool:
    """Whether a container keeps the orientation: Matroska keeps quarter turns and mirrors, MPEG-TS none."""
    if matrix is None or container in ("mp4", "mov"):
        return True
    a, b, _, c, d = matrix[:5]
    turned = sorted((abs(a), abs(b))) == [0, _ONE] and (abs(c), abs(d)) == (abs(b), abs(a))
    return (container != "mpegts" and turned) or (a, b, c, d) == (_ONE, 0, 0, _ONE)


def _holds_aspect(container: str, needs: Needs) -> bool:
    """Whether a container keeps the sample aspect: WebM stores the display width in whole pixels, others a ratio."""
    return container != "webm" or ((needs.sample_aspect or 1) * needs.width).denominator == 1
