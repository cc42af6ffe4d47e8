"""A voice of a kind, in any codec, and what its samples are: read without any of the code under test."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from farm.domain.edits import Action
from farm.domain.sound import SoundSpan
from farm.executables import find_ffmpeg
from tests.integration.trips import PICTURE, VP8, X264, Rendered, Trip

#: A voice of a kind: a wandering pitch with overtones, louder and softer, and some noise. Two channels that differ.
_F0 = "(120*t+25*sin(2*t)/2)"
_VOICE = f"0.3*(1+0.7*sin(9*t))/2*(sin(2*PI*{_F0})+0.6*sin(4*PI*{_F0})+0.4*sin(10*PI*{_F0}))+0.01*(random(0)-0.5)"
BEGIN, END = Fraction(1), Fraction(2)
CODECS = {
    "aac.mp4": ["-c:a", "aac"],
    "opus.webm": ["-c:a", "libopus", "-b:a", "96k"],
    "vorbis.mkv": ["-c:a", "libvorbis"],
    "pcm.mov": ["-c:a", "pcm_s16le"],
    "deep.mov": ["-c:a", "pcm_s24le"],
    "flac.mkv": ["-c:a", "flac"],
    "alac.mov": ["-c:a", "alac"],
    "mp3.avi": ["-c:a", "libmp3lame"],
    "ac3.ts": ["-c:a", "ac3"],
    "mp2.ts": ["-c:a", "mp2"],
}
LOSSLESS = ("pcm.mov", "deep.mov", "flac.mkv", "alac.mov")


@dataclass(frozen=True)
class Decoded:
    """All samples of a stream, from -1 to 1, read without any of the code under test."""

    began: Fraction
    rate: int
    samples: NDArray[np.float64]
    codec: str
    layout: str

    def between(self, begin: Fraction, end: Fraction) -> NDArray[np.float64]:
        first, last = (round((time - self.began) * self.rate) for time in (begin, end))
        return self.samples[max(0, first) : last]


def decode(path: Path, number: int = 0) -> Decoded:
    parts, rate, layout = list[NDArray[np.float64]](), 0, ""
    began: Fraction | None = None
    with av.open(str(path)) as container:
        stream = container.streams.audio[number]
        for frame in container.decode(stream):
            if began is None:
                assert frame.pts is not None
                assert frame.time_base
                began, rate, layout = frame.pts * frame.time_base, frame.sample_rate, frame.layout.name
            samples: NDArray[Any] = frame.to_ndarray()
            samples = samples.T if frame.format.is_planar else samples.reshape(-1, frame.layout.nb_channels)
            if samples.dtype.kind == "u":
                samples = (samples.astype(np.int16) - 128) * 256
            scale = 1 if samples.dtype.kind == "f" else -float(np.iinfo(samples.dtype).min)
            parts.append(samples.astype(np.float64) / scale)
        codec = stream.codec_context.codec.canonical_name
    assert began is not None
    return Decoded(began, rate, np.concatenate(parts), codec, layout)


def voiced(
    render: Rendered,
    name: str,
    codec: Sequence[str] = (),
    rate: int = 48000,
    layout: str = "stereo",
    more: Sequence[str] = (),
) -> Path:
    """A clip of 3 s; ``name`` without ``codec``: one of :data:`CODECS`."""
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    voice = "|".join(_VOICE.replace("120*t", f"{120 + 40 * n}*t") for n in range(channels))
    sound = f"aevalsrc={voice}:s={rate}:c={layout}:d=3"
    video = {".webm": VP8, ".avi": ["-c:v", "mjpeg"]}.get(Path(name).suffix, X264)
    return render(
        name, "-f", "lavfi", "-i", PICTURE, *more, "-f", "lavfi", "-i", sound, *video, *(codec or CODECS[name])
    )


def edited(trip: Trip, action: Action = Action.MUTE, begin: Fraction = BEGIN, end: Fraction = END) -> Trip:
    """The trip with a span edited; times of its output."""
    tick, zero = trip.manifest.source.video.time_base, trip.manifest.shift
    return replace(trip, sound=(SoundSpan(action, zero + round(begin / tick), zero + round(end / tick)),))


def alike(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """The ratio of a to the difference, in decibels, where b is moved by at most 100 samples."""
    count = min(len(a), len(b)) - 200
    error = min(float(np.square(a[100 : 100 + count] - b[100 + n : 100 + n + count]).sum()) for n in range(-100, 101))
    return float(10 * np.log10(np.square(a).sum() / max(error, 1e-12)))


def nearest_shift(ours: Decoded, theirs: Decoded) -> float:
    """How alike the sounds' spectra through time become by any one shift of the pitch (1: equal)."""
    frames = [_spectra(d.samples[:, 0]) for d in (ours, theirs)]
    count = min(map(len, frames))
    a, b = (f[:count] for f in frames)
    bins = np.arange(a.shape[1])
    best = 0.0
    for semitones in np.arange(-14, 14, 0.25):
        at = np.clip(bins * 2 ** (semitones / 12), 0, a.shape[1] - 1).astype(int)
        moved = b[:, at]
        best = max(best, float((a * moved).sum() / np.sqrt((a * a).sum() * (moved * moved).sum())))
    return best


def _spectra(samples: NDArray[np.float64]) -> NDArray[np.float64]:
    size = 4096
    rows = [samples[i : i + size] * np.hanning(size) for i in range(0, len(samples) - size, size // 2)]
    spectra: NDArray[np.float64] = np.abs(np.fft.rfft(rows, axis=1))[:, :400]
    return spectra


def shifted(source: Path, out: Path) -> Path:
    """The sound of a clip with its pitch and formants shifted, by the same all the time."""
    words = [find_ffmpeg().path, "-v", "error", "-i", source, "-vn", "-af", "rubberband=pitch=0.8", out]
    subprocess.run([str(word) for word in words], check=True)
    return out
