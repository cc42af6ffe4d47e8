"""The table of encoders: what each can hold, how it is set up, and how good its pictures are at least.

What an encoder holds was measured: a picture was encoded and decoded in each of its pixel formats, with even and with
odd sizes. A format counts as held only if it is decoded as the same format again (ProRes 4444 comes back as 12 bits,
and FFmpeg's H.264 decoder makes 4:2:0 of gray).

All encoders share one scale of quality and one of effort: x264's CRF and x264's presets. The numbers of the other
encoders are those that come about as near to the source: 44 to 48 dB (PSNR of luma) at 18, on footage of a face.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from typing import Literal, NamedTuple

from farm.domain.manifest import Mastering
from farm.domain.options import PRESETS

#: Key frames at most this far apart, in frames, unless the encoder's row says otherwise.
_GOP = 250
#: x264's and x265's CRF ends at 51; AV1's and VP9's at 63, NVENC's AV1 at 255.
_END, _END_AV1, _END_NVENC_AV1 = 51, 63, 255
#: SVT-AV1 itself warns that its presets from 10 on may show artefacts.
_SVT = dict(zip(PRESETS, ("9", "9", "8", "7", "6", "5", "4", "3", "2"), strict=True))
_VPX = dict(zip(PRESETS, ("5", "5", "5", "4", "3", "2", "1", "1", "0"), strict=True))
_NVENC = dict(zip(PRESETS, ("p1", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p7"), strict=True))
#: Far above what any picture needs, so that VP8 is limited by its quality only.
_UNLIMITED = 1_000_000_000
#: FFmpeg's names of ProRes' profiles, as probed, and the encoder's.
_PRORES = {
    "Proxy": "proxy", "LT": "lt", "Standard": "standard", "HQ": "hq", "4444": "4444", "XQ": "4444xq",
    "apco": "proxy", "apcs": "lt", "apcn": "standard", "apch": "hq", "ap4h": "4444", "ap4x": "4444xq",
}  # fmt: skip
#: All frame rates that MPEG-1 and MPEG-2 can state.
_MPEG_RATES = sorted((*(Fraction(n, 1001) for n in (24000, 30000, 60000)), *map(Fraction, (24, 25, 30, 50, 60))))
_SVT_RATE = Fraction(240)  # the most that SVT-AV1 takes
_MPEG4_RATE = 65_535  # the most for numerator and denominator
_USUAL_RATE = Fraction(30)
_XY = 50_000  # units of a chromaticity of 1
_CANDELA = 10_000  # units of 1 cd/m2
#: Bounds of the PSNR in dB that is asked for, and the value at the usual quality (noise has 26 there).
_WORST, _USUAL, _BEST = 5.0, 21.0, 26.0
_ALPHA = frozenset({"yuva420p", "yuva422p", "yuva444p", "gbrap", "yuva420p10le"})


class Asked(NamedTuple):
    """``crf`` and ``preset`` on x264's scales, the source's profile (for ProRes), a ``bitrate`` in bits a second."""

    crf: float
    preset: str
    profile: str | None = None
    bitrate: int | None = None


class Floor(NamedTuple):
    """The least PSNR by quality: 21 dB where ``option`` is ``usual``, and ``step`` dB less for each unit above."""

    option: str
    usual: float
    step: float


@dataclass(frozen=True, slots=True)
class Hdr:
    """How HDR metadata is passed to an encoder: the names of its two parameters, and how it writes numbers.

    ``xy`` and ``candela``: the text of a number of :class:`farm.domain.manifest.Mastering`.
    """

    display: str
    light: str
    xy: Callable[[int], str] = str
    candela: Callable[[int], str] = str

    def parameters(self, mastering: Mastering | None, light: tuple[int, int] | None) -> list[str]:
        """The encoder's parameters, ``name=value`` each: the display only if all of SMPTE ST 2086 is known."""
        found = []
        if mastering and mastering.primaries and mastering.white and mastering.luminance:
            red, green, blue = (mastering.primaries[at : at + 2] for at in (0, 2, 4))
            points = (("G", green), ("B", blue), ("R", red), ("WP", mastering.white))
            display = "".join(f"{name}({self.xy(x)},{self.xy(y)})" for name, (x, y) in points)
            most, least = mastering.luminance
            found.append(f"{self.display}={display}L({self.candela(most)},{self.candela(least)})")
        return [*found, f"{self.light}={light[0]},{light[1]}"] if light else found


@dataclass(frozen=True, slots=True)
class Encoder:
    """One encoder. ``quality``: its own options for a quality; ``flags`` among them turns FFmpeg's own on.

    ``floor``: the PSNR in dB below which no plane of a legitimate encode lies. ``gop``: see
    :class:`farm.domain.encoding.EncoderSettings`, as for ``muxer``, ``counted`` and ``reorders``.
    ``grid``: sizes have to be whole chroma samples. ``interlaced``: it can encode fields.
    ``changed``: pixel formats it takes that are decoded as others. ``extra``: options that are always set.
    ``parameters``: its option with a list of parameters, and those that are always in it; ``pool``: the parameter for
    the size of its thread pool, and the greatest size. ``one_thread``: several would show in the header (mpeg4), or
    hang for minutes in busy loops on busy cores (vp8). ``full_range``: limited range needs FFmpeg's leave. ``hdr``:
    None where only the container can state it (:mod:`farm.media.composing.colour_boxes`). ``rate``: the nearest rate
    that its header can state. ``formats``: of a hardware encoder, those to go by if the local FFmpeg does not have it.
    ``sized``: what reaches a given size; None if nothing does. ``joining``: keeps the headers equal at any size.
    """

    name: str
    family: str
    quality: Callable[[Asked], dict[str, str]]
    floor: Floor | float = _WORST
    gop: int = _GOP
    muxer: str = "mp4"
    grid: bool = False
    interlaced: bool = False
    counted: bool = False
    reorders: bool = False
    changed: frozenset[str] = frozenset()
    extra: tuple[tuple[str, str], ...] = ()
    parameters: tuple[str, ...] = ()
    pool: tuple[str, int] | None = None
    one_thread: bool = False
    full_range: bool = False
    hdr: Hdr | None = None
    rate: Callable[[Fraction], Fraction] | None = None
    formats: tuple[str, ...] = ()
    sized: Literal["crf", "bitrate"] | None = None
    joining: tuple[tuple[str, str], ...] = ()

    @property
    def hardware(self) -> bool:
        """Whether it needs a device beside the CPU."""
        return bool(self.formats)

    def clock_rate(self, rate: Fraction | None) -> Fraction:
        """The frame rate that the header states for a video of ``rate`` frames a second (None: not known).

        Packets have times of their own: nothing depends on it being exact.
        """
        known = rate if rate and rate > 0 else _USUAL_RATE
        return self.rate(known) if self.rate else known

    def lowest_psnr(self, options: Mapping[str, str]) -> float:
        """The PSNR in dB below which no plane of a legitimate encode with ``options`` lies, whatever the picture."""
        if not isinstance(self.floor, Floor):
            return self.floor
        option, usual, step = self.floor
        return min(_BEST, max(_WORST, _USUAL - (float(options[option]) - usual) * step))


def quiet_encoders() -> None:
    """Set the environment so that SVT-AV1, which bypasses FFmpeg's log, writes errors only to standard error.

    The library offers no other way. For a program's entry point, before the first encoder is opened.
    """
    os.environ.setdefault("SVT_LOG", "1")


def _scaled(crf: float, end: int) -> str:
    return str(round(crf * end / _END))


def _x26x(asked: Asked) -> dict[str, str]:
    return {"crf": f"{asked.crf:g}", "preset": asked.preset, "forced-idr": "1"}


def _svt(asked: Asked) -> dict[str, str]:
    return {"crf": _scaled(asked.crf, _END_AV1), "preset": _SVT[asked.preset]}


def _vp8(asked: Asked) -> dict[str, str]:
    # measured: with AV1's numbers VP8 would be 4 dB below the others at 18
    step = str(round(max(0, asked.crf - 8) * 63 / (_END - 8)))
    return {"crf": step, "qmin": step, "qmax": step, "b": str(_UNLIMITED), **_vpx(asked)}


def _vp9(asked: Asked) -> dict[str, str]:
    return {"crf": _scaled(asked.crf, _END_AV1), "b": "0", "row-mt": "1", **_vpx(asked)}


def _vpx(asked: Asked) -> dict[str, str]:
    # without hidden frames every packet is a frame that is shown
    return {"deadline": "good", "cpu-used": _VPX[asked.preset], "auto-alt-ref": "0"}


def _quantiser(asked: Asked, flags: str = "") -> dict[str, str]:
    """MPEG's quantiser, 2 to 31, with about H.264's step at ``crf``: that one doubles every 6, MPEG's is linear.

    A constant one is read from each frame. PyAV cannot set it, so it is 0 and is then clipped to the bounds.
    """
    step = str(min(31, max(2, round(0.3125 * 2 ** (asked.crf / 6)))))
    if asked.bitrate is None:
        return {"qmin": step, "qmax": step, "flags": "+qscale" + flags}
    return {"qmin": step, "qmax": "31", "b": str(asked.bitrate), "bt": str(asked.bitrate), "flags": flags}


def _mpeg(asked: Asked) -> dict[str, str]:
    # closed groups of pictures, for which these encoders ask that no scene change makes key frames
    return {**_quantiser(asked, "+cgop"), "sc_threshold": "1000000000"}


def _prores(asked: Asked) -> dict[str, str]:
    return {"profile": _PRORES.get(asked.profile or "", "hq")}


def _ffv1(_: Asked) -> dict[str, str]:
    return {"level": "3", "slicecrc": "1"}


def _nvenc(asked: Asked) -> dict[str, str]:
    return {"rc": "constqp", "qp": str(round(asked.crf)), "preset": _NVENC[asked.preset], "forced-idr": "1"}


def _nvenc_av1(asked: Asked) -> dict[str, str]:
    return {**_nvenc(asked), "qp": _scaled(asked.crf, _END_NVENC_AV1)}


def _qsv(asked: Asked) -> dict[str, str]:
    known = "veryfast" if asked.preset in PRESETS[:3] else asked.preset
    return {"global_quality": str(max(1, round(asked.crf))), "preset": known, "forced_idr": "1", "bf": "0"}


def _amf(asked: Asked) -> dict[str, str]:
    return {"rc": "cqp", "qp_i": str(round(asked.crf)), "qp_p": str(round(asked.crf)), "forced_idr": "1", "bf": "0"}


def _videotoolbox(asked: Asked) -> dict[str, str]:
    return {"q": str(100 - round(asked.crf * 100 / _END)), "flags": "+qscale"}


def _mpeg_rate(said: Fraction) -> Fraction:
    return min(_MPEG_RATES, key=lambda able: abs(able - said))


def _mpeg4_rate(said: Fraction) -> Fraction:
    if max(said.numerator, said.denominator) <= _MPEG4_RATE:
        return said
    return max(Fraction(1), min(Fraction(_MPEG4_RATE), Fraction(round(said))))


_CRF_FLOOR, _AV1_FLOOR = Floor("crf", 18, 0.8), Floor("crf", 30, 0.55)
_QP_FLOOR = _CRF_FLOOR._replace(option="qp")
_AV1_SCALE = _END_NVENC_AV1 / _END_AV1
_NVENC_AV1_FLOOR = Floor("qp", _AV1_FLOOR.usual * _AV1_SCALE, _AV1_FLOOR.step / _AV1_SCALE)
_FIXED = 10.0  # dB, of encoders without such a scale: noise has 16 dB at MPEG's greatest step, 24 in ProRes
# captions come with the decoded frames; parameter sets name no options, which differ with the number of threads
_CAPTIONS = (("a53cc", "1"),)
_STITCHABLE = (("x264-params", "stitchable=1"),)
# headers of MPEG-1 and MPEG-2 state the greatest bitrate and the decoder's buffer: these bound no real video
_MPEG_HEADER = (("maxrate", "100000000"), ("bufsize", "16000000"))
_X265 = ("x265-params", "log-level=error", "open-gop=0", "info=0", "repeat-headers=0")
# in AV1 a chromaticity is counted in 1/65536: fine enough that rounding to 1/50000 gives the source's number back
_SVT_HDR = Hdr("mastering-display", "content-light", lambda v: f"{v / _XY:.5f}", lambda v: f"{v / _CANDELA:.4f}")
_SOFTWARE = (
    Encoder("libx264", "h264", _x26x, _CRF_FLOOR, grid=True, interlaced=True, reorders=True, extra=_CAPTIONS,
            changed=frozenset({"gray", "gray10le", "nv12", "nv16"}), parameters=("x264-params", "open-gop=0"),
            sized="crf", joining=_STITCHABLE, hdr=Hdr("mastering-display", "cll")),
    Encoder("libx264rgb", "h264", _x26x, _CRF_FLOOR, reorders=True, sized="crf", joining=_STITCHABLE),
    Encoder("libx265", "hevc", _x26x, _CRF_FLOOR, grid=True, reorders=True, extra=_CAPTIONS, changed=_ALPHA,
            parameters=_X265, sized="crf", pool=("pools", 1 << 16), hdr=Hdr("master-display", "max-cll")),
    Encoder("libsvtav1", "av1", _svt, _AV1_FLOOR, parameters=("svtav1-params", "irefresh-type=2"), pool=("lp", 6),
            hdr=_SVT_HDR, sized="crf", rate=lambda said: min(said, _SVT_RATE)),
    Encoder("libvpx", "vp8", _vp8, _AV1_FLOOR, muxer="matroska", changed=_ALPHA, sized="crf", one_thread=True),
    Encoder("libvpx-vp9", "vp9", _vp9, _AV1_FLOOR, changed=_ALPHA | {"yuv440p"}, sized="crf"),
    Encoder("mpeg1video", "mpeg1video", _mpeg, _FIXED, 15, counted=True, rate=_mpeg_rate, sized="bitrate",
            joining=_MPEG_HEADER),
    Encoder("mpeg2video", "mpeg2video", _mpeg, _FIXED, 15, counted=True, interlaced=True, rate=_mpeg_rate,
            sized="bitrate", joining=_MPEG_HEADER),
    Encoder("mpeg4", "mpeg4", _mpeg, _FIXED, counted=True, interlaced=True, one_thread=True, rate=_mpeg4_rate,
            sized="bitrate"),
    Encoder("prores_ks", "prores", _prores, _FIXED, 1, "mov", counted=True, interlaced=True,
            changed=frozenset({"yuv444p10le", "yuva444p10le"})),
    Encoder("ffv1", "ffv1", _ffv1, inf, 1, counted=True, interlaced=True),
    Encoder("mjpeg", "mjpeg", _quantiser, _FIXED, 1, counted=True, full_range=True),
    Encoder("png", "png", lambda _: {"pred": "mixed"}, inf, 1, "mov", counted=True),  # of covers
)  # fmt: skip
_8, _10 = ("nv12",), ("nv12", "p010le")
# Those that take frames from ordinary memory. Quick Sync counts in 1/90000 s whatever it is told; it and AMF write no
# B-frames as they are set up here. NVENC's quantiser is constant: its floors are x264's and SVT-AV1's on its scales.
# The floors of the others were not measured
_HARDWARE = (
    Encoder("h264_nvenc", "h264", _nvenc, _QP_FLOOR, grid=True, reorders=True, formats=_8),
    Encoder("hevc_nvenc", "hevc", _nvenc, _QP_FLOOR, grid=True, reorders=True, formats=_10),
    Encoder("av1_nvenc", "av1", _nvenc_av1, _NVENC_AV1_FLOOR, reorders=True, formats=_10),
    Encoder("h264_qsv", "h264", _qsv, grid=True, counted=True, formats=_8),
    Encoder("hevc_qsv", "hevc", _qsv, grid=True, counted=True, formats=_10),
    Encoder("av1_qsv", "av1", _qsv, counted=True, formats=_10),
    Encoder("vp9_qsv", "vp9", _qsv, grid=True, counted=True, formats=_10),
    Encoder("mjpeg_qsv", "mjpeg", _qsv, grid=True, counted=True, formats=_8),
    Encoder("h264_amf", "h264", _amf, grid=True, counted=True, formats=_8),
    Encoder("hevc_amf", "hevc", _amf, grid=True, counted=True, formats=_10),
    Encoder("av1_amf", "av1", _amf, counted=True, formats=_10),
    Encoder("h264_videotoolbox", "h264", _videotoolbox, grid=True, reorders=True, formats=_8),
    Encoder("hevc_videotoolbox", "hevc", _videotoolbox, grid=True, reorders=True, formats=_10),
    Encoder("prores_videotoolbox", "prores", _videotoolbox, grid=True, reorders=True, muxer="mov", formats=("p210le",)),
)
#: All encoders that the farm can use, by FFmpeg's name.
ENCODERS = {encoder.name: encoder for encoder in (*_SOFTWARE, *_HARDWARE)}


def encoders_of(family: str) -> tuple[Encoder, ...]:
    """The software encoders of a codec family, the usual one first."""
    return tuple(encoder for encoder in _SOFTWARE if encoder.family == family)
