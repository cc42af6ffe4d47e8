"""A decoded frame's planes as arrays. Only 8-bit planar YUV and grey: everything else is refused where it is met."""

from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray

from farm.errors import SourceError

Plane = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Layout:
    """How many luma samples one chroma sample covers, across and down; ``chroma`` False for grey."""

    across: int
    down: int
    chroma: bool = True


LAYOUTS = {
    "yuv420p": Layout(2, 2),
    "yuv422p": Layout(2, 1),
    "yuv444p": Layout(1, 1),
    "yuv440p": Layout(1, 2),
    "yuv411p": Layout(4, 1),
    "yuvj420p": Layout(2, 2),
    "yuvj422p": Layout(2, 1),
    "yuvj444p": Layout(1, 1),
    "yuvj440p": Layout(1, 2),
    "yuvj411p": Layout(4, 1),
    "gray": Layout(1, 1, chroma=False),
}

_FULL_RANGE = 2  # AVCOL_RANGE_JPEG


def layout_of(pix_fmt: str) -> Layout:
    """The layout of a pixel format. Raises SourceError for one whose planes cannot be painted yet."""
    if pix_fmt not in LAYOUTS:
        raise SourceError(f"pixel format {pix_fmt} cannot be redacted", hint="8-bit planar YUV can: yuv420p, yuv444p")
    return LAYOUTS[pix_fmt]


def planes_of(frame: av.VideoFrame) -> tuple[Plane, ...]:
    """Views (no copies) of the luma plane and, unless grey, the two chroma planes: uint8, rows x columns.

    They are valid as long as ``frame`` lives and is not made writable; writing to them writes to the frame.
    """
    layout_of(frame.format.name)
    views = []
    for plane in frame.planes:
        stride = plane.line_size
        whole = np.frombuffer(plane, np.uint8)  # type: ignore[call-overload]  # a plane is a buffer
        views.append(whole[: stride * plane.height].reshape(plane.height, stride)[:, : plane.width])
    return tuple(views)


def is_full_range(frame: av.VideoFrame) -> bool:
    """Whether the frame's luma goes from 0 to 255; unmarked YUV goes from 16 to 235."""
    return frame.format.name.startswith("yuvj") or frame.color_range == _FULL_RANGE
