"""Chooses the container of an output: the source's own, or the next that can hold everything exactly."""

from array import array
from fractions import Fraction

from farm.domain.containers import BOXED, MUXERS, SUFFIXES, TRANSPORT
from farm.domain.orientation import Matrix
from farm.errors import OutputError
from farm.media.composing.colours import states_colours, states_full_range
from farm.media.composing.held import LOSABLE
from farm.media.composing.needs import Needs
from farm.media.composing.times import holds_ticks, times_fault

_ONE = 65536  # in a display matrix, whose numbers have 16 fractional bits
#: The codecs that each muxer keeps with every pts, header, aspect and colours (measured with FFmpeg).
_VIDEO: dict[str, frozenset[str]] = {
    "mp4": frozenset({"h264", "hevc", "av1", "vp9", "mpeg1video", "mpeg2video", "mpeg4", "mjpeg"}),
    "mov": frozenset({"h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "prores", "ffv1", "mjpeg", "png"}),
    "matroska": frozenset(
        {"h264", "hevc", "av1", "vp8", "vp9", "mpeg1video", "mpeg2video", "mpeg4", "prores", "ffv1", "mjpeg"}
    ),
    "webm": frozenset({"av1", "vp8", "vp9"}),
    **dict.fromkeys(TRANSPORT, frozenset({"h264", "hevc", "mpeg2video"})),
    "avi": frozenset({"mpeg4", "mjpeg"}),  # FFmpeg's versions guess different times for H.264 in it
    "mpeg": frozenset({"mpeg1video", "mpeg2video"}),
    "3gp": frozenset({"h264", "mpeg4"}),
    "3g2": frozenset({"h264", "mpeg4"}),
    "flv": frozenset({"h264"}),
}
#: Muxers that rewrite packets: start codes instead of lengths, parameter sets in the stream, frames cut elsewhere.
_REWRITING = TRANSPORT | {"mpeg", "avi"}
#: Containers whose clock begins at 0: the first frame cannot be decoded before that.
_UNORDERED = frozenset({"avi", "flv"})
#: The aspects of the whole picture that MPEG-2 can state, and FLV's streams of a kind.
_MPEG2_ASPECTS, _FLV_STREAMS = frozenset({Fraction(4, 3), Fraction(16, 9), Fraction(221, 100)}), 1
_MOV = ("mp4", "mov", "matroska")
#: Muxers that the farm lets write several videos.
_SEVERAL = frozenset({"mp4", "mov", "matroska", "webm"})
_OTHERS = ("matroska", "mov", "mp4")


class NoContainer(OutputError):
    """No container holds a video as its encoder writes it; another encoder may help."""


def default_container(
    source_container: str, needs: Needs, source_suffix: str, fault: str | None = None
) -> tuple[str, str, str | None]:
    """The default of an output: FFmpeg's muxer, the suffix, and a note if it is not the source's own container.

    The muxer is the source's if it holds everything, else the next that does, or, if none does, one that holds video,
    audio and subtitles. ``source_suffix`` distinguishes QuickTime from MP4; it stays if it stands for the muxer.
    ``fault``: why the source's own cannot hold the times of its frames.
    Raises OutputError if no container holds the video exactly.
    """
    container = _chosen(source_container, needs, source_suffix, without_own=fault is not None)
    suffix = source_suffix if MUXERS.get(source_suffix.lower()) == container else SUFFIXES[container]
    own = _own_container(source_container, source_suffix)
    if own == container:
        return container, suffix, None
    named, usual = source_suffix.lower() or source_container.split(",", maxsplit=1)[0], SUFFIXES[container]
    if own is None:
        note = f"the source is {named}, which is not written here; the output is {usual}, which keeps it exactly"
    else:
        why = fault or _why_not(own, needs, own) or _why_not_streams(own, needs)
        note = f"the source is {named}; the output is {usual}: {named} {why}"
    return container, suffix, note


def container_for(suffix: str, source_container: str, needs: Needs, source_suffix: str) -> str:
    """The container for an output with ``suffix``, one of :data:`MUXERS`.

    Without a suffix it is the default one. Raises OutputError, which :mod:`farm.jobs.advising` completes, if it cannot
    hold the video exactly.
    """
    if not suffix:
        return _chosen(source_container, needs, source_suffix)
    wanted = MUXERS.get(suffix.lower())
    own = _own_container(source_container, source_suffix)
    why = f"cannot hold {needs.codec} video here" if wanted is None else _why_not(wanted, needs, own)
    if wanted is None or why:
        _chosen(source_container, needs, source_suffix)  # raises NoContainer where none holds it
        raise OutputError(f"an output named *{suffix} {why}", field="redact.codec")
    return wanted


def keeps_order(container: str) -> bool:
    """Whether a container keeps the times of frames that are decoded in another order than they are shown from 0 on."""
    return container not in _UNORDERED


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


def refuse_times(container: str, needs: Needs, pts: "array[int]", end: int) -> None:
    """Raise OutputError, with a hint, if an output cannot hold the times of its frames; see :func:`times_fault`."""
    fault = times_fault(container, needs.codec, needs.time_base, pts, end)
    if fault is None:
        return
    able = [
        c
        for c in _OTHERS
        if not (_why_not(c, needs, None) or times_fault(c, needs.codec, needs.time_base, pts, end))
        and not needs.lost(c)
    ]
    hint = f"use -o NAME{SUFFIXES[able[0]]}" if able else "shorten it first: no other container holds them either"
    raise OutputError(f"an output named *{SUFFIXES[container]} {fault}", hint=hint)


def _chosen(source_container: str, needs: Needs, source_suffix: str, *, without_own: bool = False) -> str:
    own = _own_container(source_container, source_suffix)
    order = dict.fromkeys(((own,) if own else ()) + (_MOV if own in BOXED else _OTHERS))
    able = [c for c in order if not _why_not(c, needs, own) and not (without_own and c == own)]
    if not able:
        what = f"this video's times (ticks of {needs.time_base} s) and picture exactly as {needs.codec}"
        raise NoContainer(f"no container keeps {what}", field="redact.codec")
    whole = [c for c in able if not _why_not_streams(c, needs)]
    audible = [c for c in able if not needs.lost(c)]
    return (whole or audible or able)[0]


def _own_container(source_container: str, source_suffix: str) -> str | None:
    """The muxer for a demuxer's name; the suffix distinguishes those that share one. None if it is not supported."""
    named = MUXERS.get(source_suffix.lower())
    family = source_container.split(",", maxsplit=1)[0]
    if family == "mov":
        return named if named in BOXED else "mp4"
    if family == "matroska":
        return "webm" if named == "webm" else "matroska"
    if family == "mpegts":
        return named if named in TRANSPORT else "mpegts"
    return family if family in MUXERS.values() else None


def _why_not(container: str, needs: Needs, own: str | None) -> str | None:
    """Why a container cannot hold the videos exactly, as text to follow its name; None if it can.

    ``own``: the source's container.
    """
    if needs.beside and container not in _SEVERAL:
        return "cannot hold several videos here"
    if needs.beside and container in BOXED and needs.timescale is None:
        return "cannot keep the times of all of its videos exactly"
    return next((why for each in (needs, *needs.beside) if (why := _why_not_one(container, each, own))), None)


def _why_not_one(container: str, needs: Needs, own: str | None) -> str | None:
    if needs.codec not in _VIDEO[container]:
        return f"cannot hold {needs.codec} video here"
    if not holds_ticks(container, needs.time_base, needs.rate):
        return f"cannot keep this video's times (ticks of {needs.time_base} s) exactly"
    if not _holds_matrix(container, needs.matrix):
        return "cannot keep which way up this video is shown"
    if not _holds_aspect(container, needs):
        return f"cannot keep this video's sample aspect ({needs.sample_aspect}) exactly"
    if needs.full_range and not states_full_range(container, needs.codec):
        return f"cannot say that {needs.codec} video uses the full range"
    if needs.colours and not states_colours(container, needs.codec):
        return f"cannot state the colours of {needs.codec} video"
    if container == "avi" and not (own == "avi" and needs.whole) and any(o.kind == "audio" for o in needs.others):
        return "cannot say when audio begins"
    if container == "flv" and sum(o.kind == "audio" for o in needs.others) > _FLV_STREAMS:
        return "cannot hold more than one audio stream"
    return None


def _why_not_streams(container: str, needs: Needs) -> str | None:
    for other in needs.others:
        if other.kind in (*LOSABLE, "attachment", "cover") and not needs.held(container, other):
            return f"cannot hold stream {other.index} ({other.kind}, {other.codec})"
    return None


def _holds_matrix(container: str, matrix: Matrix | None) -> bool:
    """Whether a container keeps the orientation: Matroska keeps quarter turns and mirrors, MPEG-TS none."""
    if matrix is None or container in BOXED:
        return True
    a, b, _, c, d = matrix[:5]
    turned = sorted((abs(a), abs(b))) == [0, _ONE] and (abs(c), abs(d)) == (abs(b), abs(a))
    return (container in ("matroska", "webm") and turned) or (a, b, c, d) == (_ONE, 0, 0, _ONE)


def _holds_aspect(container: str, needs: Needs) -> bool:
    """Whether a container keeps the sample aspect: WebM stores the display width in whole pixels, others a ratio.

    MPEG's program and transport streams leave it to the video, and MPEG-2 knows three shapes of the picture.
    """
    aspect = needs.sample_aspect or Fraction(1)
    if container in (*TRANSPORT, "mpeg") and needs.codec in ("mpeg1video", "mpeg2video") and needs.height:
        shape = aspect * needs.width / needs.height
        return aspect == 1 or (needs.codec == "mpeg2video" and shape in _MPEG2_ASPECTS)
    return container != "webm" or (aspect * needs.width).denominator == 1
