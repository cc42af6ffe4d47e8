"""A decoded frame's planes as arrays: planar and packed, 8 to 16 bits per sample, YUV, grey and RGB.

Also what the samples mean: their range, the values of black, and the matrix where the video names none.
"""

import ctypes
from typing import Any

import av
import numpy as np
from av.video.plane import VideoPlane
from numpy.typing import NDArray

from farm.domain.manifest import VideoStream
from farm.domain.pixels import PixelFormat, pixel_format
from farm.domain.pixels import is_full_range as pixels_are_full
from farm.errors import SourceError

#: Rows x columns: uint8, or uint16 where a sample has more than 8 bits.
Plane = NDArray[np.unsignedinteger[Any]]

#: Black luma in limited range, of 255.
LIMITED_BLACK = 16
#: H.273 matrix coefficients: of RGB, unspecified, BT.709, and BT.601 as SMPTE 170M names it.
_RGB, _BT709, _UNSPECIFIED, _BT601 = 0, 1, 2, 6
#: The order in which the planes of RGB are returned, that of FFmpeg's planar formats: the one nearest to luma first.
_COLOURS = "gbra"


def format_of(pix_fmt: str) -> PixelFormat:
    """The description of FFmpeg's pixel format ``pix_fmt``. Raises SourceError if its samples cannot be painted on."""
    known = pixel_format(pix_fmt)
    if known is None:
        hint = "convert the video to a planar YUV or an RGB format first, such as yuv420p or gbrp"
        raise SourceError(f"pixel format {pix_fmt} cannot be redacted", hint=hint)
    return known


def lines_of(plane: VideoPlane, kind: type[np.unsignedinteger[Any]]) -> Plane:
    """A view of all lines of a plane from top to bottom, with their padding: rows x samples of type ``kind``.

    Valid while the frame lives. Raw RGB in AVI files may be stored bottom-up. PyAV's buffer then begins at the top
    line, which is the last one in memory, and extends in the wrong direction.
    """
    stride, height = plane.line_size, plane.height
    if stride < 0:
        lowest = plane.buffer_ptr + stride * (height - 1)
        memory = (ctypes.c_uint8 * (-stride * height)).from_address(lowest)
        bottom_up: Plane = np.frombuffer(memory, kind)  # type: ignore[call-overload]  # ctypes arrays are buffers
        return bottom_up.reshape(height, -1)[::-1]
    # uint16 is little-endian on every machine that the farm runs on
    whole: Plane = np.frombuffer(plane, kind)  # type: ignore[call-overload]  # a plane is a buffer
    step = stride // whole.itemsize
    return whole[: step * height].reshape(height, step)


def planes_of(frame: av.VideoFrame, *, alpha: bool = False) -> tuple[Plane, ...]:
    """Views (no copies) of Y, Cb and Cr, of grey, or of green, blue and red; with ``alpha`` also of alpha, if any.

    They are valid while ``frame`` lives and is not made writable; writing to them writes to the frame. The components
    of packed RGB are strided views. Raises SourceError for an unknown pixel format.
    """
    pixels = format_of(frame.format.name)
    if pixels.samples:
        rows = lines_of(frame.planes[0], np.uint8)
        samples = rows[:, : frame.width * len(pixels.samples)].reshape(frame.height, frame.width, -1)
        wanted = [name for name in _COLOURS[: 4 if alpha else 3] if name in pixels.samples]
        return tuple(samples[:, :, pixels.samples.index(name)] for name in wanted)
    kind = np.uint8 if pixels.bits == 8 else np.uint16
    count = (1 if pixels.family == "gray" else 3) + (alpha and pixels.alpha)
    return tuple(lines_of(plane, kind)[:, : plane.width] for plane in frame.planes[:count])


def top_down(frame: av.VideoFrame) -> av.VideoFrame:
    """The frame with its lines stored from top to bottom: the frame itself, or a copy if it is stored bottom-up.

    Encoders accept both orders; code that reads a frame through PyAV's buffers needs this one.
    """
    if frame.planes[0].line_size >= 0:
        return frame
    copy = av.VideoFrame(frame.width, frame.height, frame.format.name)
    for source, target in zip(frame.planes, copy.planes, strict=True):
        lines, room = lines_of(source, np.uint8), lines_of(target, np.uint8)
        width = min(lines.shape[1], room.shape[1])
        room[:, :width] = lines[:, :width]
    copy.pts, copy.time_base = frame.pts, frame.time_base
    copy.color_range, copy.colorspace = frame.color_range, frame.colorspace
    copy.color_primaries, copy.color_trc = frame.color_primaries, frame.color_trc
    return copy


def is_full_range(frame: av.VideoFrame) -> bool:
    """Whether the samples use their full range; YUV and grey that are not marked so use 16 to 235 (of 255)."""
    pixels = format_of(frame.format.name)
    return pixels.family == "rgb" or pixels_are_full(frame.format.name, int(frame.color_range))


def matrix_of(color_space: int, height: int) -> int:
    """The matrix coefficients (H.273) of YUV in a picture of ``height`` lines whose header says ``color_space``.

    Where it names none, BT.709 from 720 lines up and BT.601 below, as players assume.
    """
    if color_space not in (_UNSPECIFIED, _RGB):
        return color_space
    return _BT709 if height >= 720 else _BT601


def groups_of(frame: av.VideoFrame) -> list[tuple[tuple[Plane, ...], tuple[int, int], int]]:
    """The planes without alpha, grouped: planes, luma samples (across, down) per sample, and the value of black."""
    pixels = format_of(frame.format.name)
    planes = planes_of(frame)
    black = 0 if is_full_range(frame) else LIMITED_BLACK << (pixels.bits - 8)
    if pixels.family != "yuv":
        return [(planes, (1, 1), black)]
    return [(planes[:1], (1, 1), black), (planes[1:], (pixels.across, pixels.down), pixels.neutral)]


def black_out(frame: av.VideoFrame) -> None:
    """Make all of ``frame`` black, in its own depth and range; alpha stays. Raises SourceError as :func:`format_of`."""
    format_of(frame.format.name)
    frame.make_writable()
    for planes, _, black in groups_of(frame):
        for plane in planes:
            plane[...] = black


def black_frame(video: VideoStream, pts: int) -> av.VideoFrame:
    """A black, opaque frame at ``pts`` with the size, format and range of ``video``."""
    pixels = format_of(video.pix_fmt)
    frame = av.VideoFrame(video.width, video.height, video.pix_fmt)
    frame.pts, frame.time_base, frame.color_range = pts, video.time_base, video.color_range
    for plane in frame.planes:  # a new frame's memory is not initialised
        lines_of(plane, np.uint8)[...] = 0
    black_out(frame)
    if pixels.alpha:
        planes_of(frame, alpha=True)[-1][...] = (1 << pixels.bits) - 1
    return frame
