"""Carries a box that was drawn in one frame through the frames that follow, or that precede, by how its inside moves.

The motion is that of :class:`workers.vision.motion.MotionMeter`. Where too few points are found again (somebody walks
in front, a blurred frame), the box goes on with the camera and grows, until the picture that was last seen inside it is
found near by (normalised cross-correlation: Lewis, "Fast normalized cross-correlation", Vision Interface 1995). It is
lost at a cut, outside the picture, and a second after it was seen last.
"""

import cv2
import numpy as np

from farm.domain.geometry import Box
from farm.domain.manifest import VideoStream
from farm.domain.motion import STILL
from workers.vision.cuts import is_cut
from workers.vision.motion import LONG_SIDE, Luma, MotionMeter

#: Samples that the smaller side of a box has, as far as the video has them.
_SIDE = 24
_LEAST = 4
#: Likeness from which a picture is that of the box. Lower, and carried boxes stay where a face has left the picture.
_LIKE = 0.8
_SECONDS = 1.0
#: What an unseen box grows by on each side, in its sizes per second, and how far around it is looked for it.
_GROWTH, _REACH = 0.3, 0.5
_ZOOMS = (0.9, 1.0, 1.1)


class Carrier:
    """Carries one box from frame to frame. ``lost``: it is not to be found any more."""

    def __init__(self, video: VideoStream, box: Box) -> None:
        """``box``: in coded pixels."""
        share = _SIDE / max(1.0, min(box.w, box.h))
        longest = max(video.width, video.height)
        self.meter = MotionMeter(video, max(LONG_SIDE, min(longest, round(longest * share))))
        self.lost = False
        self._size, self._second = (video.width, video.height), float(1 / video.time_base)
        self._box, self._seen_at, self._at = box, 0, 0
        self._before: Luma | None = None
        self._looks: Luma | None = None

    def begin(self, pts: int, picture: Luma | None) -> None:
        """The frame that the box was drawn in; None where it is black."""
        self._before, self._seen_at, self._at = picture, pts, pts
        self._look(picture)

    def carry(self, pts: int, picture: Luma | None) -> Box | None:
        """The box in the next frame; None once it is lost. ``picture``: None for a black frame."""
        if picture is None or self._before is None:
            self._before = picture
        else:
            self._move(pts, self._before, picture)
            self._before = picture
        self._at = pts
        unseen = abs(pts - self._seen_at) / self._second
        self.lost = self.lost or unseen > _SECONDS or not self._is_inside()
        return None if self.lost else self._box.grown(_GROWTH * unseen)

    def _move(self, pts: int, before: Luma, after: Luma) -> None:
        camera = self.meter.camera(before, after)
        if is_cut(before, after, camera):
            self.lost = True
            return
        unseen = abs(self._at - self._seen_at) / self._second
        # once it is hidden, what moves inside the box is what hides it
        moved = None if unseen else self.meter.boxes(before, after, [self._box], camera)[0]
        if moved is not None:
            self._box, self._seen_at = moved.apply(self._box), pts
            self._look(after)
            return
        self._box = (camera or STILL).apply(self._box)
        if (found := self._find(after, _REACH + unseen)) is not None:
            self._box, self._seen_at = found, pts

    def _is_inside(self) -> bool:
        box, (width, height) = self._box, self._size
        return box.x + box.w > 0 and box.y + box.h > 0 and box.x < width and box.y < height

    def _samples(self, box: Box) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of a box, in samples."""
        edges = np.array([box.x, box.y, box.x + box.w, box.y + box.h]) / np.tile(self.meter.step, 2)
        left, top, right, bottom = np.rint(edges).astype(int).tolist()
        return left, top, right, bottom

    def _look(self, picture: Luma | None) -> None:
        """Remember what is inside the box, where all of it is in the picture."""
        if picture is None:
            return
        left, top, right, bottom = self._samples(self._box)
        whole = left >= 0 and top >= 0 and right <= picture.shape[1] and bottom <= picture.shape[0]
        if whole and min(right - left, bottom - top) >= _LEAST:
            self._looks = picture[top:bottom, left:right].copy()

    def _find(self, picture: Luma, reach: float) -> Box | None:
        """Where what was last seen inside the box is found, at most ``reach`` of its size away."""
        if self._looks is None:
            return None
        left, top, right, bottom = self._samples(self._box.grown(reach))
        left, top = max(0, left), max(0, top)
        area = picture[top : max(top, bottom), left : max(left, right)]
        best, likeness = None, _LIKE
        (across, down) = self.meter.step
        for zoom in _ZOOMS:
            size = round(self._box.w / across * zoom), round(self._box.h / down * zoom)
            if min(size) < _LEAST or size[0] > area.shape[1] or size[1] > area.shape[0]:
                continue
            likely = cv2.matchTemplate(area, cv2.resize(self._looks, size), cv2.TM_CCOEFF_NORMED)
            _, value, _, (x, y) = cv2.minMaxLoc(likely)
            if value >= likeness:
                likeness = value
                best = Box(
                    float((left + x) * across), float((top + y) * down), float(size[0] * across), float(size[1] * down)
                )
        return best
