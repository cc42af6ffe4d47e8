"""Painting in the frame's own depth and colours, and on the two fields of an interlaced frame."""

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from farm.domain.geometry import Box
from farm.domain.options import SHAPES, STYLES, RedactOptions
from farm.media.planes import Plane, black_out, format_of, groups_of, planes_of
from tests.masks import mask_of
from tests.unit.media.test_planes import KINDS, flipped
from workers.vision.redactors.base import create_redactor
from workers.vision.redactors.painting import paint

SIZE = 160, 120
FACE = Box(50, 30, 50, 60)
DEEP = ("yuv420p10le", "yuv422p12le", "yuv444p16le", "gray10le", "gbrp10le")
WITH_ALPHA = ("yuva420p", "yuva444p10le", "gbrap", "rgba", "bgra", "argb")

somewhere = st.builds(Box, st.floats(-40, 150), st.floats(-40, 110), st.floats(4, 90), st.floats(4, 90))


def smooth(pix_fmt: str, size: tuple[int, int] = SIZE) -> av.VideoFrame:
    """A slope over all values of the depth, in every plane."""
    frame = av.VideoFrame(*size, pix_fmt)
    top = (1 << format_of(pix_fmt).bits) - 1
    for plane in planes_of(frame):
        rows, columns = plane.shape
        slope = np.add.outer(np.linspace(0, 0.5, rows), np.linspace(0, 0.5, columns))
        plane[...] = np.rint(top * slope)
    return frame


def copies(frame: av.VideoFrame) -> list[Plane]:
    return [plane.copy() for plane in planes_of(frame)]


def painted(frame: av.VideoFrame, boxes: list[Box], options: RedactOptions, *, fields: bool = False) -> list[Plane]:
    paint(frame, boxes, create_redactor(options), options, fields=fields)
    return copies(frame)


def raw(frame: av.VideoFrame) -> list[NDArray[np.uint8]]:
    return [np.frombuffer(plane, np.uint8).copy() for plane in frame.planes]  # type: ignore[call-overload]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("pix_fmt", DEEP)
def test_deep_pictures_are_painted_as_those_of_8_bits(pix_fmt: str, style: str) -> None:
    """The same slope in 8 bits and in more, both painted, differ by the rounding to 8 bits only."""
    bits = format_of(pix_fmt).bits
    shallow = pix_fmt.removesuffix("le").removesuffix(str(bits))
    options = RedactOptions(style=style)
    before = copies(smooth(pix_fmt))
    deep, eight = painted(smooth(pix_fmt), [FACE], options), painted(smooth(shallow), [FACE], options)
    for old, a, b in zip(before, deep, eight, strict=True):
        assert (a != old).any()
        assert a.max() < 1 << bits
        assert np.abs(a / ((1 << bits) - 1) - b / 255).max() < 2.5 / 255


@pytest.mark.parametrize("pix_fmt", DEEP)
def test_blending_at_the_ends_of_the_scale_does_not_overflow(pix_fmt: str) -> None:
    """Black laid over the brightest there is: from one to the other, never outside, and never back."""
    frame = av.VideoFrame(*SIZE, pix_fmt)
    top = (1 << format_of(pix_fmt).bits) - 1
    for plane in planes_of(frame):
        plane[...] = top
    luma = painted(frame, [FACE], RedactOptions(style="solid"))[0]
    black = groups_of(frame)[0][2]
    row = luma[60, 75:].astype(np.int64)
    assert row[0] == black
    assert row[-1] == top
    assert (np.diff(row) >= 0).all()
    assert ((row > black) & (row < top)).sum() >= 2  # there is a rim


@pytest.mark.parametrize("pix_fmt", ["gbrp", "gbrp10le", "rgb24", "bgra", "0rgb"])
def test_every_colour_is_painted(pix_fmt: str) -> None:
    frame = av.VideoFrame(*SIZE, pix_fmt)
    rng = np.random.default_rng(1)
    for plane in planes_of(frame):
        plane[...] = rng.integers(100, 256, plane.shape)
    before = copies(frame)
    mask = mask_of([FACE], *SIZE, RedactOptions(), format_of(pix_fmt))
    for old, new in zip(before, painted(frame, [FACE], RedactOptions(style="solid")), strict=True):
        assert (new[mask == 255] == 0).all()
        assert (new[mask == 0] == old[mask == 0]).all()


@pytest.mark.parametrize("style", STYLES)
def test_packed_colours_are_painted_as_planar_ones(style: str) -> None:
    options = RedactOptions(style=style)
    planar = painted(smooth("gbrp"), [FACE], options)
    for pix_fmt in ("rgb24", "bgr24", "rgba", "bgra", "argb", "abgr", "rgb0", "0bgr"):
        for a, b in zip(planar, painted(smooth(pix_fmt), [FACE], options), strict=True):
            assert (a == b).all()
    for a, b in zip(planar, painted(flipped(smooth_upside_down()), [FACE], options), strict=True):
        assert (a == b).all()


def smooth_upside_down() -> av.VideoFrame:
    frame = smooth("bgr24")
    for plane in planes_of(frame):
        plane[...] = plane[::-1].copy()
    return frame


@pytest.mark.parametrize("pix_fmt", WITH_ALPHA)
def test_alpha_stays(pix_fmt: str) -> None:
    frame = av.VideoFrame(*SIZE, pix_fmt)
    rng = np.random.default_rng(2)
    for plane in frame.planes:
        plane.update(rng.integers(0, 4, plane.buffer_size, np.uint8).tobytes())
    pixels = format_of(pix_fmt)
    before = raw(frame)
    painted(frame, [FACE], RedactOptions())
    black_out(frame)
    after = raw(frame)
    if pixels.samples:
        where = pixels.samples.index("a")
        stride = frame.planes[0].line_size
        old, new = (b[0].reshape(SIZE[1], stride)[:, where : 4 * SIZE[0] : 4] for b in (before, after))
    else:
        old, new = before[3], after[3]
    assert len(np.unique(old)) == 4
    assert (old == new).all()


@pytest.mark.parametrize("pix_fmt", KINDS)
def test_a_black_frame_is_black_in_its_own_depth_and_range(pix_fmt: str) -> None:
    frame = smooth(pix_fmt, (161, 121))
    black_out(frame)
    black, neutral = KINDS[pix_fmt]
    luma, *others = planes_of(frame)
    assert (luma == black).all()
    for plane in others:
        assert (plane == (black if neutral is None else neutral)).all()


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "yuv411p", "gbrp"])
@settings(deadline=None, max_examples=40)
@given(box=somewhere)
def test_no_field_gets_into_the_other(pix_fmt: str, style: str, box: Box) -> None:
    """Two fields of one flat colour each: painted, each still has only its own (or black)."""
    frame = av.VideoFrame(161, 123, pix_fmt)
    for plane in planes_of(frame):
        plane[0::2], plane[1::2] = 60, 200
    painted(frame, [box], RedactOptions(style=style), fields=True)
    for planes, _, black in groups_of(frame):
        for plane in planes:
            for first, value in ((0, 60), (1, 200)):
                field = plane[first::2].astype(int)
                low, high = sorted((value, black if style in ("solid", "image") else value))
                assert ((field >= low) & (field <= high)).all()


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p", "yuv410p", "gray"])
@settings(deadline=None, max_examples=40)
@given(box=somewhere, shape=st.sampled_from(SHAPES), odd=st.booleans())
def test_the_face_is_covered_in_both_fields_luma_and_chroma(pix_fmt: str, box: Box, shape: str, odd: bool) -> None:
    width, height = (161, 119) if odd else SIZE
    frame = av.VideoFrame(width, height, pix_fmt)
    for plane in planes_of(frame):
        plane[...] = 200
    options = RedactOptions(style="solid", shape=shape)
    painted(frame, [box], options, fields=True)
    for planes, (across, down), black in groups_of(frame):
        for plane in planes:
            x0, y0 = max(0, int(box.x // across)), max(0, int(box.y // down))
            x1, y1 = int(-(-(box.x + box.w) // across)), int(-(-(box.y + box.h) // down))
            assert (plane[y0 : max(0, y1), x0 : max(0, x1)] == black).all()


@pytest.mark.parametrize("fields", [False, True])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "gray", "gbrp"])
@settings(deadline=None, max_examples=40)
@given(boxes=st.lists(somewhere, max_size=3), shape=st.sampled_from(SHAPES), odd=st.booleans())
def test_the_mask_is_what_is_painted(pix_fmt: str, fields: bool, boxes: list[Box], shape: str, odd: bool) -> None:
    size = (161, 119) if odd else SIZE
    frame = av.VideoFrame(*size, pix_fmt)
    for plane in planes_of(frame):
        plane[...] = 250
    options, pixels = RedactOptions(style="solid", shape=shape), format_of(pix_fmt)
    painted(frame, boxes, options, fields=fields)
    mask = mask_of(boxes, *size, options, pixels, fields=fields)
    touched = mask > 0
    luma = planes_of(frame)[0]
    assert (luma[~touched] == 250).all()
    # where several rims cover, nearly all is rounded to all
    assert (np.abs(luma[mask == 255].astype(int) - groups_of(frame)[0][2]) <= 2).all()
    # what is a little covered may stay as it is by rounding, what is covered by a tenth does not
    assert (luma[mask > 25] != 250).all()
    for planes, (across, down), _ in [] if odd else groups_of(frame):
        for plane in planes:
            rows, columns = np.nonzero(plane != 250)
            over = np.zeros(plane.shape, bool)
            ys, xs = np.nonzero(touched)
            if fields:  # the line of the field's own chroma, over two of its own lines
                over[ys // (2 * down) * 2 + ys % 2, xs // across] = True
            else:
                over[ys // down, xs // across] = True
            assert over[rows, columns].all()


def test_fields_of_a_tiny_frame() -> None:
    for height in (1, 2, 3):
        for pix_fmt in ("yuv420p", "rgb24"):
            painted(smooth(pix_fmt, (5, height)), [Box(0, 0, 5, 3)], RedactOptions(), fields=True)
