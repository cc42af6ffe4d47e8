"""Properties of pixel formats by FFmpeg's names, for the formats whose planes the farm paints on."""

import re
from dataclasses import dataclass

_SUBSAMPLING = {"410": (4, 4), "411": (4, 1), "420": (2, 2), "422": (2, 1), "440": (1, 2), "444": (1, 1)}
_YUV = re.compile(r"yuv(?P<alpha>a?)(?P<full>j?)(?P<chroma>4[1-4][0-4])p(?P<bits>9|1[0-6])?(?P<order>le|be)?")
_GRAY = re.compile(r"gray(?P<bits>9|1[0-6])?(?P<order>le|be)?")
_GBR = re.compile(r"gbr(?P<alpha>a?)p(?P<bits>9|1[0-6])?(?P<order>le|be)?")
#: Packed formats: the letters are the samples of a pixel in memory order; ``0`` is unused.
_PACKED = re.compile(r"(?P<samples>rgb|bgr|rgba|bgra|argb|abgr|rgb0|bgr0|0rgb|0bgr)(24)?")


#: H.273's video_full_range_flag in FFmpeg's numbering (AVCOL_RANGE_JPEG).
FULL_RANGE = 2


@dataclass(frozen=True, slots=True)
class PixelFormat:
    """A pixel format.

    ``family``: ``yuv``, ``gray`` or ``rgb``. ``bits``: bits per sample. ``across`` and ``down``: luma samples per
    chroma sample, horizontally and vertically. ``samples``: the names of a pixel's samples in memory order if they are
    packed into one plane (``bgra``), otherwise empty. Samples above 8 bits are little-endian 16-bit words.
    """

    name: str
    family: str
    bits: int = 8
    across: int = 1
    down: int = 1
    alpha: bool = False
    samples: str = ""

    @property
    def neutral(self) -> int:
        """The chroma value of grey."""
        return 1 << (self.bits - 1)


def pixel_format(name: str) -> PixelFormat | None:
    """Return the format called ``name``; None if its samples cannot be painted in place."""
    if match := _YUV.fullmatch(name):
        if match["chroma"] not in _SUBSAMPLING or match["order"] == "be":
            return None
        across, down = _SUBSAMPLING[match["chroma"]]
        return PixelFormat(name, "yuv", int(match["bits"] or 8), across, down, bool(match["alpha"]))
    if match := _GRAY.fullmatch(name):
        return None if match["order"] == "be" else PixelFormat(name, "gray", int(match["bits"] or 8))
    if match := _GBR.fullmatch(name):
        if match["order"] == "be":
            return None
        return PixelFormat(name, "rgb", int(match["bits"] or 8), alpha=bool(match["alpha"]))
    if match := _PACKED.fullmatch(name):
        return PixelFormat(name, "rgb", alpha="a" in match["samples"], samples=match["samples"])
    return None


def is_full_range(pix_fmt: str, color_range: int) -> bool:
    """Return whether samples use the full range: by FFmpeg's ``color_range``, or its older marker in the name."""
    return color_range == FULL_RANGE or pix_fmt.startswith("yuvj")


def plain_format(name: str) -> str:
    """Return the name without FFmpeg's deprecated full-range marker (``yuvj420p`` becomes ``yuv420p``)."""
    return name.replace("yuvj", "yuv")
