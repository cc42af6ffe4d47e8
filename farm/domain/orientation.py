"""Which way up a picture is shown: the eight orientations of EXIF (CIPA DC-008, tag 274) and MP4's display matrix.

*Coded* is how the pixels lie in the file and in a decoded frame, *upright* is what a player shows. Detection looks at
upright pictures; boxes, tracks and painting are in coded coordinates.
"""

from math import atan2, degrees

from farm.domain.geometry import Box

#: Nine numbers row by row as ISO/IEC 14496-12 has them: 16.16 fixed point, the third column 2.30.
Matrix = tuple[int, int, int, int, int, int, int, int, int]
UPRIGHT = 1
#: For each orientation the directions, in the coded picture, of what is shown to the right and downwards.
_AXES = {
    1: ((1, 0), (0, 1)),
    2: ((-1, 0), (0, 1)),
    3: ((-1, 0), (0, -1)),
    4: ((1, 0), (0, -1)),
    5: ((0, 1), (1, 0)),
    6: ((0, -1), (1, 0)),
    7: ((0, -1), (-1, 0)),
    8: ((0, 1), (-1, 0)),
}


def orientation_of(matrix: Matrix | None) -> int:
    """The EXIF orientation (1 to 8) that a display matrix comes nearest to; 1 where there is none.

    The matrix maps a coded point (x, y) to the shown (ax + cy, bx + dy); scaling and moving play no part.
    """
    if matrix is None:
        return UPRIGHT
    a, b, _, c, d = matrix[:5]
    mirrored = a * d - b * c < 0
    # the angle by which the coded y axis is turned on the screen, clockwise; mirroring leaves it alone
    turns = round(degrees(atan2(-c, d)) / 90) % 4
    return {0: 2, 1: 7, 2: 4, 3: 5}[turns] if mirrored else {0: 1, 1: 6, 2: 3, 3: 8}[turns]


def is_sideways(orientation: int) -> bool:
    """Whether width and height are exchanged when the picture is shown."""
    return orientation >= 5


def upright_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """The size that a coded ``width`` x ``height`` picture has when it is shown."""
    return (height, width) if is_sideways(orientation) else (width, height)


def coded_box(box: Box, width: int, height: int, orientation: int) -> Box:
    """A box of the upright picture in the coded picture of ``width`` x ``height`` pixels."""
    (rx, ry), (dx, dy) = _AXES[orientation]
    # the coded point where the upright origin lies
    ox = width if rx + dx < 0 else 0
    oy = height if ry + dy < 0 else 0
    x0, y0 = ox + rx * box.x + dx * box.y, oy + ry * box.x + dy * box.y
    x1, y1 = x0 + rx * box.w + dx * box.h, y0 + ry * box.w + dy * box.h
    return Box(min(x0, x1), min(y0, y1), abs(x1 - x0), abs(y1 - y0))
