"""Codec families: the encoders that write them here, and what each of these can hold.

What an encoder holds was measured: a picture was encoded and decoded in each of its pixel formats, with even and with
odd sizes. A format counts as held only where it is decoded as the same again (ProRes 4444 comes back as 12 bits,
and FFmpeg's H.264 decoder makes 4:2:0 of gray).
"""

import re
from dataclasses import dataclass
from functools import cache

import av

from farm.domain.manifest import VideoStream
from farm.domain.pixels import pixel_format, plain_format


@dataclass(frozen=True, slots=True)
class Encoder:
    """What an encoder can do.

    ``grid``: sizes have to be whole chroma samples. ``interlaced``: knows of fields. ``counted``: its clock cannot be
    any tick, frames are given to it numbered. ``reorders``: its packets are not in order of showing.
    ``changed``: pixel formats it takes that are decoded as others.
    """

    name: str
    family: str
    grid: bool = False
    interlaced: bool = False
    counted: bool = False
    reorders: bool = False
    gop: int = 250
    changed: frozenset[str] = frozenset()


_ALPHA = frozenset({"yuva420p", "yuva422p", "yuva444p", "gbrap", "yuva420p10le"})
_SOFTWARE = (
    Encoder(
        "libx264",
        "h264",
        grid=True,
        interlaced=True,
        reorders=True,
        changed=frozenset({"gray", "gray10le", "nv12", "nv16"}),
    ),
    Encoder("libx264rgb", "h264", reorders=True),
    Encoder("libx265", "hevc", grid=True, reorders=True, changed=_ALPHA),
    Encoder("libsvtav1", "av1"),
    Encoder("libvpx", "vp8", changed=_ALPHA),
    Encoder("libvpx-vp9", "vp9", changed=_ALPHA | {"yuv440p"}),
    Encoder("mpeg1video", "mpeg1video", counted=True, gop=15),
    Encoder("mpeg2video", "mpeg2video", counted=True, interlaced=True, gop=15),
    Encoder("mpeg4", "mpeg4", counted=True, interlaced=True),
    Encoder(
        "prores_ks", "prores", counted=True, interlaced=True, gop=1, changed=frozenset({"yuv444p10le", "yuva444p10le"})
    ),
    Encoder("ffv1", "ffv1", counted=True, interlaced=True, gop=1),
    Encoder("mjpeg", "mjpeg", counted=True, gop=1),
)
ENCODERS = {encoder.name: encoder for encoder in _SOFTWARE}
#: Suffixes of hardware encoders that take frames from ordinary memory.
_HARDWARE = ("nvenc", "qsv", "amf", "videotoolbox")
#: The same samples, laid out otherwise in memory: how an encoder wants them, and the format they are decoded to.
LAYOUTS = {
    "nv12": "yuv420p",
    "nv16": "yuv422p",
    "p010le": "yuv420p10le",
    "p210le": "yuv422p10le",
    "bgr24": "gbrp",
}
#: Formats that no encoder writes as they are, and the one with the same samples that FFV1 does.
REORDERED = {
    **dict.fromkeys(("rgb24", "bgr24", "rgb0", "0rgb", "0bgr", "gbrp"), "bgr0"),
    **dict.fromkeys(("rgba", "argb", "abgr", "gbrap"), "bgra"),
}
#: Families whose streams say no colour matrix: decoders take it to be BT.601's, whatever the container says.
ONE_MATRIX = frozenset({"mjpeg", "vp8"})
BT601 = 5
_LIKE_BT601 = frozenset({2, 5, 6})  # nothing said, and the two names of the same matrix
#: Families whose encoders are tried, in order, where the user names none.
_TRIED = {
    "h264": ("h264", "hevc"),
    "hevc": ("hevc",),
    "av1": ("av1", "hevc"),
    "vp8": ("vp8", "vp9"),
    "vp9": ("vp9", "av1", "hevc"),
    "mpeg1video": ("mpeg1video", "mpeg2video"),
    "mpeg2video": ("mpeg2video", "h264"),
    "mpeg4": ("mpeg4", "h264"),
    "prores": ("prores", "ffv1"),
    "ffv1": ("ffv1",),
    "mjpeg": ("mjpeg", "h264", "hevc", "ffv1"),
    "vvc": ("hevc", "ffv1"),
}
_OTHERS = ("h264", "ffv1")
#: Without loss, or made for it: another family with loss would take away from it.
_LOSSLESS = frozenset({
    "gif", "rawvideo", "png", "apng", "qtrle", "huffyuv", "ffvhuff", "utvideo", "magicyuv", "v210", "v210x", "v308",
    "v408", "v410", "r210", "r10k", "lagarith", "zlib", "mszh", "flashsv", "flashsv2", "zmbv", "tscc", "rle", "bmp",
    "tiff", "targa", "webp", "jpegls", "ffv2", "wrapped_avframe", "camstudio", "fraps", "cscd", "msrle", "8bps",
})  # fmt: skip
_NAMES = {
    "h264": "H.264", "hevc": "HEVC", "av1": "AV1", "vp8": "VP8", "vp9": "VP9", "mpeg1video": "MPEG-1",
    "mpeg2video": "MPEG-2", "mpeg4": "MPEG-4", "prores": "ProRes", "ffv1": "FFV1", "mjpeg": "MJPEG",
}  # fmt: skip


def families(codec: str) -> tuple[str, ...]:
    """The families that are tried for a source's codec, the first one that can hold it is taken."""
    return _TRIED.get(codec, ("ffv1",) if codec in _LOSSLESS else _OTHERS)


def encoders_of(family: str) -> tuple[Encoder, ...]:
    """The software encoders of a family, the usual one first."""
    return tuple(encoder for encoder in _SOFTWARE if encoder.family == family)


def family_name(family: str) -> str:
    """A family as people write it."""
    return _NAMES.get(family, family)


def encoder_named(name: str) -> Encoder | None:
    """The encoder that FFmpeg calls ``name``; None for one that is not known to be usable."""
    if name in ENCODERS:
        return ENCODERS[name]
    family, _, maker = name.rpartition("_")
    if maker not in _HARDWARE or family not in _NAMES:
        return None
    # Quick Sync counts in 1/90000 s whatever it is told; it and AMF write no B-frames as they are set up here
    return Encoder(
        name, family, grid=family != "av1", counted=maker in {"qsv", "amf"}, reorders=maker in {"nvenc", "videotoolbox"}
    )


@cache
def layouts(name: str) -> dict[str, str]:
    """What this FFmpeg's encoder holds: the pixel formats, and how each has to lie in memory when it is given one.

    Empty when this FFmpeg has no such encoder.
    """
    encoder = encoder_named(name)
    try:
        formats = av.Codec(name, "w").video_formats or []
    except (av.codec.codec.UnknownCodecError, av.error.FFmpegError):
        return {}
    if encoder is None:
        return {}
    held: dict[str, str] = {}
    software = name in ENCODERS
    for given in (f.name for f in formats):
        decoded = LAYOUTS.get(given, given) if given not in encoder.changed else ""
        if name == "libx264rgb":
            decoded = "gbrp" if given == "bgr24" else ""
        elif not software and not decoded.startswith("yuv4"):
            continue  # not measured: there was no such device
        if decoded:
            held.setdefault(decoded, given)
    return held


def has_encoder(name: str) -> bool:
    """Whether this machine's FFmpeg was built with an encoder."""
    try:
        return av.Codec(name, "w").is_encoder
    except (av.codec.codec.UnknownCodecError, av.error.FFmpegError):
        return False


def decoded_format(encoder: Encoder, pix_fmt: str) -> str | None:
    """The pixel format that a video in ``pix_fmt`` has after this encoder, None where it would lose something.

    It is ``pix_fmt`` (without FFmpeg's old mark of the full range where the encoder does not know that), or the same
    samples in another order in memory.
    """
    held = layouts(encoder.name)
    choices = [pix_fmt, plain_format(pix_fmt), *([REORDERED[pix_fmt]] if pix_fmt in REORDERED else [])]
    return next((choice for choice in choices if choice in held), None)


def unfit(encoder: Encoder, video: VideoStream, size: tuple[int, int]) -> str | None:
    """What a video of ``size`` has that an encoder cannot hold exactly (``10 bits a sample``); None when it can."""
    pixels = pixel_format(video.pix_fmt)
    if decoded_format(encoder, video.pix_fmt) is None:
        return _samples(encoder, video.pix_fmt)
    if encoder.family in ONE_MATRIX and encoder.family != video.codec and video.color_space not in _LIKE_BT601:
        return f"colours of another matrix than BT.601's ({video.color_space})"
    if encoder.family == "vp8" and (video.mastering or video.light):
        return "HDR metadata"
    if encoder.grid and pixels and (size[0] % pixels.across or size[1] % pixels.down):
        return f"a size of {size[0]}x{size[1]} in {plain_format(video.pix_fmt)}"
    if video.interlaced and not encoder.interlaced:
        return "interlaced frames"
    # fields have whole chroma samples each
    if video.interlaced and encoder.grid and pixels and size[1] % (2 * pixels.down):
        return f"interlaced frames of {size[1]} lines"
    return None


def _samples(encoder: Encoder, pix_fmt: str) -> str:
    """What about a pixel format an encoder does not hold."""
    pixels = pixel_format(pix_fmt)
    if pixels and pixels.alpha:
        return f"transparency ({pix_fmt})"
    if pixels and pixels.bits > 8 and decoded_format(encoder, re.sub(r"\d*le$", "", pix_fmt)):
        return f"{pixels.bits} bits a sample"
    return f"pixels in {pix_fmt}"
