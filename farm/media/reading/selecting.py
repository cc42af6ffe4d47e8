"""Which frames of a source are asked for: a part of it, a sample, or all."""

from array import array
from bisect import bisect_left
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from pathlib import Path

from farm.domain.options import SourceOptions
from farm.errors import SourceError
from farm.media.reading.frame_index import FrameIndex


@dataclass(frozen=True, slots=True)
class Selection:
    """``pts`` of the frames asked for; ``end``: where the last of them ends; the rest is as in a Manifest."""

    pts: "array[int]"
    end: int
    picked: bool
    shift: int
    until: int | None


def select_frames(path: Path, frames: FrameIndex, options: SourceOptions, time_base: Fraction) -> Selection:
    """The frames that ``options`` ask for, computed in fractions. Raises SourceError if there are none."""
    origin = frames.pts[0]
    start = _tick(origin, options.start, time_base) or origin
    until = _tick(origin, options.end, time_base)
    if start >= frames.end:
        length = float((frames.end - origin) * time_base)
        raise SourceError(f"{path}: is {length:.3f} s long, and --start is {options.start} s")
    at = bisect_left(frames.pts, start)
    stop = len(frames.pts) if until is None else bisect_left(frames.pts, until)
    if at >= stop:
        raise SourceError(f"{path}: no frame of it begins in the part that --start and --end name")
    part = frames.pts[at:stop]
    end = frames.end if stop == len(frames.pts) else frames.pts[stop]
    if until is not None and until < end:
        end = until
    else:
        until = None if end == frames.end else until
    picked = not (options.start is None and options.end is None and options.interval is None)
    shift = part[0] if options.start is not None else 0
    return Selection(_sampled(part, options.interval, time_base), end, picked, shift, until)


def _tick(origin: int, seconds: float | None, time_base: Fraction) -> int | None:
    """The first tick at or after ``seconds`` from ``origin``; the seconds are the decimal number as written."""
    return None if seconds is None else origin + ceil(Fraction(str(seconds)) / time_base)


def _sampled(pts: "array[int]", interval: Fraction | None, time_base: Fraction) -> "array[int]":
    """The first frame of each interval, counted from the first frame."""
    if interval is None:
        return pts
    ticks = interval / time_base
    kept, last = array("q"), -1
    for p in pts:
        number = (p - pts[0]) * ticks.denominator // ticks.numerator
        if number != last:
            kept.append(p)
            last = number
    return kept
