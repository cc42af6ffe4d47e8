"""How a picture moved from one frame to the next: a shift, a turn and a zoom, as the camera or an object made them."""

import math
from dataclasses import dataclass

from farm.domain.geometry import Box

#: ``[a, b, tx, ty, quality]``
Row = list[float]


@dataclass(frozen=True, slots=True)
class Motion:
    """A similarity that maps coordinates of one frame, in coded source pixels, to those of a later one.

    In square pixels: ``x' = a x - b y + tx``, ``y' = b x + a y + ty``. Pixels of the coded picture may be ``aspect``
    times as wide as high. ``quality``: the share (0 to 1) of the tracked points that moved so.
    """

    a: float = 1.0
    b: float = 0.0
    tx: float = 0.0
    ty: float = 0.0
    quality: float = 1.0
    aspect: float = 1.0

    @property
    def scale(self) -> float:
        """By what everything got larger."""
        return math.hypot(self.a, self.b)

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Where a point of the earlier frame is in the later one."""
        return (
            self.a * x - self.b / self.aspect * y + self.tx,
            self.b * self.aspect * x + self.a * y + self.ty,
        )

    def apply(self, box: Box) -> Box:
        """Where a box of the earlier frame is in the later one. It stays upright: its sides change by the zoom only."""
        x, y = self.point(*box.centre)
        w, h = box.w * self.scale, box.h * self.scale
        return Box(x - w / 2, y - h / 2, w, h)

    def then(self, later: "Motion") -> "Motion":
        """This motion followed by a ``later`` one of the same video; the quality is the lower one.

        STILL is of every video: the aspect is the other one's.
        """
        return Motion(
            later.a * self.a - later.b * self.b,
            later.b * self.a + later.a * self.b,
            *later.point(self.tx, self.ty),
            min(self.quality, later.quality),
            later.aspect if self == STILL else self.aspect,
        )

    def inverse(self) -> "Motion":
        """The motion from the later frame back to the earlier one."""
        square = self.a * self.a + self.b * self.b
        turned = Motion(self.a / square, -self.b / square, 0.0, 0.0, self.quality, self.aspect)
        x, y = turned.point(self.tx, self.ty)
        return Motion(turned.a, turned.b, -x, -y, self.quality, self.aspect)

    def rounded(self) -> "Motion":
        """The motion to 1/100 of a pixel at 8K and less, so that its JSON stays short."""
        turn, shift = (round(self.a, 6), round(self.b, 6)), (round(self.tx, 3), round(self.ty, 3))
        return Motion(*turn, *shift, round(self.quality, 3), self.aspect)

    def row(self) -> Row:
        """The motion as numbers for JSON, without ``aspect``, which is the same for all frames of a video."""
        return [self.a, self.b, self.tx, self.ty, self.quality]


#: Nothing moved.
STILL = Motion()


def motion_of(row: Row, aspect: float = 1.0) -> Motion:
    """The inverse of :meth:`Motion.row`."""
    a, b, tx, ty, quality = row
    return Motion(a, b, tx, ty, quality, aspect)
