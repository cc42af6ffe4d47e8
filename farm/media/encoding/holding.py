"""Which encoders run on this machine, and whether an encoder can hold a video exactly."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import cache

import av
from av.video.codeccontext import VideoCodecContext

from farm.domain.manifest import VideoStream
from farm.domain.pixels import pixel_format, plain_format
from farm.media.encoding.encoders import ENCODERS, Encoder

#: The same samples, arranged otherwise in memory: a format that encoders take, and the one it is decoded to.
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
#: The same for PNG.
PACKED = {
    **dict.fromkeys(("bgr24", "rgb0", "bgr0", "0rgb", "0bgr", "gbrp"), "rgb24"),
    **dict.fromkeys(("bgra", "argb", "abgr", "gbrap"), "rgba"),
}
#: Families whose streams name no colour matrix: decoders take BT.601's, whatever the container states.
ONE_MATRIX = frozenset({"mjpeg", "vp8"})
BT601 = 5
LIKE_BT601 = frozenset({2, 5, 6})  # unspecified, and the two names of that matrix
#: The picture that a hardware encoder is tried with: none of them takes a much smaller one.
_TRIED = (320, 192)


def available_encoders() -> tuple[str, ...]:
    """FFmpeg's names of the table's encoders that run on this machine. Raises nothing and prints nothing."""
    return tuple(name for name in ENCODERS if runs_here(name))


@cache
def runs_here(name: str) -> bool:
    """Whether this machine has the encoder ``name`` of the table: FFmpeg's build of a software one, else its device.

    A hardware encoder is opened and encodes one small picture, once per process.
    """
    codec = _codec(name)
    if codec is None or not ENCODERS[name].hardware:
        return codec is not None
    width, height = _TRIED
    layout = next(iter(layouts(name).values()))
    try:
        with _silenced():
            context = av.CodecContext.create(codec, "w")
            assert isinstance(context, VideoCodecContext)
            context.width, context.height, context.pix_fmt = width, height, layout
            context.time_base, context.framerate = Fraction(1, 25), Fraction(25)
            frame = av.VideoFrame(width, height, layout)
            frame.pts, frame.time_base = 0, context.time_base
            return bool([*context.encode(frame), *context.encode(None)])
    except Exception:  # noqa: BLE001 - whatever a driver does: the encoder does not run here
        return False


def _codec(name: str) -> av.Codec | None:
    try:
        return av.Codec(name, "w")
    except (av.codec.codec.UnknownCodecError, av.error.FFmpegError):
        return None


@contextmanager
def _silenced() -> Iterator[None]:
    """Discard standard error of the whole process: drivers write to it without FFmpeg's log."""
    kept = os.dup(2)
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@cache
def layouts(name: str) -> dict[str, str]:
    """What an encoder of the table holds: the pixel formats, and how each has to be arranged in memory for it.

    As the local FFmpeg states it; without such an encoder in it, as the table does for hardware, and nothing else.
    """
    encoder, codec = ENCODERS[name], _codec(name)
    takes = encoder.formats if codec is None else tuple(f.name for f in codec.video_formats or [])
    held: dict[str, str] = {}
    for given in takes:
        decoded = LAYOUTS.get(given, given) if given not in encoder.changed else ""
        if name == "libx264rgb":
            decoded = "gbrp" if given == "bgr24" else ""
        elif encoder.hardware and not decoded.startswith("yuv4"):
            continue  # not measured: there was no such device
        if decoded:
            held.setdefault(decoded, given)
    return held


def decoded_format(encoder: Encoder, pix_fmt: str) -> str | None:
    """The pixel format that a video in ``pix_fmt`` has after this encoder, None if it would lose something.

    It is ``pix_fmt`` (without FFmpeg's old mark of the full range if the encoder does not know that), or the same
    samples in another order in memory.
    """
    held = layouts(encoder.name)
    reordered = (each[pix_fmt] for each in (REORDERED, PACKED) if pix_fmt in each)
    choices = [pix_fmt, plain_format(pix_fmt), *reordered]
    return next((choice for choice in choices if choice in held), None)


def unfit(encoder: Encoder, video: VideoStream, size: tuple[int, int]) -> str | None:
    """What a video of ``size`` has that an encoder cannot hold exactly (``10 bits a sample``); None if it can."""
    pixels = pixel_format(video.pix_fmt)
    if decoded_format(encoder, video.pix_fmt) is None:
        return _samples(encoder, video.pix_fmt)
    if encoder.family in ONE_MATRIX and encoder.family != video.codec and video.color_space not in LIKE_BT601:
        return f"colours of another matrix than BT.601's ({video.color_space})"
    if encoder.family == "vp8" and (video.mastering or video.light):
        return "HDR metadata"
    if encoder.grid and pixels and (size[0] % pixels.across or size[1] % pixels.down):
        return f"a size of {size[0]}x{size[1]} in {plain_format(video.pix_fmt)}"
    if video.interlaced and not encoder.interlaced:
        return "interlaced frames"
    # each field has whole chroma samples
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
