"""Which part of a source an output holds: its frames' times are some of the source's, moved by one time.

Where the times fit at several places, as they do at a constant rate, the place is taken whose pictures are nearest.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from pathlib import Path
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream as AvVideoStream
from numpy.typing import NDArray

from farm.domain.manifest import VideoStream
from farm.errors import VerificationError
from farm.media.failing import reading
from farm.media.planes import format_of, planes_of
from farm.media.reading.decoding import decoded, set_up_decoder
from farm.media.reading.opening import open_source
from farm.media.verifying.planned import PlannedFrames

_SIDE = 8  # a picture's look is the means of 8 x 8 fields of its luma
_LOOKS = 16  # frames of the output whose looks are compared
_CHECKED = 64  # frames whose times are looked at before all are

Look = NDArray[Any]
#: The looks of all frames of the source, by their place, and of the output's frames with the given places.
Looks = Callable[[Sequence[int]], "tuple[Look, Look]"]


@dataclass(frozen=True, slots=True)
class Part:
    """``frames``: the places of the output's frames in the source's list; ``shift``: seconds they are shown earlier."""

    frames: Sequence[int]
    shift: Fraction


def find_part(source: Sequence[Fraction], output: Sequence[Fraction], looks: Looks) -> Part | None:
    """The part that an output holds; None when its times do not fit anywhere. Times in seconds, ascending."""
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
    place = int(places[0]) if len(places) == 1 else _nearest(ours, offsets, places, looks)
    frames = np.searchsorted(ours, ours[place] + offsets)
    return Part([int(f) for f in frames], source[place] - output[0])


def looks_of(source: PlannedFrames, output: Path, video: VideoStream) -> Looks:
    """The function that :func:`find_part` asks for looks, which decodes both files when it is called."""

    def looks(places: Sequence[int]) -> tuple[Look, Look]:
        seen = {pts: look_of(frame) for pts, frame in source.decoded()}
        nothing = np.zeros((_SIDE, _SIDE), np.float16)
        ours = np.stack([seen.get(pts, nothing) for pts in source.planned])
        return ours, np.stack(list(_looks(output, video, frozenset(places))))

    return looks


def _looks(path: Path, video: VideoStream, places: frozenset[int]) -> Iterator[Look]:
    with open_source(path) as container, reading(path, VerificationError, "cannot be decoded"):
        stream = container.streams[video.index]
        assert isinstance(stream, AvVideoStream)
        set_up_decoder(stream, 1, {})
        for number, frame in enumerate(decoded(container, stream)):
            if number in places:
                yield look_of(frame)


def look_of(frame: VideoFrame) -> Look:
    """The means of 8 x 8 fields of a frame's luma, as shares of the greatest value in 8 bits."""
    luma = planes_of(frame)[0]
    rows, columns = (np.linspace(0, side, _SIDE, endpoint=False).astype(int) for side in luma.shape)
    sums = np.add.reduceat(np.add.reduceat(luma.astype(np.float32), columns, axis=1), rows, axis=0)
    means = sums * (_SIDE * _SIDE / luma.size / (1 << (format_of(frame.format.name).bits - 8)))
    return means.astype(np.float16)


def _nearest(ours: NDArray[Any], offsets: NDArray[Any], places: NDArray[Any], looks: Looks) -> int:
    numbers = _spread(len(offsets), _LOOKS)
    seen, wanted = looks(numbers)
    if len(wanted) != len(numbers):
        raise VerificationError("where in the source the output begins cannot be seen: frames cannot be decoded")
    far = np.zeros(len(places))
    for look, number in zip(wanted.astype(np.float32), numbers, strict=True):
        at = np.searchsorted(ours, ours[places] + offsets[number])
        far += np.square(seen[at].astype(np.float32) - look).sum(axis=(1, 2))
    return int(places[int(np.argmin(far))])


def _spread(count: int, most: int) -> list[int]:
    return sorted({round(i * (count - 1) / max(1, min(count, most) - 1)) for i in range(min(count, most))})


def _contains(values: NDArray[Any], wanted: NDArray[Any]) -> NDArray[Any]:
    """Which of ``wanted`` are among the ascending ``values``."""
    at = np.searchsorted(values, wanted)
    at[at == len(values)] = 0
    found: NDArray[Any] = values[at] == wanted
    return found
