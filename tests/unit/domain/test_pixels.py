"""Pixel formats by name: the same as FFmpeg's own description of each."""

import av
import pytest

from farm.domain.pixels import PixelFormat, pixel_format, plain_format

FORMATS = [
    "yuv420p", "yuvj422p", "yuv444p", "yuv440p", "yuv411p", "yuv410p", "yuv420p10le", "yuv422p12le", "yuv444p16le",
    "yuv420p9le", "yuva420p", "yuva444p10le", "gray", "gray10le", "gray16le", "gbrp", "gbrp12le", "gbrap", "rgb24",
    "bgr24", "bgra", "rgb0", "argb",
]  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_what_ffmpeg_says(name: str) -> None:
    ours, theirs = pixel_format(name), av.VideoFormat(name)
    assert isinstance(ours, PixelFormat)
    assert ours.bits == theirs.components[0].bits
    colours = [c for c in theirs.components if not c.is_alpha]
    assert ours.alpha == (len(colours) < len(theirs.components))
    assert {"yuv": 3, "rgb": 3, "gray": 1}[ours.family] == len(colours)
    assert (ours.family == "rgb") == theirs.is_rgb
    assert bool(ours.samples) == (not theirs.is_planar and ours.family == "rgb")
    if ours.family == "yuv":
        sizes = theirs.chroma_width(64), theirs.chroma_height(64)
        assert sizes == (64 // ours.across, 64 // ours.down)


@pytest.mark.parametrize("name", ["nv12", "p010le", "yuv420p10be", "pal8", "gray16be", "yuyv422", "cuda", ""])
def test_what_is_not_painted_on(name: str) -> None:
    assert pixel_format(name) is None


def test_the_older_mark_of_the_full_range() -> None:
    assert plain_format("yuvj420p") == plain_format("yuv420p") == "yuv420p"
