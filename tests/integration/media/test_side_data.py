"""Side data of frames: every type that FFmpeg has, and types that it does not have yet."""

import ctypes
import os
import struct
from fractions import Fraction
from pathlib import Path

import av
import pytest

from farm.media.reading.picture import picture_of
from farm.media.reading.probe import probe_source
from farm.media.reading.side_data import Kind, side_data_of
from tests.integration.trips import ffmpeg, start
from tests.side_data import libavutil, with_side_data

SAMPLES = Path(os.environ.get("FARM_TEST_DATA", "../shared/data")) / "videos/wild"
#: More than FFmpeg has today.
NUMBERS = range(64)
_PLACE = b"27 deg 5' N, 86 deg 5' W"


@pytest.mark.parametrize("number", NUMBERS)
def test_every_type_is_read(number: int) -> None:
    content = bytes(range(1, 201))
    frame = with_side_data(number, content)
    assert side_data_of(frame) == {number: content}
    assert picture_of([frame], 0).fields == "progressive"


def test_the_numbers_are_ffmpegs() -> None:
    name = libavutil().av_frame_side_data_name
    name.restype = ctypes.c_char_p
    known = [number for number in NUMBERS if name(number)]
    assert set(Kind) <= set(known)
    assert len(known) < len(NUMBERS)  # types that FFmpeg does not have yet are among them
    words = {
        Kind.DISPLAY_MATRIX: b"3x3 displaymatrix", Kind.MASTERING_DISPLAY: b"Mastering display metadata",
        Kind.DOLBY_VISION: b"Dolby Vision Metadata", Kind.VIEW_ID: b"View ID", Kind.EXIF: b"EXIF metadata",
    }  # fmt: skip
    assert {kind: name(kind) for kind in words} == words


def _exif(orientation: int) -> bytes:
    """An EXIF segment with an orientation and a description that names a place."""
    at = 8 + 2 + 2 * 12 + 4
    tags = struct.pack("<HHII", 0x10E, 2, len(_PLACE) + 1, at) + struct.pack("<HHII", 0x112, 3, 1, orientation)
    tiff = b"II*\0" + struct.pack("<IH", 8, 2) + tags + bytes(4) + _PLACE + b"\0"
    return b"\xff\xe1" + struct.pack(">H", len(tiff) + 8) + b"Exif\0\0" + tiff


def _motion_jpeg(path: Path, orientation: int) -> Path:
    """Five JPEG files with EXIF, one after the other."""
    context = av.CodecContext.create("mjpeg", "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt, context.time_base = 64, 48, "yuvj420p", Fraction(1, 25)
    frame = av.VideoFrame(64, 48, "yuvj420p")
    for plane in frame.planes:
        plane.update(bytes(range(256)) * (plane.buffer_size // 256) + bytes(plane.buffer_size % 256))
    frame.pts = 0
    picture = b"".join(bytes(packet) for packet in (*context.encode(frame), *context.encode(None)))
    path.write_bytes((picture[:2] + _exif(orientation) + picture[2:]) * 5)
    return path


@pytest.mark.parametrize(("orientation", "upright"), [(1, 1), (6, 6)])
def test_exif_in_motion_jpeg_turns_the_picture_and_is_left_out(tmp_path: Path, orientation: int, upright: int) -> None:
    source = tmp_path / "camera.avi"
    ffmpeg(_motion_jpeg(tmp_path / "camera.mjpeg", orientation), source)
    trip = start(source, tmp_path)
    assert trip.manifest.source.video.orientation == upright
    assert any(note.startswith("EXIF metadata in the frames was left out") for note in trip.manifest.notes)
    trip.compose()
    assert trip.verify() == 5
    assert _PLACE in source.read_bytes()
    assert _PLACE not in trip.out.read_bytes()
    assert b"Exif" not in trip.out.read_bytes()


@pytest.mark.parametrize(
    ("name", "note"),
    [("mvhevc_multiview.mp4", "the second view (spatial video, MV-HEVC) was left out"), ("mjpeg_exif.avi", "EXIF")],
)
def test_samples_that_cameras_wrote(name: str, note: str) -> None:
    if not SAMPLES.is_dir():
        pytest.skip("FARM_TEST_DATA is not there")
    assert any(note in said for said in probe_source(SAMPLES / name).notes)
