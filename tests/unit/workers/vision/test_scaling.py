import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from farm.errors import SourceError
from farm.media.planes import format_of, planes_of
from workers.vision.scaling import small_picture

PATCHES = [(200, 40, 30), (30, 180, 60), (40, 60, 220), (235, 235, 235), (20, 20, 20), (120, 130, 110)]


def picture(width: int = 192, height: int = 96) -> NDArray[np.uint8]:
    """Six flat patches in BGR: away from their edges no filter changes them."""
    bgr = np.zeros((height, width, 3), np.uint8)
    for index, colour in enumerate(PATCHES):
        row, column = divmod(index, 3)
        bgr[row * height // 2 :, column * width // 3 :] = colour
    return bgr


def frame_of(bgr: NDArray[np.uint8], pix_fmt: str, space: Colorspace, colour_range: ColorRange) -> av.VideoFrame:
    """The picture as a decoder would give it."""
    frame = av.VideoFrame.from_ndarray(bgr, format="bgr24").reformat(
        format=pix_fmt, dst_colorspace=space, dst_color_range=colour_range
    )
    frame.colorspace, frame.color_range = space, colour_range
    return frame


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p"])
@pytest.mark.parametrize("space", [Colorspace.ITU601, Colorspace.ITU709])
@pytest.mark.parametrize("colour_range", [ColorRange.MPEG, ColorRange.JPEG])
def test_colours_come_back_by_the_frames_own_matrix_and_range(
    pix_fmt: str, space: Colorspace, colour_range: ColorRange
) -> None:
    small = small_picture(frame_of(picture(), pix_fmt, space, colour_range), 64, 32)
    assert small.shape == (32, 64, 3)
    for index, colour in enumerate(PATCHES):
        row, column = divmod(index, 3)
        seen = small[row * 16 + 8, column * 64 // 3 + 10]
        assert np.abs(seen.astype(int) - colour).max() <= 4, (index, seen)


def test_padding_of_the_lines_is_no_picture() -> None:
    frame = av.VideoFrame(50, 38, "yuv420p")
    assert frame.planes[0].line_size > 50
    for plane in frame.planes:
        plane.update(bytes([255]) * plane.buffer_size)
    for view in planes_of(frame):
        view[...] = 128
    assert np.ptp(small_picture(frame, 32, 32)) == 0


def test_writing_to_a_view_writes_to_the_frame() -> None:
    frame = av.VideoFrame(64, 48, "yuv420p")
    luma, *chroma = planes_of(frame)
    luma[10:20, 30:40] = 77
    assert (planes_of(frame)[0][10:20, 30:40] == 77).all()
    assert [plane.shape for plane in chroma] == [(24, 32), (24, 32)]


def test_formats_that_cannot_be_painted_on_are_refused() -> None:
    for name in ("nv12", "pal8", "yuv420p10be", "p010le", "grayf32le", "rgb565le"):
        with pytest.raises(SourceError, match=name):
            format_of(name)
        with pytest.raises(SourceError, match=name):
            planes_of(av.VideoFrame(64, 48, name))
