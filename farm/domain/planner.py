"""Where a source is cut into chunks: at key frames only, so that every chunk can be decoded on its own."""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise
from math import ceil, floor, isfinite

from farm.domain.manifest import Chunk

#: Without ``chunk_seconds``: chunks aim to be no longer than the first; below the second, splitting costs more in
#: tasks and key frames than an idle worker loses.
LONGEST_SECONDS = 10
SHORTEST_SECONDS = 1


def plan_chunks(
    pts: Sequence[int],
    keys: Sequence[tuple[int, bool]],
    end: int,
    time_base: Fraction,
    chunk_seconds: float | None,
    workers: int,
    shown: Sequence[int] | None = None,
    *,
    stream: int,
) -> tuple[Chunk, ...]:
    """Every frame of a source in exactly one chunk, the chunks in order.

    ``pts`` of all frames and ``keys`` (pts, whether leading pictures follow), both strictly ascending; ``end`` is
    where the last frame ends. With ``chunk_seconds``, a chunk ends at the first key frame at or after that length.
    Without, chunks of at most about 10 s whose number is a multiple of ``workers`` where the key frames allow it,
    the longest as short as possible. Frames before the first key frame belong to the first chunk. ``stream``: the
    index of the video stream. ``shown``: the pts of all of the source's frames if ``pts`` are only some of them: a
    chunk then begins at the first of ``pts`` at or after a key frame.
    Raises ValueError for what cannot be planned.
    """
    _check(pts, keys, end, time_base, workers)
    shown = pts if shown is None else shown
    cuts = _cuts(pts, keys, shown)
    if chunk_seconds is None:
        bounds = _balanced(pts[0], cuts, end, time_base, workers)
    else:
        if not (isfinite(chunk_seconds) and chunk_seconds > 0):
            raise ValueError(f"chunks of {chunk_seconds} s")
        bounds = _by_length(pts[0], cuts, ceil(Fraction(str(chunk_seconds)) / time_base))
    chunks = []
    for index, (start, stop) in enumerate(pairwise([*bounds, end])):
        frames = bisect_left(pts, stop) - bisect_left(pts, start)
        seek = _seek(start, keys) if start > shown[0] else start
        chunks.append(Chunk(index, stream, start, stop, frames, seek))
    return tuple(chunks)


def _cuts(pts: Sequence[int], keys: Sequence[tuple[int, bool]], shown: Sequence[int]) -> "array[int]":
    """Where a chunk may begin: at the first of ``pts`` at or after each key frame that is shown."""
    cuts = array("q")
    for key, _ in keys:
        at = bisect_left(pts, key)
        if 0 < at < len(pts) and _holds(shown, key) and (not cuts or cuts[-1] < pts[at]):
            cuts.append(pts[at])
    return cuts


def _check(pts: Sequence[int], keys: Sequence[tuple[int, bool]], end: int, time_base: Fraction, workers: int) -> None:
    if not pts:
        raise ValueError("no frames")
    if not _ascending(pts):
        raise ValueError("pts are not strictly ascending")
    if not _ascending(key for key, _ in keys):
        raise ValueError("key frames are not strictly ascending")
    if end <= pts[-1]:
        raise ValueError(f"end {end} is not after the last frame's pts {pts[-1]}")
    if time_base <= 0:
        raise ValueError(f"time base {time_base}")
    if workers < 1:
        raise ValueError(f"{workers} workers")


def _ascending(values: Iterable[int]) -> bool:
    return all(a < b for a, b in pairwise(values))


def _holds(pts: Sequence[int], value: int) -> bool:
    """Whether a frame is shown at ``value``: a key packet may be one that is decoded and never shown."""
    at = bisect_left(pts, value)
    return at < len(pts) and pts[at] == value


def _seek(start: int, keys: Sequence[tuple[int, bool]]) -> int:
    """The key frame that the frame of pts ``start`` is decoded from: one earlier where leading pictures follow it."""
    at = bisect_right(keys, start, key=lambda key: key[0]) - 1
    if at < 0:
        return start
    return keys[at - 1][0] if keys[at][1] and at else keys[at][0]


def _by_length(start: int, cuts: Sequence[int], length: int) -> list[int]:
    bounds = [start]
    while (at := bisect_left(cuts, bounds[-1] + length)) < len(cuts):
        bounds.append(cuts[at])
    return bounds


def _balanced(start: int, cuts: Sequence[int], end: int, time_base: Fraction, workers: int) -> list[int]:
    """Bounds of at most as many chunks as wanted, the longest as short as the cuts allow."""
    seconds = (end - start) * time_base
    count = workers * ceil(seconds / (LONGEST_SECONDS * workers))
    count = max(1, min(count, floor(seconds / SHORTEST_SECONDS)))
    low, high = -(-(end - start) // count), end - start  # the least length for which ``count`` chunks are enough
    while low < high:
        middle = (low + high) // 2
        if _filled(start, cuts, end, middle, count) is None:
            low = middle + 1
        else:
            high = middle
    return _filled(start, cuts, end, low, count) or [start]


def _filled(start: int, cuts: Sequence[int], end: int, length: int, count: int) -> list[int] | None:
    """Bounds of chunks as long as possible up to ``length``, longer where no cut lies within; None above ``count``."""
    bounds = [start]
    while end - bounds[-1] > length:
        at = bisect_right(cuts, bounds[-1] + length) - 1
        if at < 0 or cuts[at] <= bounds[-1]:
            at += 1  # the next cut is further away than ``length``
        if at == len(cuts):
            break
        if len(bounds) == count:
            return None
        bounds.append(cuts[at])
    return bounds
