"""Finds the part of a source that an output holds: its frames' times are some of the source's, shifted by one time.

If the times fit at several places, as they do at a constant rate, the place whose pictures are nearest is chosen.
"""

from array import array
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from pathlib import Path
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from farm.domain.manifest import VideoStream
from farm.errors import SourceError, VerificationError
from farm.media.failing import reading
from farm.media.planes import format_of, planes_of
from farm.media.reading.decoding import decoded, open_video
from farm.media.reading.resizing import in_size

_SIDE = 8  # a thumbnail has 8 x 8 samples
_COMPARED = 16  # frames of the output that are compared by their thumbnails
_CHECKED = 64  # frames whose times are compared before those of all are

Thumbnail = NDArray[Any]
#: The thumbnails of all frames of the source, by their place, and of the output's frames with the given places.
Thumbnails = Callable[[Sequence[int]], "tuple[Thumbnail, Thumbnail]"]


@dataclass(frozen=True, slots=True)
class PlannedFrames:
    """A source's planned frames by pts (ascending), decoded from the start of the file, without seeking."""

    path: Path
    video: VideoStream
    planned: "array[int]"
    threads: int

    def decoded(self) -> Generator[tuple[int, VideoFrame], None, None]:
        """Yield each frame that can be decoded with its pts; damaged ones are left out."""
        with (
            open_video(self.path, self.video, self.threads) as opened,
            reading(self.path, SourceError, "cannot be decoded"),
        ):
            for number, frame in enumerate(decoded(*opened, damage=lambda *_: None)):
                if frame.is_corrupt or not self.video.has_size(frame.width, frame.height):
                    continue
                if self.video.timing == "counted":
                    if number < len(self.planned):
                        yield self.planned[number], in_size(frame, self.video)
                elif frame.pts is not None:
                    yield frame.pts, in_size(frame, self.video)


@dataclass(frozen=True, slots=True)
class Part:
    """``frames``: the places of the output's frames in the source's list; ``shift``: seconds they are shown earlier."""

    frames: Sequence[int]
    shift: Fraction


def find_part(source: Sequence[Fraction], output: Sequence[Fraction], thumbnails: Thumbnails) -> Part | None:
    """The part that an output holds; None if its times fit nowhere. Times in seconds, ascending."""
    if not output or len(output) > len(source):
        return None
    ticks = lcm(*(t.denominator for t in (*source, *output)))
    ours = np.array([int(t * ticks) for t in source], np.int64)
    theirs = np.array([int(t * ticks) for t in output], np.int64)
    offsets = theirs - theirs[0]
    places = np.arange(len(ours))
    for at in _spread(len(offsets), _CHECKED):
        places = places[_contains(ours, ours[places] + offsets[at])]
    places = places[[bool(_contains(ours, ours[place] + offsets).all()) for place in places]] if len(places) else places
    if not len(places):
        return None
    place = int(places[0]) if len(places) == 1 else _nearest(ours, offsets, places, thumbnails)
    frames = np.searchsorted(ours, ours[place] + offsets)
    return Part([int(f) for f in frames], source[place] - output[0])


def thumbnails_of(source: PlannedFrames, output: Path, video: VideoStream) -> Thumbnails:
    """The function that :func:`find_part` calls for thumbnails; it decodes both files."""

    def thumbnails(places: Sequence[int]) -> tuple[Thumbnail, Thumbnail]:
        seen = {pts: thumbnail_of(frame) for pts, frame in source.decoded()}
        nothing = np.zeros((_SIDE, _SIDE), np.float16)
        ours = np.stack([seen.get(pts, nothing) for pts in source.planned])
        chosen = frozenset(places)
        with open_video(output, video, options={}) as opened, reading(output, VerificationError, "cannot be decoded"):
            theirs = [thumbnail_of(frame) for number, frame in enumerate(decoded(*opened)) if number in chosen]
        return ours, np.array(theirs)  # also if there are none

    return thumbnails


def thumbnail_of(frame: VideoFrame) -> Thumbnail:
    """A frame's luma as 8 x 8 means, scaled to 8 bits."""
    luma = planes_of(frame)[0]
    rows, columns = (np.linspace(0, side, _SIDE, endpoint=False).astype(int) for side in luma.shape)
    sums = np.add.reduceat(np.add.reduceat(luma.astype(np.float32), columns, axis=1), rows, axis=0)
    means = sums * (_SIDE * _SIDE / luma.size / (1 << (format_of(frame.format.name).bits - 8)))
    return means.astype(np.float16)


def _nearest(ours: NDArray[Any], offsets: NDArray[Any], places: NDArray[Any], thumbnails: Thumbnails) -> int:
    numbers = _spread(len(offsets), _COMPARED)
    seen, wanted = thumbnails(numbers)
    if len(wanted) != len(numbers):
        raise VerificationError("where in the source the output begins cannot be seen: frames cannot be decoded")
    far = np.zeros(len(places))
    for thumbnail, number in zip(wanted.astype(np.float32), numbers, strict=True):
        at = np.searchsorted(ours, ours[places] + offsets[number])
        far += np.square(seen[at].astype(np.float32) - thumbnail).sum(axis=(1, 2))
    return int(places[int(np.argmin(far))])


def _spread(count: int, most: int) -> list[int]:
    return sorted({round(i * (count - 1) / max(1, min(count, most) - 1)) for i in range(min(count, most))})


def _contains(values: NDArray[Any], wanted: NDArray[Any]) -> NDArray[Any]:
    """Which of ``wanted`` are among the ascending ``values``."""
    at = np.searchsorted(values, wanted)
    at[at == len(values)] = 0
    found: NDArray[Any] = values[at] == wanted
    return found
