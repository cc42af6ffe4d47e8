"""Whether a container can hold the times of a video: its ticks, and, once all frames are known, their numbers."""

from array import array
from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from farm.domain.containers import BOXED, TRANSPORT
from farm.domain.manifest import OtherStream
from farm.media.reading.opening import open_source

#: The most frames that an encoder decodes before one that is shown earlier; see the least that MP4's offsets count to.
_REORDERED, _MP4_TICKS = 8, 2**31
#: Where the clocks of MPEG's streams and of FLV begin again, in their ticks.
_MPEG_TICKS, _FLV_TICKS = 2**33, 2**31
#: The least frames per tick of AVI, which stores a frame or an empty packet for each tick; and the most of the latter.
_DENSE, _EMPTY = Fraction(1, 4), 60_000
#: Program streams state no time for a frame that begins in the same packet as another: readers count on from that one
#: at the video's own rate. So all frames have to last as long as a rate that MPEG has, in whole ticks.
_MPEG_STEPS = frozenset(map(Fraction, (3750, 3600, 3003, 3000, 1800, 1500)))
#: Samples in a packet, of those codecs that AVI does not divide into single ones; MP3 has half below this rate.
_FULL_RATE = 32_000
_SAMPLES = {"mp3": 1152, "mp2": 1152, "ac3": 1536}
#: Containers for which the frames' times have to be known before they are chosen.
SPARSE = frozenset({"avi", "mpeg"})


def holds_ticks(container: str, tick: Fraction, rate: Fraction | None) -> bool:
    """Whether a container counts in ticks of ``tick`` seconds. ``rate``: frames a second."""
    if container in ("matroska", "webm", "flv"):
        return (tick * 1000).denominator == 1
    if container in (*TRANSPORT, "mpeg"):
        return (tick * 90_000).denominator == 1
    if container == "avi":
        return rate is not None and rate * tick >= _DENSE
    return tick.denominator < 2**31


def delay_of(container: str, codec: str) -> int:
    """The frames by which the first is decoded before it is shown, even if none is reordered.

    FFmpeg takes MPEG-1 to reorder frames where a program stream states only one time.
    """
    return int((container, codec) == ("mpeg", "mpeg1video"))


def times_fault(container: str, codec: str, tick: Fraction, pts: "array[int]", end: int) -> str | None:
    """Why a container that counts in such ticks cannot hold a video's times, as text to follow its name; else None.

    ``pts`` of all frames of the output, ascending, and the ``end`` of the last, in ticks of ``tick`` seconds.
    """
    delay = delay_of(container, codec)
    gap = max(end - pts[-1], max((b - a for a, b in pairwise(pts)), default=0))
    if container in BOXED and end - pts[0] >= _MP4_TICKS:
        moved = [b - a for a, b in zip(pts, pts[_REORDERED:], strict=False)] or [pts[-1] - pts[0]]
        if max(gap, *moved) >= _MP4_TICKS:
            return f"cannot keep frames {float(gap * tick):.3f} s apart in ticks of {tick} s"
    if container in (*TRANSPORT, "mpeg") and end * tick * 90_000 >= _MPEG_TICKS:
        return "cannot keep times from 26.5 hours on"
    steps = {b - a for a, b in pairwise(pts)}
    if container == "mpeg" and (len(steps) > 1 or not {step * tick * 90_000 for step in steps} <= _MPEG_STEPS):
        return "cannot keep times that are not those of a constant frame rate in whole ticks of 1/90000 s"
    if container == "mpeg" and delay and pts[0] < (pts[1:] or pts)[0] - pts[0]:
        return f"cannot begin with {codec} video at {float(pts[0] * tick):.3f} s, before a frame could be decoded"
    if container == "flv" and end * tick * 1000 >= _FLV_TICKS:
        return "cannot keep times from 24.8 days on"
    if container != "avi":
        return None
    if gap >= _EMPTY or end - pts[0] > len(pts) / _DENSE:
        return f"would need an empty packet for each tick of {tick} s without a frame"
    return f"begins at 0, and this video at {float(pts[0] * tick):.3f} s" if pts[0] else None


def sound_fault(container: str, path: Path, others: Sequence[OtherStream]) -> str | None:
    """Why an AVI file cannot keep the times of the audio of the AVI file at ``path``; None if it can.

    It states no times: a reader counts packets of the length that the header states, or samples. Raises SourceError.
    """
    if container != "avi" or not any(other.kind == "audio" for other in others):
        return None
    with open_source(path) as opened:
        for stream in opened.streams.audio:
            codec = stream.codec_context.codec.canonical_name
            samples = _SAMPLES.get(codec, 1) // (2 if codec == "mp3" and stream.rate < _FULL_RATE else 1)
            if not stream.rate or stream.time_base != Fraction(samples, stream.rate):
                return f"would change the times of stream {stream.index} (audio), whose header is unusual"
    return None
