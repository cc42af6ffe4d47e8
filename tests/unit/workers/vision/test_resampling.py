"""Whole frames made smaller: nothing but the size changes."""

from fractions import Fraction

import av
import numpy as np
import pytest

from farm.media.planes import planes_of
from workers.vision.resampling import resized

FLAT = (60, 100, 180)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuvj420p", "yuv422p10le", "yuva420p", "gray10le", "gbrp10le", "bgra"])
@pytest.mark.parametrize("matrix", [0, 1, 2, 5, 6, 9])
@pytest.mark.parametrize("colour_range", [0, 1, 2])
def test_all_but_the_size_stays(pix_fmt: str, matrix: int, colour_range: int) -> None:
    frame = av.VideoFrame(64, 48, pix_fmt)
    frame.pts, frame.time_base = 12345, Fraction(1, 90000)
    frame.colorspace, frame.color_range, frame.color_primaries, frame.color_trc = matrix, colour_range, 9, 16
    for plane, value in zip(frame.planes, (60, 100, 180, 33), strict=False):
        plane.update(bytes([value]) * plane.buffer_size)
    for view, value in zip(planes_of(frame), FLAT, strict=False):
        view[...] = value
    small = resized(frame, 32, 24)
    assert (small.width, small.height, small.format.name) == (32, 24, pix_fmt)
    for name in ("pts", "time_base", "colorspace", "color_range", "color_primaries", "color_trc"):
        assert getattr(small, name) == getattr(frame, name), name
    for view, value in zip(planes_of(small), FLAT, strict=False):
        assert (view == value).all()
    if pix_fmt == "yuva420p":
        alpha = np.frombuffer(small.planes[3], np.uint8)  # type: ignore[call-overload]
        assert (alpha[:32] == 33).all()


def test_a_frame_of_the_size_is_not_copied() -> None:
    frame = av.VideoFrame(64, 48, "yuv420p")
    assert resized(frame, 64, 48) is frame
