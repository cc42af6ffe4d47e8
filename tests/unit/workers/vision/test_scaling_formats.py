"""What a detector sees of deep, RGB, HDR, turned and stretched pictures."""

from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from farm.domain.geometry import Box
from farm.domain.manifest import VideoStream
from farm.domain.orientation import coded_box, upright_size
from farm.media.planes import planes_of
from tests.unit.media.test_planes import flipped
from tests.unit.workers.vision.test_scaling import PATCHES, picture
from workers.vision.colours import pq_light
from workers.vision.scaling import small_picture

VIDEO = VideoStream(0, "h264", 640, 480, "yuv420p", Fraction(1, 30), None, None, 2, 2, 2, 2)
PQ, HLG = 16, 18
#: Display matrices as FFmpeg writes them, by EXIF orientation.
_ONE, _W = 1 << 16, 1 << 30
MATRICES = {
    1: (_ONE, 0, 0, 0, _ONE, 0, 0, 0, _W),
    6: (0, _ONE, 0, -_ONE, 0, 0, 0, 0, _W),
}


def seen(frame: av.VideoFrame, width: int, height: int, orientation: int = 1, transfer: int = 2) -> NDArray[np.uint8]:
    return small_picture(frame, width, height, orientation, transfer)


def assert_patches(bgr: NDArray[np.uint8], within: int = 4) -> None:
    """The six patches of :func:`picture`, in a picture of 64 x 32."""
    assert bgr.shape == (32, 64, 3)
    assert bgr.dtype == np.uint8
    for index, colour in enumerate(PATCHES):
        row, column = divmod(index, 3)
        assert np.abs(bgr[row * 16 + 8, column * 64 // 3 + 10].astype(int) - colour).max() <= within, index


@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "yuv422p12le", "yuv444p16le", "yuva420p"])
@pytest.mark.parametrize("colour_range", [ColorRange.MPEG, ColorRange.JPEG])
def test_deep_pictures(pix_fmt: str, colour_range: ColorRange) -> None:
    space = Colorspace.ITU709
    frame = av.VideoFrame.from_ndarray(picture(), format="bgr24").reformat(
        format=pix_fmt, dst_colorspace=space, dst_color_range=colour_range
    )
    frame.colorspace, frame.color_range = space, colour_range
    assert_patches(seen(frame, 64, 32))


@pytest.mark.parametrize("pix_fmt", ["rgb24", "bgr24", "rgba", "bgra", "argb", "0bgr", "gbrp", "gbrap", "gbrp10le"])
def test_rgb_has_no_matrix(pix_fmt: str) -> None:
    frame = av.VideoFrame.from_ndarray(picture(), format="bgr24").reformat(format=pix_fmt)
    assert_patches(seen(frame, 64, 32), within=1)
    assert (seen(frame, 192, 96)[5, 5] == PATCHES[0]).all()  # not even scaled
    frame = av.VideoFrame.from_ndarray(picture(), format="bgr24").reformat(format="bgr24")
    assert_patches(seen(flipped(frame), 64, 32)[::-1], within=1)


@pytest.mark.parametrize("pix_fmt", ["gray", "gray10le"])
def test_grey(pix_fmt: str) -> None:
    frame = av.VideoFrame(64, 48, pix_fmt)
    planes_of(frame)[0][...] = 128 if pix_fmt == "gray" else 512
    bgr = seen(frame, 32, 32)
    assert bgr.shape == (32, 32, 3)
    assert np.ptp(bgr) == 0
    assert abs(int(bgr[0, 0, 0]) - (128 - 16) * 255 / 219) <= 1


def test_ycgco() -> None:
    """Matrix 8 of H.273: Y = (R + 2G + B) / 4, Cg = (-R + 2G - B) / 4, Co = (R - B) / 2."""
    frame = av.VideoFrame(32, 32, "yuv444p")
    frame.colorspace, frame.color_range = 8, ColorRange.JPEG
    red, green, blue = 200, 80, 40
    values = (red + 2 * green + blue) // 4, 128 + (2 * green - red - blue) // 4, 128 + (red - blue) // 2
    for plane, value in zip(planes_of(frame), values, strict=True):
        plane[...] = value
    assert np.abs(seen(frame, 32, 32)[0, 0].astype(int) - (blue, green, red)).max() <= 2


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "rgb24"])
def test_the_picture_is_upright_and_boxes_come_back(pix_fmt: str, orientation: int) -> None:
    """A bright patch is seen where the display matrix puts it: coded_box of where it is seen is where it is."""
    width, height = 192, 128
    frame = av.VideoFrame(width, height, pix_fmt)
    for plane in planes_of(frame):
        plane[...] = 30 if pix_fmt == "rgb24" else 128
    planes_of(frame)[0][...] = 30
    planes_of(frame)[0][16:48, 96:176] = 220
    size = upright_size(width // 2, height // 2, orientation)
    small = seen(frame, *size, orientation=orientation)
    assert small.shape == (size[1], size[0], 3)
    rows, columns = np.nonzero(small[:, :, 1] > 128)
    x, y = 2 * columns.min(), 2 * rows.min()
    box = Box(x, y, 2 * (columns.max() + 1) - x, 2 * (rows.max() + 1) - y)
    assert coded_box(box, width, height, orientation) == Box(96, 16, 80, 32)


@pytest.mark.parametrize(
    ("aspect", "shown"),
    [
        (None, (640, 480)),
        (1, (640, 480)),
        (Fraction(4, 3), (853, 480)),
        (Fraction(2, 3), (640, 720)),
        (99, (2560, 480)),
    ],
)
def test_pixels_that_are_not_square(aspect: Fraction | None, shown: tuple[int, int]) -> None:
    video = replace(VIDEO, sample_aspect=aspect)
    assert replace(video, matrix=MATRICES[1]).shown_size == shown
    assert replace(video, matrix=MATRICES[6]).shown_size == shown[::-1]


def pq_frame(nits: list[float], transfer: int) -> av.VideoFrame:
    """Grey stripes of so much light in 10 bits, limited range."""
    signals = np.linspace(0, 1, 4096)
    codes = [64 + 876 * signals[np.abs(pq_light(signals) - light).argmin()] for light in nits]
    frame = av.VideoFrame(32 * len(nits), 32, "yuv420p10le")
    luma, *chroma = planes_of(frame)
    luma[...] = np.repeat(np.rint(codes), 32)
    for plane in chroma:
        plane[...] = 512
    frame.color_trc = transfer
    return frame


def test_pq_is_light_as_the_standard_says() -> None:
    """ST 2084: full signal is 10 000 cd/m2; BT.2408: white, 203 cd/m2, is a signal of 58 per cent."""
    assert pq_light(np.array([0.0, 1.0])) == pytest.approx([0, 10_000])
    assert pq_light(np.array([0.5807]))[0] == pytest.approx(203, rel=0.01)


def test_hdr_is_looked_at_with_ordinary_contrast() -> None:
    lights = [0.0, 20.0, 50.0, 203.0, 1000.0, 10_000.0]
    levels = seen(pq_frame(lights, PQ), 32 * len(lights), 32)[16, 16::32, 1].astype(int)
    assert (np.diff(levels) > 0).all()
    assert levels[0] == 0
    assert levels[2] == pytest.approx(255 * 0.9 * (50 / 203) ** (1 / 2.4), abs=3)
    assert levels[3] == pytest.approx(0.9 * 255, abs=3)
    assert levels[-1] == 255


@pytest.mark.parametrize("transfer", [1, 2, HLG])
def test_only_pq_is_mapped(transfer: int) -> None:
    level = seen(pq_frame([50.0], transfer), 32, 32)[16, 16, 1]
    assert level == pytest.approx(255 * 0.44, abs=4)  # the signal of 50 cd/m2, as it is


def test_the_plan_says_what_the_frame_does_not() -> None:
    mapped = seen(pq_frame([50.0], PQ), 32, 32)
    assert (seen(pq_frame([50.0], 2), 32, 32, transfer=PQ) == mapped).all()
    assert (seen(pq_frame([50.0], 1), 32, 32, transfer=PQ) != mapped).any()
