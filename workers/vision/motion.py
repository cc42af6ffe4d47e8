"""Measures how the picture, or what is inside a box, moved between two frames.

Corners (Shi and Tomasi, "Good features to track", CVPR 1994), the best one of each cell of a grid so that no rich part
of the picture outvotes the rest; tracked by the pyramidal Lucas-Kanade method (Bouguet, "Pyramidal implementation of
the Lucas Kanade feature tracker", Intel, 2000); and the similarity that most of them agree on (RANSAC: Fischler and
Bolles, CACM 24(6), 1981). What is inside a box: the median of points that are found again when they are tracked back
(Kalal, Mikolajczyk and Matas, "Forward-backward error", ICPR 2010).

Everything is a function of the two pictures alone: chunk boundaries change no number.
"""

from collections.abc import Sequence
from typing import Any, cast

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from farm.domain.geometry import Box
from farm.domain.manifest import VideoStream
from farm.domain.motion import STILL, Motion
from farm.media.planes import format_of, planes_of
from workers.vision.resampling import shrunk
from workers.vision.scaling import eight_bits

#: Rows x columns, uint8: a small luma picture.
Luma = NDArray[np.uint8]
#: N x 2, float32: x and y in samples of a small picture; 0 is the middle of the first one.
_Points = NDArray[np.float32]

LONG_SIDE = 480
_CELL = 16  # of the grid of corners, in samples of the halved picture
_LEAST_CORNER = 2e-5  # least eigenvalue of a corner: below, there is nothing but noise
#: The side of the window that is compared, in samples, and the number of halvings.
_CAMERA = 11, 4  # shifts of a sixth of the picture are found
_BOX = 7, 1
_STOP = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 10, 0.03)
_TOLERANCE = 0.5  # samples by which a point may miss the common motion
_LEAST_POINTS = 8
#: Two pictures that have nothing in common agree on less (measured: at most 0.1).
_LEAST_SHARE = 0.15
_MOST_ZOOM = 1.5  # from one frame to the next
_SPREAD = np.linspace(-0.3, 0.3, 4)  # where points lie inside a box, in its sides from its centre
_LEAST_SIDE = 8  # samples: the window sees more of what is around a smaller box than of the box
_LEAST_SCALED = 16  # samples: the size of a smaller box is not measurable
_RETURNED = 0.5  # samples by which a point may miss its origin when it is tracked back


class MotionMeter:
    """Measures motion in one video. Motions are in coded pixels, from the earlier frame to the later.

    ``long_side``: of the pictures that are compared, in samples. ``size``: theirs, width and height. ``step``: coded
    pixels per sample, across and down.
    """

    def __init__(self, video: VideoStream, long_side: int = LONG_SIDE) -> None:
        self._video = video
        self._aspect = video.aspect
        rows = video.height // 2 if video.interlaced else video.height
        share = min(1.0, long_side / max(video.width, video.height))
        self.size = max(1, round(video.width * share)), max(1, min(rows, round(video.height * share)))
        self.step = np.array([video.width / self.size[0], video.height / self.size[1]])

    def picture(self, frame: av.VideoFrame) -> Luma:
        """A frame's luma (of RGB: green), at most ``long_side`` samples wide and high, in coded orientation.

        The two fields of an interlaced frame are averaged. Raises SourceError for a format that cannot be painted on.
        """
        plane = planes_of(frame)[0]
        if self._video.interlaced and plane.shape[0] > 1:
            rows, columns = plane.shape[0] // 2, plane.shape[1]
            plane = cast("Luma", cv2.resize(plane[: 2 * rows], (columns, rows), interpolation=cv2.INTER_AREA))
        return eight_bits(shrunk(plane, *self.size), format_of(frame.format.name).bits)

    def camera(self, before: Luma, after: Luma) -> Motion | None:
        """The motion that most of the picture shares; None if there is none, or too little to see it by."""
        motion = self._common(before, after)
        if motion is None and (lit := _relit(before, after)) is not None:
            motion = self._common(lit, after)
        return motion

    def _common(self, before: Luma, after: Luma) -> Motion | None:
        points = _corners(before)
        if len(points) < _LEAST_POINTS:
            return None
        found, kept = _tracked(before, after, points, points)
        if kept.sum() < _LEAST_POINTS:
            return None
        a, b = self._square(points[kept]), self._square(found[kept])
        matrix, agree = cv2.estimateAffinePartial2D(
            a, b, method=cv2.RANSAC, ransacReprojThreshold=_TOLERANCE * float(self.step[1]), maxIters=500,
            confidence=0.99, refineIters=10,
        )  # fmt: skip
        agreed = int(np.count_nonzero(agree))  # none, and no matrix, where no two points make a similarity
        share = agreed / len(points)
        if share < _LEAST_SHARE or agreed < _LEAST_POINTS:
            return None
        (scaled, _, tx), (turned, _, ty) = matrix.tolist()
        motion = Motion(scaled, turned, tx / self._aspect, ty, share, self._aspect).rounded()
        return motion if 1 / _MOST_ZOOM < motion.scale < _MOST_ZOOM else None

    def boxes(
        self, before: Luma, after: Luma, boxes: Sequence[Box], camera: Motion | None = None
    ) -> list[Motion | None]:
        """How what is inside each of some boxes of the earlier frame moved: a shift and a zoom, valid near the box.

        None for a box that is too small or leaves the picture, and where too few points are found again. ``camera``:
        where to look first.
        """
        if not boxes:
            return []
        camera = camera or STILL
        inside = [(self._inside(box), self._inside(camera.apply(box))) for box in boxes]
        guess = np.concatenate([there + _searched(before, after, here, there) for here, there in inside])
        points = np.concatenate([here for here, _ in inside])
        there, kept = _tracked(before, after, points, guess, _BOX)
        back, found = _tracked(after, before, there, points, _BOX)
        kept &= found & (np.hypot(*(back - points).T) < _RETURNED)
        parts = np.split(np.arange(len(points)), len(boxes))
        return [
            self._moved(box, points[part][kept[part]], there[part][kept[part]], camera)
            for box, part in zip(boxes, parts, strict=True)
        ]

    def _inside(self, box: Box) -> _Points:
        """Points spread over a box."""
        (x, y), (across, down) = box.centre, self.step
        columns, rows = (x + box.w * _SPREAD) / across - 0.5, (y + box.h * _SPREAD) / down - 0.5
        return np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2).astype(np.float32)

    def _moved(self, box: Box, here: _Points, there: _Points, camera: Motion) -> Motion | None:
        """The motion of a box by those of its points that were found again."""
        across, down = self.step
        smaller = min(box.w / across, box.h / down)
        share = len(here) / _SPREAD.size**2
        if smaller < _LEAST_SIDE or share < 1 / 3:
            return None
        a, b = ((points + 0.5) * self.step for points in (here, there))
        scale = _zoom(a, b) if smaller >= _LEAST_SCALED else camera.scale
        # about the box's centre, which the shift is measured at
        centre = np.array(box.centre)
        shift = np.median(b - (centre + (a - centre) * scale), axis=0)
        tx, ty = (centre + shift - centre * scale).tolist()
        return Motion(scale, 0.0, tx, ty, share, self._aspect).rounded()

    def _square(self, points: _Points) -> NDArray[np.float64]:
        """Points of a small picture in square source pixels, of which 0 is the edge of the first one."""
        square: NDArray[np.float64] = (points + 0.5) * self.step * (self._aspect, 1.0)
        return square


def _relit(before: Luma, after: Luma) -> Luma | None:
    """``before`` with the brightness and contrast of ``after`` (a fade, a flash); None if it has them."""
    (mean, spread), (wanted, other) = ((float(p.mean()), float(p.std())) for p in (before, after))
    if min(spread, other) < 1 or (abs(mean - wanted) < 1 and abs(spread - other) < 1):
        return None
    levels = (np.arange(256) - mean) * (other / spread) + wanted
    return cast("Luma", cv2.LUT(before, np.clip(np.rint(levels), 0, 255).astype(np.uint8)))


def _corners(picture: Luma) -> _Points:
    """The best corner of each cell, found in the halved picture: a quarter of the work, and tracking refines them."""
    rows, columns = (side // 2 // _CELL for side in picture.shape)
    if not rows or not columns:
        return np.empty((0, 2), np.float32)
    half = shrunk(picture, picture.shape[1] // 2, picture.shape[0] // 2)
    strength = cast("NDArray[np.float32]", cv2.cornerMinEigenVal(half, 3))
    cells: NDArray[Any] = strength[: rows * _CELL, : columns * _CELL].reshape(rows, _CELL, columns, _CELL)
    cells = cells.swapaxes(1, 2).reshape(rows * columns, _CELL * _CELL)
    best = cells.argmax(axis=1)
    number = np.flatnonzero(cells.max(axis=1) > _LEAST_CORNER)
    best = best[number]
    x, y = number % columns * _CELL + best % _CELL, number // columns * _CELL + best // _CELL
    return np.stack([2 * x + 0.5, 2 * y + 0.5], axis=1).astype(np.float32)


def _searched(before: Luma, after: Luma, here: _Points, there: _Points) -> _Points:
    """How far from ``there`` the picture around the points ``here`` is found, in whole samples: (x, y).

    Lucas and Kanade's coarse levels would follow what is around a small box instead.
    """
    low, high = np.rint(here[0]).astype(int), np.rint(here[-1]).astype(int) + 1
    size = high - low
    reach = np.maximum(size // 2, 6)
    start = np.rint(there.mean(axis=0) - size / 2 + 0.5).astype(int)
    rows, columns = before.shape
    a, b = np.maximum(start - reach, 0), np.minimum(start + size + reach, (columns, rows))
    if (low < 0).any() or (high > (columns, rows)).any() or (b - a < size).any():
        return np.zeros(2, np.float32)
    wanted = before[low[1] : high[1], low[0] : high[0]]
    likeness = cv2.matchTemplate(after[a[1] : b[1], a[0] : b[0]], wanted, cv2.TM_CCOEFF_NORMED)
    row, column = divmod(int(likeness.argmax()), likeness.shape[1])
    found: _Points = (a - start + np.array((column, row))).astype(np.float32)
    return found


def _tracked(
    before: Luma, after: Luma, points: _Points, guess: _Points, how: tuple[int, int] = _CAMERA
) -> tuple[_Points, NDArray[np.bool_]]:
    """Where points went, and which of them were found. ``guess``: where they may be."""
    found, status, _ = cv2.calcOpticalFlowPyrLK(
        before, after, points, guess.copy(), winSize=(how[0], how[0]), maxLevel=how[1], criteria=_STOP,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )  # fmt: skip
    return cast("_Points", found), status[:, 0] == 1


def _zoom(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """The median growth of the distances between all pairs of points."""
    i, j = np.triu_indices(len(a), 1)
    before, after = (np.hypot(*(points[i] - points[j]).T) for points in (a, b))
    return float(np.median(after / before))
