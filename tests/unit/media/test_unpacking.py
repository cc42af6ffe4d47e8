"""Unpacking loses nothing: every pixel format of FFmpeg, read by FFmpeg's own description of it."""

import ctypes
import re
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from farm.domain.pixels import pixel_format
from farm.media.reading.unpacking import unpacked, unpacked_format
from tests.side_data import libavutil

#: Flags of AVPixFmtDescriptor: palette, hardware, Bayer, floating point, XYZ.
_PAL, _HARDWARE, _OTHERS = 1 << 1, 1 << 3, 1 << 8 | 1 << 9 | 1 << 10
_RGB = 1 << 5
#: What is not unpacked: 32-bit samples, and formats that FFmpeg's decoders do not write.
_NOT = re.compile(r"gray32|yaf.*|.*f16|gbrap32|rgba128|rgb96|[rb]g[br]4|y21\d|x2[rb]g[br]10|xv30|v30x")

Samples = NDArray[np.uint16]


class _Component(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int) for name in ("plane", "step", "offset", "shift", "depth")]


class _Description(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p), ("count", ctypes.c_uint8), ("across", ctypes.c_uint8), ("down", ctypes.c_uint8),
        ("flags", ctypes.c_uint64), ("parts", _Component * 4), ("alias", ctypes.c_char_p),
    ]  # fmt: skip


def _described() -> dict[str, Any]:
    following = libavutil().av_pix_fmt_desc_next
    following.restype, following.argtypes = ctypes.POINTER(_Description), [ctypes.c_void_p]
    found: dict[str, Any] = {}
    at = following(None)
    while at:
        if not at.contents.flags & _HARDWARE:
            found[at.contents.name.decode()] = at.contents
        at = following(ctypes.cast(at, ctypes.c_void_p))
    return found


ALL = _described()
UNPACKED = [name for name in ALL if unpacked_format(name)]


def _read(frame: av.VideoFrame) -> list[Samples]:
    """The samples of each component, as libavutil reads them."""
    described = ALL[frame.format.name]
    starts = (ctypes.c_void_p * 4)(*(plane.buffer_ptr for plane in frame.planes))
    lines = (ctypes.c_int * 4)(*(plane.line_size for plane in frame.planes))
    found = []
    for number in range(described.count):
        chroma = number in (1, 2) and described.count > 2 and not described.flags & _RGB
        across, down = (described.across, described.down) if chroma else (0, 0)
        samples = np.zeros((-(-frame.height >> down), -(-frame.width >> across)), np.uint16)
        for y, row in enumerate(samples):
            target = row.ctypes.data_as(ctypes.c_void_p)
            parts = (target, starts, lines, ctypes.byref(described), 0, y, number, len(row), 0, 2)
            libavutil().av_read_image_line2(*parts)
        found.append(samples)
    return found


def _filled(name: str, size: tuple[int, int]) -> av.VideoFrame:
    """A frame of random bytes."""
    frame = av.VideoFrame(*size, name)
    for plane in frame.planes:
        plane.update(np.random.default_rng(1).integers(0, 256, plane.buffer_size, np.uint8).tobytes())
    return frame


def _repeated(samples: Samples, depth: int, bits: int) -> NDArray[np.uint32]:
    """Samples of ``depth`` bits with their bits repeated up to ``bits``."""
    text = {value: f"{value:0{depth}b}" * bits for value in np.unique(samples)}
    table = np.zeros(1 << 16, np.uint32)
    for value, digits in text.items():
        table[value] = int(digits[:bits], 2)
    return table[samples]


@pytest.mark.parametrize("name", [n for n in UNPACKED if n not in ("pal8", "uyyvyy411", "monow")])
def test_samples_stay_the_same(name: str) -> None:
    described = ALL[name]
    for size in ((64, 48), (63, 47), (6, 5), (1, 1)):
        frame = _filled(name, size)
        target = pixel_format(unpacked_format(name) or "")
        assert target
        had, has = _read(frame), _read(unpacked(frame))
        if name.startswith("ya"):  # gray with transparency becomes YUV without colour
            assert all((plane == target.neutral).all() for plane in has[1:3])
            has = [has[0], has[3]]
        assert len(had) == len(has)
        for part, before, after in zip(described.parts, had, has, strict=False):
            assert np.array_equal(_repeated(before, part.depth, target.bits), after), (name, size)


def test_one_bit_is_black_or_white() -> None:
    frame = _filled("monow", (63, 47))
    made = unpacked(frame)
    assert np.array_equal(_read(made)[0], np.where(_read(frame)[0], 0, 255))
    assert made.color_range == 2  # full


def test_411_is_what_ffmpeg_converts() -> None:
    """FFmpeg's description of this format is wrong for luma, its conversion is not."""
    frame = _filled("uyyvyy411", (64, 48))
    for ours, theirs in zip(_read(unpacked(frame)), _read(frame.reformat(format="yuv411p")), strict=True):
        assert np.array_equal(ours, theirs)


def test_palettes() -> None:
    frame = _filled("pal8", (63, 47))
    red, green, blue, alpha = _read(unpacked(frame, "png"))
    shown = frame.reformat(format="bgra").to_ndarray()
    assert np.array_equal(np.dstack([blue, green, red, alpha]), shown)
    with pytest.raises(av.error.InvalidDataError):
        unpacked(frame, "cinepak")
    frame.planes[1].update(b"\x10\x20\x30\xff" * 256)
    assert [np.unique(plane).tolist() for plane in _read(unpacked(frame, "cinepak"))] == [[0x30], [0x20], [0x10]]


def test_all_others_are_painted_on_as_they_are_or_refused() -> None:
    left = {n for n, d in ALL.items() if not pixel_format(n) and not unpacked_format(n) and not d.flags & _OTHERS}
    assert [name for name in sorted(left) if not _NOT.fullmatch(re.sub("[bl]e$", "", name))] == []
    assert len(UNPACKED) >= 120


@pytest.mark.parametrize("name", UNPACKED)
def test_properties_stay(name: str) -> None:
    frame = _filled(name, (64, 48))
    if name == "pal8":
        frame.planes[1].update(b"\xff" * 1024)
    frame.pts, frame.color_primaries, frame.color_trc, frame.colorspace = 7, 9, 16, 1
    made = unpacked(frame)
    assert (made.pts, made.color_primaries, made.color_trc, made.colorspace) == (7, 9, 16, 1)
    assert made.format.name == unpacked_format(name)
    assert unpacked(made) is made
