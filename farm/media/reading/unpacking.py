"""Frames in packed, palette and big-endian formats, unpacked into planar formats with exactly the same samples.

FFmpeg's own conversion is not used for the samples: it is not exact for 21 of these 127 formats (measured, FFmpeg 8).
"""

import re
from dataclasses import dataclass
from functools import cache

import numpy as np
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from farm.domain.pixels import FULL_RANGE, pixel_format
from farm.media.failing import invalid_data
from farm.media.planes import Plane, lines_of, planes_of

#: Formats whose words hold one sample each: the letters of a group of words, plane by plane, then the target.
_WORDS = {
    "yuyv422": ("yuyv", "yuv422p"), "uyvy422": ("uyvy", "yuv422p"), "yvyu422": ("yvyu", "yuv422p"),
    "uyyvyy411": ("uyyvyy", "yuv411p"), "vyu444": ("vyu", "yuv444p"), "vuyx": ("vuyx", "yuv444p"),
    "vuya": ("vuya", "yuva444p"), "ayuv": ("ayuv", "yuva444p"), "uyva": ("uyva", "yuva444p"),
    "nv12": ("y|uv", "yuv420p"), "nv21": ("y|vu", "yuv420p"), "nv16": ("y|uv", "yuv422p"),
    "nv24": ("y|uv", "yuv444p"), "nv42": ("y|vu", "yuv444p"), "ya8": ("ya", "yuva444p"),
    "nv20": ("y|uv", "yuv422p10le"), "y210": ("yuyv", "yuv422p10le"), "y212": ("yuyv", "yuv422p12le"),
    "y216": ("yuyv", "yuv422p16le"), "xv36": ("uyvx", "yuv444p12le"), "xv48": ("uyvx", "yuv444p16le"),
    "ayuv64": ("ayuv", "yuva444p16le"), "ya16": ("ya", "yuva444p16le"), "rgb48": ("rgb", "gbrp16le"),
    "bgr48": ("bgr", "gbrp16le"), "rgba64": ("rgba", "gbrap16le"), "bgra64": ("bgra", "gbrap16le"),
}  # fmt: skip
#: Formats with a whole pixel in each word: bytes a word, the place and the depth of each sample, then the target.
_FIELDS = {
    "rgb565": (2, {"r": (11, 5), "g": (5, 6), "b": (0, 5)}, "gbrp"),
    "bgr565": (2, {"b": (11, 5), "g": (5, 6), "r": (0, 5)}, "gbrp"),
    "rgb555": (2, {"r": (10, 5), "g": (5, 5), "b": (0, 5)}, "gbrp"),
    "bgr555": (2, {"b": (10, 5), "g": (5, 5), "r": (0, 5)}, "gbrp"),
    "rgb444": (2, {"r": (8, 4), "g": (4, 4), "b": (0, 4)}, "gbrp"),
    "bgr444": (2, {"b": (8, 4), "g": (4, 4), "r": (0, 4)}, "gbrp"),
    "rgb8": (1, {"r": (5, 3), "g": (2, 3), "b": (0, 2)}, "gbrp"),
    "bgr8": (1, {"b": (6, 2), "g": (3, 3), "r": (0, 3)}, "gbrp"),
    "rgb4_byte": (1, {"r": (3, 1), "g": (1, 2), "b": (0, 1)}, "gbrp"),
    "bgr4_byte": (1, {"b": (3, 1), "g": (1, 2), "r": (0, 1)}, "gbrp"),
    "x2rgb10": (4, {"r": (20, 10), "g": (10, 10), "b": (0, 10)}, "gbrp10le"),
    "x2bgr10": (4, {"b": (20, 10), "g": (10, 10), "r": (0, 10)}, "gbrp10le"),
    "xv30": (4, {"v": (20, 10), "y": (10, 10), "u": (0, 10)}, "yuv444p10le"),
    "v30x": (4, {"v": (22, 10), "y": (12, 10), "u": (2, 10)}, "yuv444p10le"),
}
#: One bit a pixel, and the value of white.
_BITS = {"monob": 1, "monow": 0}
_PALETTE = "pal8"
#: Codecs whose palettes may be transparent, and come with each picture.
_TRANSPARENT = frozenset({"png", "apng"})
#: What FFmpeg cannot allocate a converted frame for; no decoder of it writes them.
_UNKNOWN = frozenset({"y210be", "y212be", "y216be", "x2rgb10be", "x2bgr10be", "xv30be", "v30xbe"})
_SEMIPLANAR = re.compile(r"p([024])(10|12|16)")
_HIGH = re.compile(r"(yuv444p|gbrp)(10|12)msb")
_CHROMA = {"0": "yuv420p", "2": "yuv422p", "4": "yuv444p"}


@dataclass(frozen=True, slots=True)
class _Words:
    """A format whose words hold one sample each. ``order`` of the bytes, ``shift`` of the sample in the word."""

    planes: str
    target: str
    order: str = "<"
    shift: int = 0


@cache
def _words(name: str) -> _Words | None:
    """The description of a format whose words hold one sample each."""
    base = re.sub(r"[bl]e$", "", name)
    order = ">" if name.endswith("be") else "<"
    if base in _WORDS:
        planes, target = _WORDS[base]
    elif match := _SEMIPLANAR.fullmatch(base):
        planes, target = "y|uv", f"{_CHROMA[match[1]]}{match[2]}le"
    elif match := _HIGH.fullmatch(base):
        planes, target = "y|u|v" if match[1] == "yuv444p" else "g|b|r", f"{match[1]}{match[2]}le"
    elif order == ">" and (planar := pixel_format(f"{base}le")):
        letters = {"gray": "y", "rgb": "gbr", "yuv": "yuv"}[planar.family]
        planes, target = "|".join(letters + "a" * planar.alpha), planar.name
    else:
        return None
    left = re.fullmatch(r"([py][024]\d\d|xv\d\d|.*msb)", base)  # their samples fill the upper bits of a word
    found = pixel_format(target)
    return _Words(planes, target, order, 16 - found.bits if left and found else 0)


def has_separate_palette(stream: VideoStream) -> bool:
    """Whether frames may need a palette that comes before them in the file, so that none is decoded after a seek.

    AVI stores palettes in chunks of their own, and libavformat hands out QuickTime's with the first packet only.
    """
    context = stream.codec_context
    return context.pix_fmt == _PALETTE and context.codec.canonical_name not in _TRANSPARENT


@cache
def unpacked_format(name: str, codec: str = "") -> str | None:
    """The planar format that frames in the format ``name`` are unpacked into; None if they are not.

    ``codec``: FFmpeg's name; a few codecs have transparent palettes.
    """
    if pixel_format(name) is not None or name in _UNKNOWN:
        return None
    if name == _PALETTE:
        return "gbrap" if codec in _TRANSPARENT else "gbrp"
    if name in _BITS:
        return "gray"
    if (base := re.sub(r"[bl]e$", "", name)) in _FIELDS:
        return _FIELDS[base][2]
    words = _words(name)
    return words.target if words else None


def unpacked(frame: VideoFrame, codec: str = "") -> VideoFrame:
    """The frame in its unpacked format, with all of its properties; the frame itself where it needs no unpacking.

    Samples of less than 8 bits become 8 bits by repeating their bits, as FFmpeg does: all of their range, and
    different values stay different. Raises InvalidDataError for a palette that is transparent where ``codec`` (FFmpeg's
    name) should have none: it is missing, as where decoding begins behind the packet that holds it.
    """
    name = frame.format.name
    target = unpacked_format(name, codec)
    if target is None:
        return frame
    # the conversion copies the properties, of which some cannot be set; all samples are then written anew
    made = frame.reformat(format=target)
    planes = planes_of(made, alpha=True)
    pixels = pixel_format(target)
    letters = {"gray": "y", "rgb": "gbra", "yuv": "yuva"}[pixels.family if pixels else "yuv"]
    into = dict(zip(letters, planes, strict=False))
    if name == _PALETTE:
        _take_palette(frame, into)
    elif name in _BITS:
        rows = np.unpackbits(lines_of(frame.planes[0], np.uint8), axis=1)[:, : frame.width]
        into["y"][...] = np.where(rows == _BITS[name], 255, 0)
        made.color_range = FULL_RANGE  # black is 0 and white is 255
    elif words := _words(name):
        _take_words(frame, words, into)
    else:
        _take_fields(frame, into)
    if name.startswith("ya"):  # gray with transparency: there is no such planar format
        for chroma in ("u", "v"):
            into[chroma][...] = pixels.neutral if pixels else 0
    return made


def _take_words(frame: VideoFrame, words: _Words, into: dict[str, Plane]) -> None:
    kind = np.dtype(np.uint8) if into["g" if "g" in into else "y"].dtype == np.uint8 else np.dtype(f"{words.order}u2")
    for plane, letters in zip(frame.planes, words.planes.split("|"), strict=False):
        rows = _rows(lines_of(plane, np.uint8), kind)
        for letter in set(letters) - {"x"}:
            places = [at for at, found in enumerate(letters) if found == letter]
            for number, place in enumerate(places):
                target = into[letter][:, number :: len(places)]
                target[...] = rows[: target.shape[0], place :: len(letters)][:, : target.shape[1]] >> words.shift


def _take_fields(frame: VideoFrame, into: dict[str, Plane]) -> None:
    name = frame.format.name
    size, fields, _ = _FIELDS[re.sub(r"[bl]e$", "", name)]
    order = ">" if name.endswith("be") else "<"
    rows = _rows(lines_of(frame.planes[0], np.uint8), np.dtype(f"{order}u{size}"))[:, : frame.width]
    for letter, (place, depth) in fields.items():
        samples = rows >> place & ((1 << depth) - 1)
        into[letter][...] = _eight_bits(depth)[samples] if depth < 8 else samples


def _take_palette(frame: VideoFrame, into: dict[str, Plane]) -> None:
    """Take the colours of a frame's palette, whose entries are native 32-bit words: alpha, red, green, blue."""
    palette = np.frombuffer(frame.planes[1], np.uint32)[:256]  # type: ignore[call-overload]  # a plane is a buffer
    rows = lines_of(frame.planes[0], np.uint8)[:, : frame.width]
    if "a" not in into and ((palette >> 24)[np.unique(rows)] != 255).any():
        raise invalid_data("the palette is missing, or has transparent colours")
    for letter, place in (("r", 16), ("g", 8), ("b", 0), ("a", 24)):
        if letter in into:
            into[letter][...] = (palette >> place & 255).astype(np.uint8)[rows]


def _rows(lines: Plane, kind: np.dtype[np.unsignedinteger]) -> Plane:
    """Lines of bytes as lines of words."""
    whole = lines.shape[1] // kind.itemsize * kind.itemsize
    rows: Plane = lines[:, :whole].view(kind)
    return rows


@cache
def _eight_bits(depth: int) -> NDArray[np.uint8]:
    """The 8-bit value of each sample of ``depth`` bits: its bits, repeated."""
    values = np.arange(1 << depth)
    repeated, bits = values, depth
    while bits < 8:
        repeated, bits = repeated << depth | values, bits + depth
    return (repeated >> (bits - 8)).astype(np.uint8)
