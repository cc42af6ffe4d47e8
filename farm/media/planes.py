"""A decoded frame's planes as arrays: planar and packed, 8 to 16 bits a sample, YUV, grey and RGB, alpha left out."""

from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from farm.domain.pixels import PixelFormat, pixel_format
from farm.domain.pixels import is_full_range as pixels_are_full
from farm.errors import SourceError
from farm.media.lines import lines_of

#: Rows x columns: uint8, or uint16 where a sample has more than 8 bits.
Plane = NDArray[np.unsignedinteger[Any]]

_LIMITED_BLACK = 16
#: In which order the planes of RGB are given: as FFmpeg's planar formats lie, the one that is most like luma first.
_COLOURS = "gbr"


def format_of(pix_fmt: str) -> PixelFormat:
    """What FFmpeg's pixel format ``pix_fmt`` is. Raises SourceError for one whose samples cannot be painted on."""
    known = pixel_format(pix_fmt)
    if known is None:
        hint = "convert the video to a planar YUV or an RGB format first, such as yuv420p or gbrp"
        raise SourceError(f"pixel format {pix_fmt} cannot be redacted", hint=hint)
    return known


def planes_of(frame: av.VideoFrame) -> tuple[Plane, ...]:
    """Views (no copies) of luma and, unless grey, the two chroma planes; of RGB green, blue and red. No alpha.

    They are valid as long as ``frame`` lives and is not made writable; writing to them writes to the frame. The
    colours of packed RGB are views with gaps. Raises SourceError for an unknown pixel format.
    """
    pixels = format_of(frame.format.name)
    if pixels.samples:
        rows = lines_of(frame.planes[0], np.uint8)
        samples = rows[:, : frame.width * len(pixels.samples)].reshape(frame.height, frame.width, -1)
        return tuple(samples[:, :, pixels.samples.index(colour)] for colour in _COLOURS)
    kind = np.uint8 if pixels.bits == 8 else np.uint16
    shown = frame.planes[:1] if pixels.family == "gray" else frame.planes[:3]
    return tuple(lines_of(plane, kind)[:, : plane.width] for plane in shown)


def from_above(frame: av.VideoFrame) -> av.VideoFrame:
    """The frame with its lines from the first to the last: itself, or a copy where they lie the other way round.

    Encoders take both; what reads a frame through PyAV's buffers takes the first only.
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
    """Whether the frame's samples use all their values; unmarked YUV and grey go from 16 to 235 (of 8 bits)."""
    pixels = format_of(frame.format.name)
    return pixels.family == "rgb" or pixels_are_full(frame.format.name, int(frame.color_range))


def groups_of(frame: av.VideoFrame) -> list[tuple[tuple[Plane, ...], tuple[int, int], int]]:
    """The planes that are alike: with the pixels (across, down) that a sample covers, and their value for black."""
    pixels = format_of(frame.format.name)
    planes = planes_of(frame)
    black = 0 if is_full_range(frame) else _LIMITED_BLACK << (pixels.bits - 8)
    if pixels.family != "yuv":
        return [(planes, (1, 1), black)]
    return [(planes[:1], (1, 1), black), (planes[1:], (pixels.across, pixels.down), pixels.neutral)]
