"""Properties of a video that only its decoded frames tell: orientation, fields, colours, mastering display."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import av.error
from av.filter import Graph
from av.video.frame import VideoFrame

from farm.domain.manifest import Mastering
from farm.domain.orientation import Matrix
from farm.domain.pixels import is_full_range
from farm.media.reading.side_data import Kind, side_data_of

#: AVFieldOrder. What FFmpeg's muxers and decoders write for "top field first" is 2 or 4 (TT, TB), else 3 or 5.
_INTERLACED = {2: "tff", 3: "bff", 4: "tff", 5: "bff"}
_LOST = {
    Kind.DOLBY_VISION: "Dolby Vision metadata was left out: the output is the picture that other displays show",
    Kind.HDR10_PLUS: "HDR10+ metadata was left out: the output has one HDR setting for all scenes",
    Kind.HDR_VIVID: "HDR Vivid metadata was left out: the output has one HDR setting for all scenes",
    Kind.AMBIENT_LIGHT: "metadata on the light around the viewer was left out",
    Kind.ICC_PROFILE: "the ICC colour profile was left out: players may show slightly different colours",
    Kind.SPHERICAL: "360 degree metadata was left out: players show the flat picture",
    Kind.LCEVC: "the LCEVC enhancement was left out: the output is the base picture",
    Kind.VIEW_ID: "the second view (spatial video, MV-HEVC) was left out: the output is flat",
    Kind.EXIF: "EXIF metadata in the frames was left out (it may hold places and thumbnails); the orientation was kept",
}


@dataclass(frozen=True, slots=True)
class Picture:
    """Fields of :class:`farm.domain.manifest.VideoStream`, and ``notes`` for the user."""

    matrix: Matrix | None
    fields: str
    mastering: Mastering | None
    light: tuple[int, int] | None
    notes: tuple[str, ...]


def picture_of(frames: Sequence[VideoFrame], field_order: int) -> Picture:
    """Read the properties of the first ``frames``. ``field_order``: the stream's, used if the decoder reports none."""
    sides = side_data_of(frames[0])
    kinds = {kind for frame in frames for kind in side_data_of(frame)}
    return Picture(
        _matrix(sides.get(Kind.DISPLAY_MATRIX)),
        _fields(frames, field_order),
        _mastering(sides.get(Kind.MASTERING_DISPLAY)),
        _light(sides.get(Kind.CONTENT_LIGHT)),
        tuple(note for kind, note in _LOST.items() if kind in kinds),
    )


def frame_properties(frame: VideoFrame) -> dict[str, object]:
    """A decoded frame's own display properties by name: range, primaries, transfer, matrix (H.273), interlaced."""
    return {
        "colour range": is_full_range(frame.format.name, int(frame.color_range)),
        "colour primaries": int(frame.color_primaries),
        "colour transfer": int(frame.color_trc),
        "colour matrix": int(frame.colorspace),
        "fields": bool(frame.interlaced_frame),
    }


def _matrix(side: bytes | None) -> Matrix | None:
    """Nine native 32-bit numbers, row by row; a singular matrix is ignored, as players do."""
    if side is None or len(side) < 36:
        return None
    matrix = struct.unpack("=9i", side[:36])
    a, b, _, c, d = matrix[:5]
    return matrix if a * d - b * c else None


def _fields(frames: Sequence[VideoFrame], field_order: int) -> str:
    """Interlaced if the stream or any frame is: progressive frames lose nothing by it."""
    flagged = [frame for frame in frames if frame.interlaced_frame]
    if flagged:
        top = sum(_top_first(frame, field_order) for frame in flagged)
        return "tff" if 2 * top >= len(flagged) else "bff"
    return _INTERLACED.get(field_order, "progressive")


def _top_first(frame: VideoFrame, field_order: int) -> bool:
    """Whether the top field is first in time. PyAV does not expose that flag, but FFmpeg's select filter reads it."""
    try:
        graph = Graph()
        source = graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
        )
        select, sink = graph.add("select", r"eq(interlace_type\,TOPFIRST)"), graph.add("buffersink")
        source.link_to(select)
        select.link_to(sink)
        graph.configure()
        graph.push(frame)
    except (av.error.FFmpegError, ValueError):
        return _INTERLACED.get(field_order, "tff") == "tff"
    try:
        graph.pull()
    except av.error.FFmpegError:  # the filter dropped the frame
        return False
    return True


def _mastering(side: bytes | None) -> Mastering | None:
    """AVMasteringDisplayMetadata: fractions of primaries (red, green, blue), white, luminance, and two flags."""
    if side is None or len(side) < 88:
        return None
    *numbers, has_primaries, has_luminance = struct.unpack("=22i", side[:88])
    parts = [(num, den or 1) for num, den in zip(numbers[::2], numbers[1::2], strict=True)]
    xy = [round(num * 50_000 / den) for num, den in parts[:8]]
    least, greatest = (round(num * 10_000 / den) for num, den in parts[8:])
    if not (has_primaries or has_luminance):
        return None
    return Mastering(
        (xy[0], xy[1], xy[2], xy[3], xy[4], xy[5]) if has_primaries else None,
        (xy[6], xy[7]) if has_primaries else None,
        (greatest, least) if has_luminance else None,
    )


def _light(side: bytes | None) -> tuple[int, int] | None:
    if side is None or len(side) < 8:
        return None
    most, average = struct.unpack("=2I", side[:8])
    return (most, average) if most or average else None
