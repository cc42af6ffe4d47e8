"""Which blocks of a video its redacted copy shows otherwise, frame by frame: judged by pixels only."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from farm.errors import FarmError

SIDE = 16
#: Mean difference of luma in a block from which on it is covered, and below which it is not. Between them an encoder's
#: noise and a cover's rim are not told apart: such a block is neither.
_COVERED, _SHOWN = 10.0, 5.0

#: Frames x rows x columns of blocks: 1 covered, 0 shown, -1 neither.
States = NDArray[np.int8]
Luma = NDArray[np.uint8]


class DiffersError(FarmError):
    """The two videos are not the same frames."""


def lumas(path: Path) -> Iterator[Luma]:
    """The luma of each frame as it is coded, uint8 rows x columns."""
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for frame in container.decode(video=0):
            yield np.asarray(frame.to_ndarray(format="gray"), np.uint8)


def states(source: Path, redacted: Path) -> States:
    """The states of all blocks. Raises DiffersError unless both videos have as many frames, of one size."""
    rows = []
    for number, (before, after) in enumerate(zip_longest(lumas(source), lumas(redacted))):
        if before is None or after is None or before.shape != after.shape:
            raise DiffersError(f"{redacted}: frame {number} is not a frame of {source}")
        rows.append(_states(before, after))
    return np.stack(rows)


def _states(before: Luma, after: Luma) -> States:
    high, wide = (max(1, length // SIDE) for length in before.shape)
    difference = cv2.absdiff(before, after)[: high * SIDE, : wide * SIDE]
    means = cv2.resize(difference.astype(np.float32), (wide, high), interpolation=cv2.INTER_AREA)
    return np.where(means >= _COVERED, 1, np.where(means < _SHOWN, 0, -1)).astype(np.int8)


def blinking(found: States) -> NDArray[np.bool_]:
    """Which blocks have, for one frame only, another state than in the frames before and after it; as ``found``."""
    blinks = np.zeros(found.shape, np.bool_)
    before, middle, after = found[:-2], found[1:-1], found[2:]
    blinks[1:-1] = (before == after) & (before + middle == 1) & (before >= 0) & (middle >= 0)
    return blinks


@dataclass(frozen=True, slots=True)
class Flicker:
    """Block-frames of a video: ``all`` of them, those ``covered``, and those that blink ``on`` and ``off``."""

    all: int
    covered: int
    on: int
    off: int

    @property
    def share(self) -> float:
        """The share of block-frames that blink, 0 to 1."""
        return (self.on + self.off) / max(1, self.all)

    @property
    def of_covered(self) -> float:
        """How many blink for each that is covered."""
        return (self.on + self.off) / max(1, self.covered)


def flicker(found: States) -> Flicker:
    """What blinks in a video."""
    blinks = blinking(found)
    on = int((blinks & (found == 1)).sum())
    return Flicker(found.size, int((found == 1).sum()), on, int(blinks.sum()) - on)
