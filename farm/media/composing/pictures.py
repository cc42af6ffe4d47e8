"""Writes redacted frames as picture files: PNG or JPEG, upright, named by index and pts."""

import csv
import io
import zipfile
from array import array
from collections.abc import Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from farm.domain.manifest import Manifest, VideoStream
from farm.domain.pixels import pixel_format
from farm.errors import VerificationError
from farm.media.composing.decode_times import ChunkPts
from farm.media.composing.remux import open_segment
from farm.media.failing import reading, writing
from farm.media.planes import matrix_of
from farm.media.progress import Progress, no_progress

#: The name of the list of pictures in the archive.
LIST = "frames.csv"
_SUFFIXES = {"png": "png", "jpeg": "jpg"}
Rgb = NDArray[np.uint8] | NDArray[np.uint16]
_FULL, _LIMITED = 2, 1
_TICK = Fraction(1)
_JPEG_QUALITY = "2"  # FFmpeg's scale, 2 (best) to 31


def picture_name(index: int, pts: int, kind: str) -> str:
    """The file name of a frame: its index among those written, from 0, and its pts in the source's ticks."""
    return f"{index:06d}_pts{pts}.{_SUFFIXES[kind]}"


def write_pictures(
    manifest: Manifest,
    chunk_pts: ChunkPts,
    segments: Sequence[Path],
    kind: str,
    out: Path,
    progress: Progress = no_progress,
) -> int:
    """Write all frames of lossless segments into the archive ``out`` (zip, stored) and return their number.

    ``kind``: ``png`` (16 bits per sample if the source has more than 8) or ``jpeg``. The pictures are converted to RGB
    with the video's own matrix and range, and rotated as its display matrix says; transfer and primaries are the
    source's. The archive also holds ``frames.csv``: name, index, pts, seconds. Raises VerificationError for a segment
    that does not hold the planned frames, StorageError if the disk is full, and whatever ``progress`` raises.
    """
    video = manifest.source.video
    with writing(out), zipfile.ZipFile(out, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        table = io.StringIO()
        rows = csv.writer(table)
        rows.writerow(("name", "index", "pts", "seconds"))
        index = 0
        for chunk, segment in zip(manifest.chunks, segments, strict=True):
            for pts, frame in _frames(segment, chunk_pts(chunk)):
                name = picture_name(index, pts, kind)
                archive.writestr(name, _encoded(_upright(_rgb(frame, video), video.orientation), kind))
                rows.writerow((name, index, pts, f"{float(pts * video.time_base):.6f}"))
                index += 1
                progress(index)
        archive.writestr(LIST, table.getvalue())
    return index


def check_pictures(path: Path, frames: int, progress: Progress = no_progress) -> None:
    """Raise VerificationError unless an archive holds ``frames`` pictures that can all be decoded."""
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name != LIST]
        if len(names) != frames:
            raise VerificationError(f"{path}: holds {len(names)} pictures, {frames} were planned")
        for done, name in enumerate(names, start=1):
            with (
                reading(path, VerificationError, f"{name} cannot be decoded"),
                av.open(archive.open(name), "r") as picture,
            ):
                next(picture.decode(video=0))
            progress(done)


def _frames(segment: Path, pts: "array[int]") -> Iterator[tuple[int, VideoFrame]]:
    with (
        reading(segment, VerificationError, "this segment cannot be decoded", "it will be made again"),
        closing(open_segment(segment)) as container,
    ):
        number = 0
        for number, frame in enumerate(container.decode(video=0), start=1):
            if number > len(pts) or frame.pts != number - 1:
                raise VerificationError(f"{segment}: frame {number - 1} is not where it was planned")
            yield pts[number - 1], frame
    if number != len(pts):
        raise VerificationError(f"{segment}: holds {number} frames, {len(pts)} were planned")


def _rgb(frame: VideoFrame, video: VideoStream) -> Rgb:
    """The frame as RGB rows: uint8, or uint16 if the source has more than 8 bits."""
    pixels = pixel_format(video.pix_fmt)
    deep = pixels is not None and pixels.bits > 8
    rows = frame.to_ndarray(
        format="rgb48le" if deep else "rgb24",
        src_colorspace=matrix_of(video.color_space, video.height),
        src_color_range=_FULL if video.full_range else _LIMITED,
        dst_color_range=_FULL,
    )
    return cast("Rgb", rows)


def _upright(rgb: Rgb, orientation: int) -> Rgb:
    """The picture rotated and mirrored for display (EXIF orientations)."""
    across, down = (-1 if orientation in o else 1 for o in ((2, 3, 6, 7), (3, 4, 7, 8)))
    shown = rgb.transpose(1, 0, 2) if orientation >= 5 else rgb
    return cast("Rgb", np.ascontiguousarray(shown[::down, ::across]))


def _encoded(rgb: Rgb, kind: str) -> bytes:
    """Encode a picture file."""
    deep = rgb.dtype == np.uint16
    frame = VideoFrame.from_ndarray(rgb, format="rgb48le" if deep else "rgb24")
    frame = frame.reformat(
        format=("rgb48be" if deep else "rgb24") if kind == "png" else "yuvj444p", dst_color_range=_FULL
    )
    context = av.CodecContext.create("png" if kind == "png" else "mjpeg", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = frame.width, frame.height, frame.format.name
    context.time_base = _TICK
    if kind == "jpeg":
        context.options = {"qmin": _JPEG_QUALITY, "qmax": _JPEG_QUALITY}
    frame.pts, frame.time_base = 0, _TICK
    return b"".join(bytes(packet) for packet in (*context.encode(frame), *context.encode(None)))
