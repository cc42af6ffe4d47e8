"""Drawn frames of any codec's source, and the segments they are encoded into, for the tests of encoders and joining."""

import struct
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from farm.domain.encoding import EncoderSettings
from farm.domain.manifest import Mastering, VideoStream
from farm.domain.options import RedactOptions
from farm.media.encoding.encode import SegmentWriter
from tests.planned import settings_of

P3 = Mastering((34000, 16000, 13250, 34500, 7500, 3000), (15635, 16450), (10_000_000, 50))
FIRST = 90_000 * 3600
TICKS = (Fraction(1, 90_000), Fraction(1, 1000), Fraction(1001, 24_000))
#: Ticks finer than most containers count.
FINE = (Fraction(1, 10**9), Fraction(1, 2**31 - 1), Fraction(7, 1_000_003))
#: One kind of picture of each family.
FAMILIES = [
    ("h264", "yuv420p"),
    ("h264", "yuvj420p"),
    ("h264", "yuv422p10le"),
    ("hevc", "yuv420p"),
    ("av1", "yuv420p"),
    ("vp8", "yuv420p"),
    ("vp9", "yuv420p"),
    ("mpeg1video", "yuv420p"),
    ("mpeg2video", "yuv422p"),
    ("mpeg4", "yuv420p"),
    ("prores", "yuv422p10le"),
    ("ffv1", "yuv420p"),
    ("ffv1", "yuvj420p"),
    ("ffv1", "yuv422p10le"),
    ("mjpeg", "yuvj420p"),
]


def video(codec: str, pix_fmt: str, time_base: Fraction = TICKS[0], **changed: Any) -> VideoStream:
    plain = VideoStream(
        index=0,
        codec=codec,
        width=64,
        height=48,
        pix_fmt=pix_fmt,
        time_base=time_base,
        average_rate=Fraction(30_000, 1001),
        sample_aspect=None,
        color_range=2 if pix_fmt.startswith("yuvj") else 1,
        color_primaries=2,
        color_transfer=2,
        color_space=0 if pix_fmt.startswith(("gbr", "rgb", "bgr")) else 5,
    )
    return replace(plain, **changed)


def level(pix_fmt: str, number: int, plane: int) -> int:
    """The value of all samples of a plane, such that every frame and plane has its own."""
    return (64 + 5 * number + 7 * plane) + (256 if pix_fmt.endswith("le") else 0)


def frame(source: VideoStream, number: int, pts: int) -> av.VideoFrame:
    made = av.VideoFrame(source.width, source.height, source.pix_fmt)
    for place, plane in enumerate(made.planes):
        value = level(source.pix_fmt, number, place)
        sample = struct.pack("<H", value) if source.pix_fmt.endswith("le") else bytes([value])
        plane.update(sample * (plane.buffer_size // len(sample)))
    made.pts, made.time_base = pts, source.time_base
    return made


def times(source: VideoStream, count: int, first: int = FIRST) -> list[int]:
    """A variable frame rate where ticks are fine enough for one."""
    step = int(Fraction(1, 30) / source.time_base)
    return [first + i * max(step, 1) + (i * i % 7 if step > 7 else 0) for i in range(count)]


def settings_for(source: VideoStream, **asked: Any) -> EncoderSettings:
    return settings_of(source, RedactOptions(**{"preset": "ultrafast", "crf": 12, **asked}))


def write(path: Path, source: VideoStream, settings: EncoderSettings, pts: Iterable[int], threads: int = 1) -> Path:
    with SegmentWriter(path, settings, threads) as writer:
        for number, value in enumerate(pts):
            shown = frame(source, number, value)
            writer.write(shown)
            assert (shown.pts, shown.time_base) == (value, source.time_base)  # the caller's frame keeps its time
    return path
