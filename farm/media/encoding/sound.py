"""The table of encoders of sound, and the choice of one for a stream that was edited: of its own codec, if there is.

The program ffmpeg encodes while it composes (:mod:`farm.media.composing.arguments`).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import ceil

from farm.errors import OutputError
from farm.media.reading.sound import SoundFormat

#: How much more an encoder gets than the source has: what was encoded once before is encoded again.
_MORE = 1.25
#: Bits a second that each channel gets at least, at full rates.
_LEAST, _FULL_RATE = 48_000, 32_000
_MPEG1 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_MPEG2 = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_AC3 = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)
_AC3_RATES = (32_000, 44_100, 48_000)
_MPEG_RATES = (16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_AAC_RATES = (7350, 8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 64_000, 88_200, 96_000)
#: Vorbis' qualities by the bits a second that they need for two channels of 44.1 kHz, in thousands.
_VORBIS = {64: 0, 80: 1, 96: 2, 112: 3, 128: 4, 160: 5, 192: 6, 224: 7, 256: 8, 320: 9, 500: 10}


@dataclass(frozen=True, slots=True)
class SoundEncoder:
    """How a codec is encoded.

    ``name``: FFmpeg's of the encoder. ``lossless``: what is decoded equals what was encoded. ``spread``: samples before
    and after a moment that its sound may reach into. ``tail``: samples by which what is decoded ends too early.
    ``rates`` that it takes, all if empty; ``channels`` at most. ``bits``: its settings for bits a second.
    ``quiet``: the largest root mean square (full scale is 1), in any hundredth of a second, of what it leaves in
    silence.
    """

    name: str
    lossless: bool = False
    spread: int = 0
    tail: int = 0
    rates: tuple[int, ...] = ()
    channels: int = 64
    bits: Callable[[int, SoundFormat], dict[str, str]] | None = None
    quiet: float = 0.002

    def takes(self, sound: SoundFormat) -> bool:
        """Whether it encodes this without a change of its rate or channels."""
        return (not self.rates or sound.rate in self.rates) and sound.channels <= self.channels


def _any(most: int) -> Callable[[int, SoundFormat], dict[str, str]]:
    return lambda wanted, sound: {"b": str(min(wanted, most * sound.channels))}


def _next(wanted: int, steps: tuple[int, ...]) -> dict[str, str]:
    return {"b": str(1000 * next((step for step in steps if step * 1000 >= wanted), steps[-1]))}


def _mpeg(wanted: int, sound: SoundFormat) -> dict[str, str]:
    return _next(wanted, _MPEG1 if sound.rate >= _FULL_RATE else _MPEG2[:8] if sound.rate < 16_000 else _MPEG2)


def _mp2(wanted: int, sound: SoundFormat) -> dict[str, str]:
    steps = _MPEG2 if sound.rate < _FULL_RATE else (*(s for s in _MPEG1 if s != 40), 384)
    return _next(wanted, steps if sound.channels > 1 else tuple(s for s in steps if s <= 192))


def _vorbis(wanted: int, sound: SoundFormat) -> dict[str, str]:
    stereo = wanted / sound.channels * 2 * max(1.0, 44_100 / sound.rate)
    return {"q": str(next((q for kilo, q in _VORBIS.items() if kilo * 1000 >= stereo), 10))}


_ENCODERS: dict[str, SoundEncoder] = {
    "aac": SoundEncoder("aac", spread=3072, rates=_AAC_RATES, channels=8, bits=_any(288_000)),
    "mp3": SoundEncoder(
        "libmp3lame", spread=3456, rates=(8000, 11_025, 12_000, *_MPEG_RATES), channels=2, bits=_mpeg
    ),
    "mp2": SoundEncoder("mp2", spread=2304, tail=481, rates=_MPEG_RATES, channels=2, bits=_mp2),
    "ac3": SoundEncoder(
        "ac3", spread=3072, tail=256, rates=_AC3_RATES, channels=6, bits=lambda wanted, _: _next(wanted, _AC3)
    ),
    "eac3": SoundEncoder("eac3", spread=3072, tail=256, rates=_AC3_RATES, channels=6, bits=_any(512_000)),
    "opus": SoundEncoder(
        "libopus", spread=5760, rates=(8000, 12_000, 16_000, 24_000, 48_000), channels=8, bits=_any(256_000)
    ),
    "vorbis": SoundEncoder("libvorbis", spread=8192, channels=8, bits=_vorbis),
    "amr_nb": SoundEncoder(
        "libopencore_amrnb", spread=960, rates=(8000,), channels=1, bits=lambda *_: {"b": "12200"}
    ),
    "wmav2": SoundEncoder("wmav2", spread=8192, rates=_AAC_RATES[1:10], channels=2, bits=_any(192_000)),
    "adpcm_ima_qt": SoundEncoder("adpcm_ima_qt", spread=128, channels=2),
    "flac": SoundEncoder("flac", lossless=True, quiet=0, channels=8),
    "alac": SoundEncoder("alac", lossless=True, quiet=0, channels=8),
    "wavpack": SoundEncoder("wavpack", lossless=True, quiet=0),
    "tta": SoundEncoder("tta", lossless=True, quiet=0),
    "truehd": SoundEncoder("truehd", lossless=True, quiet=0, rates=(44_100, 48_000, 88_200, 96_000), channels=6),
    "s302m": SoundEncoder("s302m", lossless=True, quiet=0, rates=(48_000,), channels=8),
}  # fmt: skip
#: They have no zero.
_LOGARITHMIC = ("pcm_alaw", "pcm_mulaw")
#: Codecs that hold everything, and what stands in for those that have no encoder. Others get one with loss.
_WITHOUT_LOSS = ("truehd", "mlp", "ape", "tak", "als", "mp4als", "shorten", "dts")
_INSTEAD = ("flac", "alac", "aac", "ac3", "mp2", "opus", "pcm_s16le")
#: FFmpeg has no encoder for these forms of PCM; the samples are the same.
_PCM_INSTEAD = {"pcm_bluray": "pcm_s24le", "pcm_dvd": "pcm_s24le", "pcm_f16le": "pcm_f32le", "pcm_f24le": "pcm_f32le"}


@dataclass(frozen=True, slots=True)
class EncodedSound:
    """How a stream is encoded: ``codec`` is FFmpeg's name of it, which may be a substitute; ``settings`` are ffmpeg's
    options for it.
    """

    codec: str
    encoder: SoundEncoder
    settings: dict[str, str]


def sound_encoder(codec: str, sound: SoundFormat, source_bits: int, holds: Callable[[str], bool]) -> EncodedSound:
    """The encoder for a stream of ``codec``; another codec's where there is none for it.

    ``source_bits``: the source's bits a second; ``holds``: which codecs the container takes. Raises OutputError where
    none can be used.
    """
    for each, encoder in _candidates(codec, holds):
        if encoder.takes(sound):
            return EncodedSound(each, encoder, _settings(encoder, sound, source_bits))
    raise OutputError(
        f"edited sound ({codec}, {sound.rate} Hz, {sound.layout}) cannot be encoded for this output",
        hint="undo the edits of its sound and retry the job, or submit the video again with -o NAME.mkv",
    )


def rate_for(codec: str, rate: int) -> int:
    """The rate at which a codec is encoded: ``rate`` if it takes that, else the next higher one, or its highest."""
    encoder = _encoder_of(codec)
    rates = encoder.rates if encoder else ()
    return rate if not rates or rate in rates else min((r for r in rates if r > rate), default=max(rates))


def can_be_encoded(codec: str, holds: Callable[[str], bool]) -> bool:
    """Whether there is an encoder for a codec of sound or for a substitute, whatever its rate."""
    return any(True for _ in _candidates(codec, holds))


def _candidates(codec: str, holds: Callable[[str], bool]) -> Iterator[tuple[str, SoundEncoder]]:
    name = _PCM_INSTEAD.get(codec, codec)
    for each in (name, *(_INSTEAD if codec in _WITHOUT_LOSS else _INSTEAD[2:])):
        encoder = _encoder_of(each)
        if encoder is not None and (each == codec or holds(each)):
            yield each, encoder


def _encoder_of(codec: str) -> SoundEncoder | None:
    if codec.startswith("pcm_") and codec not in _PCM_INSTEAD:
        return SoundEncoder(codec, lossless=True, quiet=0.002 if codec in _LOGARITHMIC else 0)
    return _ENCODERS.get(codec)


def _settings(encoder: SoundEncoder, sound: SoundFormat, source_bits: int) -> dict[str, str]:
    settings = {"c": encoder.name}
    if encoder.bits is not None:
        least = _LEAST * sound.channels * min(1.0, sound.rate / _FULL_RATE)
        settings |= encoder.bits(ceil(max(source_bits * _MORE, least)), sound)
    return settings
