"""Checks the average frame rate that players compute from a file, and how long its packets say that frames last."""

from array import array
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from farm.domain.containers import BOXED
from farm.domain.manifest import VideoStream
from farm.media.composing.decode_times import STATED
from farm.media.verifying.packets import seconds

_MATROSKA = frozenset({"matroska", "webm"})
#: Matroska states the rate as a duration, which FFmpeg rounds to a fraction of small numbers.
_ROUNDED, _EXACT = Fraction(1, 1000), Fraction(1, 1_000_000)


def rate_fault(
    video: VideoStream, container: str, frames: int, length: Fraction, stated: Fraction | None = None
) -> str | None:
    """A line unless the file's average frame rate is that of its ``frames`` in ``length`` seconds.

    Outside MP4, where it may be that of most frames, it may also be the one that the source ``stated``. Where nothing
    states it, libavformat may take the rate of an interlaced video's fields for it.
    """
    if not video.average_rate or length <= 0 or (container not in BOXED and video.average_rate == stated):
        return None
    near = max(length * (_EXACT if container in BOXED else _ROUNDED), 2 * video.time_base)
    of_fields = video.interlaced and container not in STATED
    if any(abs(frames * many / video.average_rate - length) < near for many in ((1, 2) if of_fields else (1,))):
        return None
    return f"its average frame rate is {float(video.average_rate):.6g}, that of its frames {float(frames / length):.6g}"


def lasting_fault(
    video: VideoStream, container: str, pts: Sequence[int], lasting: Sequence[int], end: Fraction
) -> str | None:
    """A line if a packet of a Matroska file lasts into the next frame: longer than both to it and the average.

    ``pts`` of the last frames or all, ascending, in ticks; ``lasting``: their packets' durations, 0 where none is
    stated; ``end``: of the last frame, in seconds.
    """
    if container not in _MATROSKA or not video.average_rate or not pts:
        return None
    usual = 1 / video.average_rate / video.time_base
    following = (*pts[1:], max(pts[-1] + 1, round(end / video.time_base)))
    for shown, until, duration in zip(pts, following, lasting, strict=True):
        if duration > max(Fraction(until - shown), usual) + 1:
            when = seconds(shown * video.time_base)
            return f"the frame at {when} says that it lasts {seconds(duration * video.time_base)}, into the next one"
    return None


def frames_fault(
    video: VideoStream, container: str, pts: Sequence[int], lasting: Sequence[int], end: Fraction
) -> str | None:
    """Both for all frames of a file; see :func:`lasting_fault`. Only MP4 states the rate of frames that differ."""
    even = len({b - a for a, b in pairwise(pts)}) == 1
    length = end - pts[0] * video.time_base
    if even and container not in STATED:  # it does not state the end either
        length = len(pts) * (pts[1] - pts[0]) * video.time_base
    fault = rate_fault(video, container, len(pts), length) if even or container in BOXED else None
    return fault or lasting_fault(video, container, pts, lasting, end)


def by_time(pts: "array[int]", lasting: "array[int]") -> tuple["array[int]", "array[int]"]:
    """The packets' times and durations in the order of showing."""
    order = sorted(range(len(pts)), key=pts.__getitem__)
    return array("q", (pts[at] for at in order)), array("q", (lasting[at] for at in order))
