"""Pictures laid over frames look as they are, in every kind of frame; what is transparent shows the frame."""

from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from farm.domain.geometry import Box
from farm.domain.manifest import VideoStream
from farm.domain.orientation import Matrix
from farm.media.planes import format_of, planes_of
from workers.vision.laying import Layer, Stamp, coded_layer, fitted, lay

SIZE = 96, 64
#: Blue, green, red.
COLOURS = ((0, 0, 255), (30, 200, 40), (250, 120, 10), (255, 255, 255), (0, 0, 0))
ROTATED: Matrix = (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)


def video(pix_fmt: str = "yuv420p", **more: object) -> VideoStream:
    made: dict[str, object] = {
        "index": 0, "codec": "h264", "width": SIZE[0], "height": SIZE[1], "pix_fmt": pix_fmt,
        "time_base": Fraction(1, 25), "average_rate": None, "sample_aspect": None, "color_range": 1,
        "color_primaries": 2, "color_transfer": 2, "color_space": 2,
    }  # fmt: skip
    return VideoStream(**(made | more))  # type: ignore[arg-type]  # a test's shorthand


def flat(colour: tuple[int, int, int], alpha: int = 255, size: tuple[int, int] = (40, 30)) -> Layer:
    return coded_layer(np.full((size[1], size[0], 4), (*colour, alpha), np.uint8), video())


def grey(pix_fmt: str, colour_range: ColorRange = ColorRange.MPEG, space: int = 2) -> av.VideoFrame:
    frame = av.VideoFrame(*SIZE, pix_fmt)
    layout = format_of(pix_fmt)
    for plane in planes_of(frame):
        plane[...] = 100 << (layout.bits - 8)
    frame.color_range, frame.colorspace = colour_range, space
    return frame


def shown(frame: av.VideoFrame) -> NDArray[np.int64]:
    return np.asarray(frame.to_ndarray(format="bgr24"), np.int64)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "yuv444p12le", "gbrp", "gbrp10le", "bgra", "yuvj420p"])
@pytest.mark.parametrize("fields", [False, True])
def test_colours_are_those_of_the_picture(pix_fmt: str, fields: bool) -> None:
    for colour in COLOURS:
        for space in (Colorspace.ITU601, Colorspace.ITU709):
            frame = grey(pix_fmt, ColorRange.JPEG if "j" in pix_fmt else ColorRange.MPEG, space)
            before = [plane.copy() for plane in planes_of(frame)]
            lay(frame, [Stamp(flat(colour), 20, 12)], fields=fields)
            assert np.abs(shown(frame)[14:40, 22:58] - colour).max() <= 4
            for old, new in zip(before, planes_of(frame), strict=True):
                down, across = SIZE[1] // old.shape[0], SIZE[0] // old.shape[1]
                same = old == new
                assert same[: 12 // down].all()
                assert same[-(-42 // down) + (2 if fields else 0) :].all()
                assert same[:, : 20 // across].all()
                assert same[:, 60 // across + 1 :].all()


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("pix_fmt", ["gray", "gray10le"])
def test_grey_frames_show_the_brightness(pix_fmt: str, full: bool) -> None:
    frame = grey(pix_fmt, ColorRange.JPEG if full else ColorRange.MPEG)
    lay(frame, [Stamp(flat((255, 255, 255)), 0, 0)])
    white = (1 << format_of(pix_fmt).bits) - 1 if full else 235 << (format_of(pix_fmt).bits - 8)
    assert (planes_of(frame)[0][:30, :40] == white).all()


def test_what_is_transparent_shows_the_frame() -> None:
    frame = grey("yuv444p")
    before = shown(frame)
    lay(frame, [Stamp(flat((0, 0, 255), 0), 10, 10)])
    assert (shown(frame) == before).all()
    lay(frame, [Stamp(flat((0, 0, 255), 128), 10, 10)])
    half = (before[15, 15] + (0, 0, 255)) / 2
    assert np.abs(shown(frame)[15, 15] - half).max() <= 4
    assert (shown(frame)[45, 15] == before[45, 15]).all()


@settings(deadline=None, max_examples=60)
@given(
    st.integers(-50, 110), st.integers(-50, 80), st.integers(1, 60), st.integers(1, 60),
    st.sampled_from(["yuv420p", "yuv410p", "yuv422p10le", "gray"]), st.booleans(),
    st.sampled_from([(96, 64), (95, 63), (1, 1)]),
)  # fmt: skip
def test_a_stamp_anywhere_changes_nothing_but_what_it_lies_on(
    x: int, y: int, wide: int, high: int, pix_fmt: str, fields: bool, size: tuple[int, int]
) -> None:
    frame = av.VideoFrame(*size, pix_fmt)
    for plane in planes_of(frame):
        plane[...] = 100
    lay(frame, [Stamp(flat((255, 255, 255), size=(wide, high)), x, y)], fields=fields)
    luma = planes_of(frame)[0]
    inside = np.zeros((size[1], size[0]), bool)
    inside[max(0, y) : max(0, y + high), max(0, x) : max(0, x + wide)] = True
    assert (luma[~inside] == 100).all()
    assert (luma[inside] == 235 << (format_of(pix_fmt).bits - 8)).all()


def test_a_picture_is_upright_and_has_its_own_proportions_on_the_screen() -> None:
    """Left half red, right half blue, twice as wide as high; shown turned and with pixels twice as wide as high."""
    picture = np.zeros((50, 100, 4), np.uint8)
    picture[:, :50] = 0, 0, 255, 255
    picture[:, 50:] = 255, 0, 0, 255
    for matrix, aspect in ((None, Fraction(1)), (None, Fraction(2)), (ROTATED, Fraction(1)), (ROTATED, Fraction(2))):
        of = video(matrix=matrix, sample_aspect=aspect)
        box = Box(10, 10, 60, 40)
        stamp = fitted(coded_layer(picture, of), box, of.aspect)
        shape = of.shown_box(stamp.box)
        assert abs(shape.w / shape.h - 2) < 0.1
        assert all(abs(a - b) <= 1 for a, b in zip(stamp.box.centre, box.centre, strict=True))
        assert stamp.box.w <= 61
        assert stamp.box.h <= 41
        assert max(stamp.box.w / 60, stamp.box.h / 40) > 0.95
        x, y = shape.x + shape.w / 4, shape.y + shape.h / 2
        at = of.coded_box(Box(x, y, 0, 0))
        assert tuple(stamp.layer[int(at.y) - stamp.y, int(at.x) - stamp.x]) == (0, 0, 255, 255)
