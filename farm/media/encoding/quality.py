"""One scale of quality and one of effort for all encoders: x264's CRF and x264's presets.

The numbers of other encoders are those that come about as near to the source: 44 to 48 dB (PSNR of luma) at 18, on
footage of a face.
"""

from farm.domain.options import PRESETS

#: x264's and x265's CRF ends at 51; AV1's and VP9's at 63, AV1's of nvenc at 255.
_END = 51
#: SVT-AV1 says itself that its presets from 10 on may show artefacts.
_SVT = dict(zip(PRESETS, ("9", "9", "8", "7", "6", "5", "4", "3", "2"), strict=True))
_VPX = dict(zip(PRESETS, ("5", "5", "5", "4", "3", "2", "1", "1", "0"), strict=True))
_NVENC = dict(zip(PRESETS, ("p1", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p7"), strict=True))
#: Far above what any picture needs, so that only the quality limits VP8.
_UNLIMITED = 1_000_000_000
#: FFmpeg's names of ProRes' profiles, as probed, and the encoder's.
_PRORES = {
    "Proxy": "proxy", "LT": "lt", "Standard": "standard", "HQ": "hq", "4444": "4444", "XQ": "4444xq",
    "apco": "proxy", "apcs": "lt", "apcn": "standard", "apch": "hq", "ap4h": "4444", "ap4x": "4444xq",
}  # fmt: skip


def _scaled(crf: int, end: int) -> str:
    return str(round(crf * end / _END))


def _step(crf: int) -> int:
    """MPEG's quantiser, 2 to 31, with about H.264's step at ``crf``: that one doubles every 6, MPEG's is linear."""
    return min(31, max(2, round(0.3125 * 2 ** (crf / 6))))


def quality_options(encoder: str, crf: int, preset: str, profile: str | None) -> dict[str, str]:
    """The encoder's own options for the user's ``crf`` and ``preset``. ``profile``: the source's, for ProRes.

    ``flags`` among them turns FFmpeg's own on.
    """
    maker = encoder.rpartition("_")[2]
    # these take a constant quantiser from each frame, of which PyAV says none: 0, which is then brought into bounds
    constant = {"qmin": str(_step(crf)), "qmax": str(_step(crf)), "flags": "+qscale"}
    match encoder:
        case "libx264" | "libx264rgb" | "libx265":
            return {"crf": str(crf), "preset": preset, "forced-idr": "1"}
        case "libsvtav1":
            return {"crf": _scaled(crf, 63), "preset": _SVT[preset]}
        case "libvpx":
            # measured: with AV1's numbers VP8 would be 4 dB below the others at 18
            step = str(round(max(0, crf - 8) * 63 / (_END - 8)))
            return {"crf": step, "qmin": step, "qmax": step, "b": str(_UNLIMITED), **_vpx(preset)}
        case "libvpx-vp9":
            return {"crf": _scaled(crf, 63), "b": "0", "row-mt": "1", **_vpx(preset)}
        case "mpeg1video" | "mpeg2video" | "mpeg4":
            # closed groups of pictures, for which these encoders ask that no scene change makes key frames
            return {**constant, "flags": "+qscale+cgop", "sc_threshold": "1000000000"}
        case "mjpeg":
            return constant
        case "prores_ks":
            return {"profile": _PRORES.get(profile or "", "hq")}
        case "ffv1":
            return {"level": "3", "slicecrc": "1"}
    match maker:
        case "nvenc":
            qp = _scaled(crf, 255) if encoder.startswith("av1") else str(crf)
            return {"rc": "constqp", "qp": qp, "preset": _NVENC[preset], "forced-idr": "1"}
        case "qsv":
            known = "veryfast" if preset in PRESETS[:3] else preset
            return {"global_quality": str(max(1, crf)), "preset": known, "forced_idr": "1", "bf": "0"}
        case "amf":
            return {"rc": "cqp", "qp_i": str(crf), "qp_p": str(crf), "forced_idr": "1", "bf": "0"}
    return {"q": str(100 - round(crf * 100 / _END)), "flags": "+qscale"}


def _vpx(preset: str) -> dict[str, str]:
    # without hidden frames every packet is a frame that is shown
    return {"deadline": "good", "cpu-used": _VPX[preset], "auto-alt-ref": "0"}
