"""What each container holds of sound, subtitles, cover art and data, without changing it."""

from av.codec.codec import Codec, UnknownCodecError

from farm.domain.manifest import OtherStream
from farm.domain.options import ComposeOptions

_COVER_CODECS = frozenset({"mjpeg", "png", "bmp"})
_PCM = frozenset({"s16le", "s16be", "s24le", "s24be", "s32le", "s32be", "f32le", "f64le"})
#: QuickTime's forms of PCM, and Matroska's: each has a way to write it.
_MOV_PCM = frozenset(f"pcm_{form}" for form in (*_PCM, "f32be", "f64be", "s8", "u8", "alaw", "mulaw"))
_MATROSKA_AUDIO = frozenset(f"pcm_{form}" for form in (*_PCM, "u8")) | {
    "aac", "ac3", "alac", "dts", "eac3", "flac", "mlp", "mp1", "mp2", "mp3", "opus", "qdm2", "ra_144", "truehd",
    "tta", "vorbis", "wavpack",
}  # fmt: skip
#: What Matroska describes by the number that Windows has for the codec (``A_MS/ACM``).
_MATROSKA_NUMBERED = frozenset({
    "pcm_alaw", "pcm_mulaw", "amr_nb", "amr_wb", "adpcm_ms", "adpcm_ima_wav", "adpcm_yamaha", "adpcm_g722",
    "adpcm_g726", "adpcm_swf", "adpcm_ct", "g723_1", "g729", "gsm_ms", "imc", "speex", "truespeech", "wmav1", "wmav2",
    "wmapro", "wmalossless", "wmavoice",
})  # fmt: skip
#: The formats whose streams have that number, or one from which FFmpeg finds it. FLV's and RealMedia's are others.
_NUMBERING = frozenset({"matroska", "asf", "avi", "nut", "wav", "mov"})
_MATROSKA_NOT = frozenset({"mov_text", "dvb_teletext", "eia_608"})
#: FFmpeg's names of what it has no name for.
_UNNAMED = frozenset({"unknown", "none"})
#: The kinds of streams that are not left out unless that is asked.
LOSABLE = ("audio", "subtitle")
_MOBILE = frozenset({"aac", "amr_nb", "amr_wb"})
_TRANSPORTED = {
    "audio": frozenset({"aac", "aac_latm", "mp3", "mp2", "ac3", "eac3", "dts", "truehd", "opus", "s302m"}),
    "subtitle": frozenset({"dvb_subtitle", "dvb_teletext"}),
    "data": frozenset({"klv", "timed_id3"}),
}
_HELD: dict[str, dict[str, frozenset[str]]] = {
    "mp4": {
        "audio": frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "alac", "opus", "flac", "dts", "truehd", "vorbis"}),
        "subtitle": frozenset({"mov_text", "dvd_subtitle"}),
        "cover": _COVER_CODECS,
    },
    "mov": {
        "audio": _MOV_PCM | {"aac", "mp3", "mp2", "ac3", "eac3", "alac", "dts", "amr_nb", "amr_wb", "adpcm_ima_qt"},
        "subtitle": frozenset({"mov_text"}),
        "cover": _COVER_CODECS,
    },
    "mpegts": _TRANSPORTED,
    "m2ts": _TRANSPORTED
    | {
        "audio": _TRANSPORTED["audio"] | {"pcm_bluray"},
        "subtitle": _TRANSPORTED["subtitle"] | {"hdmv_pgs_subtitle"},
    },
    "webm": {"audio": frozenset({"vorbis", "opus"}), "subtitle": frozenset({"webvtt"})},
    "avi": {"audio": frozenset({"mp3", "mp2", "ac3", "pcm_u8", "pcm_s16le", "pcm_s24le"})},
    "mpeg": {"audio": frozenset({"mp2", "mp3", "ac3", "dts"})},
    "3gp": {"audio": _MOBILE, "subtitle": frozenset({"mov_text"})},
    "3g2": {"audio": _MOBILE, "subtitle": frozenset({"mov_text"})},
    "flv": {"audio": frozenset({"aac", "mp3"})},
}


def is_unknown(other: OtherStream) -> bool:
    """Whether FFmpeg has no name for a stream of sound or subtitles, so that nothing can read it."""
    return other.kind in LOSABLE and other.codec in _UNNAMED


def encoded_as(container: str, other: OtherStream, options: ComposeOptions, source: str = "") -> str | None:
    """The codec in which sound is encoded since a container cannot hold it and ``options.audio`` is ``aac``; or None.

    ``source``: see :func:`holds`.
    """
    if options.audio != "aac" or other.kind != "audio" or holds(container, other, source):
        return None
    if not can_be_decoded(other.codec):
        return None
    return "opus" if container == "webm" else "aac"


def can_be_decoded(codec: str) -> bool:
    """Whether there is a decoder for a codec of sound, by FFmpeg's name of it."""
    try:
        Codec(codec, "r")
    except UnknownCodecError:
        return False
    return True


def holds(container: str, other: OtherStream, source: str = "") -> bool:
    """Whether a container can hold a stream without changing it.

    ``source``: FFmpeg's name of the container that it comes from, if that is known.
    """
    if container != "matroska":
        return other.codec in _HELD[container].get(other.kind, frozenset())
    if other.kind == "audio":
        numbered = not source or not _NUMBERING.isdisjoint(source.split(","))
        return other.codec in _MATROSKA_AUDIO or (other.codec in _MATROSKA_NUMBERED and numbered)
    return other.kind in ("attachment", "cover") or (
        other.kind == "subtitle" and other.codec not in _MATROSKA_NOT and not is_unknown(other)
    )
