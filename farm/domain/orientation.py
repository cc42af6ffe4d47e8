"""The orientation of a picture: the eight orientations of EXIF (CIPA DC-008, tag 274) and MP4's display matrix.

The *coded* picture is the one in the file and in a decoded frame; the *upright* picture is the one that a player
shows. Detection uses upright pictures; boxes, tracks and painting use coded coordinates.
"""

from math import atan2, degrees

from farm.domain.geometry import Box

#: Nine numbers in row-major order, as in ISO/IEC 14496-12: 16.16 fixed point, the third column 2.30.
Matrix = tuple[int, int, int, int, int, int, int, int, int]
UPRIGHT = 1
#: The orientation that undoes one, where that is another one.
INVERSE = {6: 8, 8: 6}
#: For each orientation: the directions in the coded picture that are shown to the right and downwards.
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
    """Return the EXIF orientation (1 to 8) nearest to a display matrix; 1 if there is no matrix.

    The matrix maps a coded point (x, y) to the shown point (ax + cy, bx + dy); scaling and translation are ignored.
    """
    if matrix is None:
        return UPRIGHT
    a, b, _, c, d = matrix[:5]
    mirrored = a * d - b * c < 0
    # the clockwise rotation of the coded y axis on the screen, in quarter turns; mirroring does not change it
    turns = round(degrees(atan2(-c, d)) / 90) % 4
    return {0: 2, 1: 7, 2: 4, 3: 5}[turns] if mirrored else {0: 1, 1: 6, 2: 3, 3: 8}[turns]


def is_sideways(orientation: int) -> bool:
    """Return whether width and height are swapped when the picture is shown."""
    return orientation >= 5


def upright_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """Return the upright size of a coded ``width`` x ``height`` picture."""
    return (height, width) if is_sideways(orientation) else (width, height)


def coded_box(box: Box, width: int, height: int, orientation: int) -> Box:
    """Convert a box from the upright picture to the coded picture of ``width`` x ``height`` pixels."""
    (rx, ry), (dx, dy) = _AXES[orientation]
    # the coded position of the upright origin
    ox = width if rx + dx < 0 else 0
    oy = height if ry + dy < 0 else 0
    x0, y0 = ox + rx * box.x + dx * box.y, oy + ry * box.x + dy * box.y
    x1, y1 = x0 + rx * box.w + dx * box.h, y0 + ry * box.w + dy * box.h
    return Box(min(x0, x1), min(y0, y1), abs(x1 - x0), abs(y1 - y0))
