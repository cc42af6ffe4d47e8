"""Converts a frame's planes directly to the small BGR picture that a detector is given."""

from typing import cast

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from farm.domain.orientation import UPRIGHT, upright_size
from farm.domain.pixels import PixelFormat
from farm.media.planes import Plane, format_of, is_full_range, matrix_of, planes_of
from workers.vision.colours import PQ, bgr_matrix, tone_mapped
from workers.vision.resampling import shrunk

Picture = NDArray[np.uint8]

#: How to turn a coded picture upright, by EXIF orientation: transpose, then rotate or flip.
_TRANSPOSED = (5, 7)
_TURNS = {3: cv2.ROTATE_180, 7: cv2.ROTATE_180, 6: cv2.ROTATE_90_CLOCKWISE, 8: cv2.ROTATE_90_COUNTERCLOCKWISE}
_FLIPS = {2: 1, 4: 0}
_UNSPECIFIED = 2


def small_picture(
    frame: av.VideoFrame, width: int, height: int, orientation: int = UPRIGHT, transfer: int = _UNSPECIFIED
) -> Picture:
    """The frame as upright BGR (uint8, H x W x 3) of ``width`` x ``height``, converted by its own matrix and range.

    ``orientation``: EXIF's number. ``transfer``: H.273's number of the transfer characteristics, for a frame that does
    not carry its own.
    """
    size = upright_size(width, height, orientation)
    pixels = format_of(frame.format.name)
    planes = [eight_bits(shrunk(plane, *size), pixels.bits) for plane in planes_of(frame)]
    bgr = _coloured(planes, frame, pixels)
    said = int(frame.color_trc)
    if (transfer if said == _UNSPECIFIED else said) == PQ:
        bgr = tone_mapped(bgr)
    return upright(bgr, orientation)


def _coloured(planes: list[Plane], frame: av.VideoFrame, pixels: PixelFormat) -> Picture:
    """BGR of a frame whose planes were scaled to one size and 8 bits."""
    if pixels.family == "rgb":
        green, blue, red = planes
        return cast("Picture", cv2.merge([blue, green, red]))
    while len(planes) < 3:
        planes.append(np.full_like(planes[0], 128))
    # YUV to RGB in one affine map; OpenCV rounds and saturates
    matrix = matrix_of(int(frame.colorspace), frame.height)
    bgr = cv2.transform(cv2.merge(planes), bgr_matrix(matrix, full=is_full_range(frame)))
    return cast("Picture", bgr)


def upright(picture: Picture, orientation: int) -> Picture:
    """A coded picture (rows x columns x samples) turned as it is shown. ``orientation``: EXIF's number."""
    turned = cv2.transpose(picture) if orientation in _TRANSPOSED else picture
    if orientation in _TURNS:
        turned = cv2.rotate(turned, _TURNS[orientation])
    elif orientation in _FLIPS:
        turned = cv2.flip(turned, _FLIPS[orientation])
    return cast("Picture", turned)


def eight_bits(plane: Plane, bits: int) -> Plane:
    """A plane of ``bits`` per sample as uint8, rounded and saturated."""
    return plane if bits == 8 else cast("Plane", cv2.convertScaleAbs(plane, alpha=1 / (1 << (bits - 8))))
