"""Making pictures smaller: planes, alike for what a detector sees and for what covers a face, and whole frames."""

from typing import cast

import av
import cv2
from av.video.reformatter import Interpolation

from farm.media.planes import Plane


def scaled(plane: Plane, width: int, height: int, interpolation: int) -> Plane:
    """``plane`` (rows x columns, 8 or 16 bits) at another size, by one of OpenCV's interpolations."""
    return cast("Plane", cv2.resize(plane, (width, height), interpolation=interpolation))


def shrunk(plane: Plane, width: int, height: int) -> Plane:
    """``plane`` (rows x columns, 8 or 16 bits) at another size: halved by averaging while possible, then bilinear.

    As free of aliasing as an average over areas and eight times as fast: OpenCV has a vectorised path for 2 x 2.
    """
    while plane.shape[1] >= 2 * width and plane.shape[0] >= 2 * height:
        rows, columns = plane.shape[0] // 2, plane.shape[1] // 2
        plane = scaled(plane[: 2 * rows, : 2 * columns], columns, rows, cv2.INTER_AREA)
    if plane.shape != (height, width):
        plane = scaled(plane, width, height, cv2.INTER_LINEAR)
    return plane


def resized(frame: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
    """``frame`` at another size (itself, where it has that size), by FFmpeg's bicubic filter.

    Pixel format, alpha, colours, times and side data stay as they were.
    """
    if (frame.width, frame.height) == (width, height):
        return frame
    smooth = Interpolation.BICUBIC | Interpolation.ACCURATE_RND
    smaller = frame.reformat(width, height, interpolation=smooth, threads=1)
    # PyAV takes the frame's matrix for one of libswscale's numbers and gives 5 (BT.470 BG) back as 6 (equal weights)
    smaller.colorspace = frame.colorspace
    return smaller


def use_one_thread() -> None:
    """Let OpenCV use one thread in this process: planes are small, and the steps of a stage run side by side anyway."""
    cv2.setNumThreads(1)
