"""Finds the frames of an output in which something was changed, down to a face of 20 samples and less.

A block of 8 x 8 samples counts if its error stands out from what the encoder did to the rest of the frame: noise of
encoding is larger where the picture has more detail, so the limit rises with both. A face stays, while the worst blocks
of an encoder do not: only a run of frames with such a block in the same place, or one block beside it, is a change.

Measured on 24 frames of nine clips (340x256 to 1920x1080) encoded again by six encoders at 15 qualities (x264 and x265
CRF 18 to 35, SVT-AV1 30 and 45, VP9 30, MPEG-2 and MPEG-4 at quantisers 3 to 12): without a change the longest run of
such blocks is four frames, and :data:`RUN` is six. Found of the covers (blurred or pixelated to 3 x 3, or solid) that
were drawn where the picture has detail, by their size in samples:

================ ===== ===== ===== ===== =====
encoder             24    20    16    12     8
================ ===== ===== ===== ===== =====
x264 CRF 18      20/20 17/18 17/18 15/18 10/11
x264 CRF 28      16/20 13/18 10/18 12/18  9/11
x264 CRF 35      12/20 10/18  9/18  8/18  9/11
x265 CRF 28      19/20 14/18 13/18 13/18  9/11
SVT-AV1 CRF 30   20/20 15/18 16/18 14/18 10/11
================ ===== ===== ===== ===== =====

What is not found differs from the source by less than the encoder's own errors.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from farm.media.planes import Plane

#: Samples on a side.
PLACE = 8
#: Frames that a change is seen in at least; a shorter video has to show it in all.
RUN = 6
#: An error stands out if it is this many times the usual one, which is that of all but this percentage of the frame's
#: blocks; plus this share of its geometric mean with the block's own variance. Beyond the second limit a single frame
#: is enough (47 was measured).
_TIMES, _ALONE = 8.0, 60.0
_USUAL = 95.0
_DETAILED = 0.25
#: The usual error is at least this, for samples of 8 bits.
_LEAST = 1.0


@dataclass(slots=True)
class ChangedPlaces:
    """Give every frame to :meth:`take`, in order, and call :meth:`end`. ``frames``: how many were changed."""

    frames: int = 0
    _seen: int = 0
    _longest: int = 0
    _runs: NDArray[Any] | None = None
    _counted: deque[bool] = field(default_factory=lambda: deque(maxlen=RUN))

    def take(self, want: Plane, errors: NDArray[Any], known: NDArray[np.bool_], peak: int) -> None:
        """Take a frame.

        ``want``: the source's luma; ``errors``: the mean squared error of each place; ``known``: places that are
        certainly not the encoder's, which say nothing of the usual error.
        """
        self._seen += 1
        rest = errors[~known]
        if rest.size < errors.size * (1 - _USUAL / 100):  # nearly all of it
            self._runs = None
            self._counted.append(False)
            self._count(1)
            return
        usual = max(float(np.percentile(rest, _USUAL)), _LEAST * (peak / 255) ** 2)
        rows, columns = np.nonzero(errors[: want.shape[0] // PLACE, : want.shape[1] // PLACE] > _TIMES * usual)
        if not len(rows):
            self._runs = None
            self._counted.append(False)
            return
        detailed = np.sqrt(usual * _variances(want, rows, columns))
        times = errors[rows, columns] / (usual + _DETAILED * detailed)
        out = times > _TIMES
        runs = np.zeros(errors.shape, np.int32)
        before = 0 if self._runs is None else _grown(self._runs)[rows[out], columns[out]]
        runs[rows[out], columns[out]] = before + 1
        self._runs = runs
        self._longest = max(self._longest, longest := int(runs.max()))
        self._counted.append(False)
        if longest >= RUN:
            self._count(RUN)
        elif times.max() > _ALONE:
            self._count(1)

    def skip(self) -> None:
        """Take a frame that cannot be compared: it ends all runs."""
        self._runs = None
        self._counted.clear()

    def end(self) -> None:
        """No frame follows."""
        if self._longest == self._seen < RUN:
            self._count(RUN)

    def _count(self, last: int) -> None:
        """Count the ``last`` frames as changed, those that are counted already only once."""
        for at in range(max(0, len(self._counted) - last), len(self._counted)):
            self.frames += not self._counted[at]
            self._counted[at] = True


def _variances(plane: Plane, rows: NDArray[Any], columns: NDArray[Any]) -> NDArray[Any]:
    """The variance of the samples of each place."""
    high, wide = plane.shape[0] // PLACE, plane.shape[1] // PLACE
    places = plane[: high * PLACE, : wide * PLACE].reshape(high, PLACE, wide, PLACE).swapaxes(1, 2)
    found: NDArray[Any] = places[rows, columns].astype(np.float32).var(axis=(1, 2))
    return found


def _grown(runs: NDArray[Any]) -> NDArray[Any]:
    """The greatest value at each place and the eight around it."""
    height, width = runs.shape
    padded = np.pad(runs, 1)
    tall = np.maximum(np.maximum(padded[:height], padded[1 : height + 1]), padded[2:])
    grown: NDArray[Any] = np.maximum(np.maximum(tall[:, :width], tall[:, 1 : width + 1]), tall[:, 2:])
    return grown
