"""A plane of a decoded frame as an array."""

import ctypes
from typing import Any

import numpy as np
from av.video.plane import VideoPlane
from numpy.typing import NDArray

Lines = NDArray[np.unsignedinteger[Any]]


def lines_of(plane: VideoPlane, kind: type[np.unsignedinteger[Any]]) -> Lines:
    """A view of a plane's lines in full, with their padding, from the first to the last: rows x samples of ``kind``.

    Valid while the frame lives. Raw RGB in AVI files may lie from the last line to the first: PyAV's buffer begins at
    the first line then, and goes the wrong way from there.
    """
    stride, height = plane.line_size, plane.height
    if stride < 0:
        lowest = plane.buffer_ptr + stride * (height - 1)
        memory = (ctypes.c_uint8 * (-stride * height)).from_address(lowest)
        turned: Lines = np.frombuffer(memory, kind)  # type: ignore[call-overload]  # ctypes arrays are buffers
        return turned.reshape(height, -1)[::-1]
    # uint16 is little-endian on every machine that the farm runs on
    whole: Lines = np.frombuffer(plane, kind)  # type: ignore[call-overload]  # a plane is a buffer
    step = stride // whole.itemsize
    return whole[: step * height].reshape(height, step)
