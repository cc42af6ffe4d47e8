"""Edited sound: silence and tones where they were asked for, the source's sound everywhere else."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from farm.domain.edits import Action
from farm.domain.options import ComposeOptions
from farm.domain.sound import SoundSpan
from farm.errors import VerificationError
from tests.integration.rich import packets, part, rich
from tests.integration.trips import PICTURE, VP8, X264, Rendered, Trip, start

#: A voice of a kind: a wandering pitch with overtones, louder and softer, and some noise. Two channels that differ.
_F0 = "(120*t+25*sin(2*t)/2)"
_VOICE = f"0.3*(1+0.7*sin(9*t))/2*(sin(2*PI*{_F0})+0.6*sin(4*PI*{_F0})+0.4*sin(10*PI*{_F0}))+0.01*(random(0)-0.5)"
BEGIN, END = Fraction(1), Fraction(2)
_EVERY = {
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
_LOSSLESS = ("pcm.mov", "deep.mov", "flac.mkv", "alac.mov")


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
    parts, began, rate, layout = [], None, 0, ""
    with av.open(str(path)) as container:
        stream = container.streams.audio[number]
        for frame in container.decode(stream):
            if began is None:
                began, rate, layout = frame.pts * frame.time_base, frame.sample_rate, frame.layout.name
            samples = frame.to_ndarray()
            samples = samples.T if frame.format.is_planar else samples.reshape(-1, frame.layout.nb_channels)
            if samples.dtype.kind == "u":
                samples = samples.astype(np.int16) * 256 - 32768
            scale = 1 if samples.dtype.kind == "f" else -float(np.iinfo(samples.dtype).min)
            parts.append(samples.astype(np.float64) / scale)
        codec = stream.codec_context.codec.canonical_name
    assert began is not None
    return Decoded(began, rate, np.concatenate(parts), codec, layout)


def voiced(
    render: Rendered, name: str, codec: Sequence[str], rate: int = 48000, layout: str = "stereo", *more: str
) -> Path:
    channels = {"mono": 1, "stereo": 2, "5.1": 6}[layout]
    voice = "|".join(_VOICE.replace("120*t", f"{120 + 40 * n}*t") for n in range(channels))
    sound = f"aevalsrc={voice}:s={rate}:c={layout}:d=3"
    video = {".webm": VP8, ".avi": ["-c:v", "mjpeg"]}.get(Path(name).suffix, X264)
    return render(name, "-f", "lavfi", "-i", PICTURE, *more, "-f", "lavfi", "-i", sound, *video, *codec)


def cut(trip: Trip, action: Action = Action.MUTE, begin: Fraction = BEGIN, end: Fraction = END) -> Trip:
    """The trip with a cut; times of its output."""
    tick, zero = trip.manifest.source.video.time_base, trip.manifest.shift
    return replace(trip, sound=(SoundSpan(action, zero + round(begin / tick), zero + round(end / tick)),))


def alike(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """The ratio of a to the difference, in decibels, where b is moved by at most 100 samples."""
    count = min(len(a), len(b)) - 200
    error = min(float(np.square(a[100 : 100 + count] - b[100 + n : 100 + n + count]).sum()) for n in range(-100, 101))
    return float(10 * np.log10(np.square(a).sum() / max(error, 1e-12)))


@pytest.mark.parametrize("name", _EVERY)
def test_a_muted_span_is_silent_and_the_rest_is_the_sources(name: str, render: Rendered, tmp_path: Path) -> None:
    source = voiced(render, name, _EVERY[name])
    trip = start(source, tmp_path)
    offset = Fraction(0)
    if name.endswith(".ts"):  # its times begin anywhere
        offset = trip.manifest.chunks[0].pts_start * trip.manifest.source.video.time_base
    trip = cut(trip, begin=BEGIN + offset, end=END + offset)
    trip.compose()
    trip.verify()
    ours, theirs = decode(source), decode(trip.out)
    assert (theirs.codec, theirs.rate, theirs.layout) == (ours.codec, ours.rate, ours.layout)
    assert np.abs(ours.between(BEGIN + offset, END + offset)).max() > 0.1
    inside = theirs.between(BEGIN + offset, END + offset)
    assert len(inside) == ours.rate
    assert np.abs(inside).max() <= (0 if name in _LOSSLESS else 0.003)
    for begin, end in ((Fraction(1, 10), BEGIN - Fraction(1, 5)), (END + Fraction(1, 5), Fraction(29, 10))):
        a, b = (d.between(begin + offset, end + offset) for d in (ours, theirs))
        assert alike(a, b) > (100 if name in _LOSSLESS else 10)
    if name in _LOSSLESS and not name.endswith(".mkv"):  # Matroska rounds times
        outside = ours.between(Fraction(0), BEGIN - Fraction(21, 1000))
        assert np.array_equal(outside, theirs.between(Fraction(0), BEGIN - Fraction(21, 1000)))
        assert len(ours.samples) == len(theirs.samples)
    assert packets(trip.out, 0) == packets(_copied(trip, tmp_path), 0)


def _copied(trip: Trip, folder: Path) -> Path:
    """The output as it is without edits."""
    plain = replace(trip, sound=(), out=folder / f"plain{trip.out.suffix}")
    plain.compose()
    plain.verify()
    return plain.out


@pytest.mark.parametrize("name", ["aac.mp4", "pcm.mov", "opus.webm"])
def test_a_beep_is_a_tone_below_clipping_that_fades(name: str, render: Rendered, tmp_path: Path) -> None:
    trip = cut(start(voiced(render, name, _EVERY[name]), tmp_path), Action.BEEP)
    trip.compose()
    trip.verify()
    found = decode(trip.out)
    inside = found.between(BEGIN, END)
    spectrum = np.abs(np.fft.rfft(inside[:, 0] * np.hanning(len(inside))))
    assert abs(int(np.argmax(spectrum)) - 1000) <= 2  # a second: bins are hertz
    assert np.square(spectrum[990:1011]).sum() > 0.99 * np.square(spectrum).sum()
    assert 0.05 < np.abs(inside).max() < 0.2
    if name == "pcm.mov":
        edge = round((BEGIN - Fraction(1, 50) - found.began) * found.rate)
        assert np.abs(found.samples[edge : edge + 48]).max() < 0.02
        assert np.array_equal(found.samples[:edge], decode(trip.source).samples[:edge])


def test_every_stream_of_sound_is_cut_and_keeps_what_is_said_of_it(render: Rendered, tmp_path: Path) -> None:
    trip = cut(start(rich(render, tmp_path, ".mkv"), tmp_path))
    trip.compose()
    trip.verify()
    with av.open(str(trip.source)) as ours, av.open(str(trip.out)) as theirs:
        assert [s.type for s in theirs.streams][:4] == ["video", "audio", "audio", "subtitle"]
        assert [s.disposition for s in theirs.streams][:4] == [s.disposition for s in ours.streams][:4]
        said = [[s.metadata.get(key) for key in ("language", "title")] for s in ours.streams][:4]
        assert [[s.metadata.get(key) for key in ("language", "title")] for s in theirs.streams][:4] == said
    for number in (0, 1):
        assert np.abs(decode(trip.out, number).between(BEGIN, END)).max() < 0.003
        assert np.abs(decode(trip.source, number).between(BEGIN, END)).max() > 0.1
    assert packets(trip.out, 3) == packets(trip.source, 3)


@pytest.mark.parametrize(
    ("name", "codec", "rate", "layout"),
    [
        ("six.mkv", ["-c:a", "ac3"], 48000, "5.1"),
        ("six.mp4", ["-c:a", "aac", "-b:a", "256k"], 44100, "5.1"),
        ("phone.mp4", ["-c:a", "aac", "-b:a", "24k"], 8000, "mono"),
        ("phone.mkv", ["-c:a", "libmp3lame", "-b:a", "16k"], 8000, "mono"),
        ("bytes.mkv", ["-c:a", "pcm_u8"], 8000, "mono"),
        ("float.mkv", ["-c:a", "pcm_f32le"], 96000, "stereo"),
        ("law.mov", ["-c:a", "pcm_alaw"], 8000, "mono"),
    ],
)
@pytest.mark.parametrize("action", [Action.MUTE, Action.BEEP])
def test_other_rates_and_channels(
    action: Action, name: str, codec: list[str], rate: int, layout: str, render: Rendered, tmp_path: Path
) -> None:
    source = voiced(render, name, codec, rate, layout)
    trip = cut(start(source, tmp_path), action)
    trip.compose()
    trip.verify()
    ours, theirs = decode(source), decode(trip.out)
    assert (theirs.rate, theirs.layout, theirs.codec) == (ours.rate, ours.layout, ours.codec)


@pytest.mark.parametrize("shift", ["0.7", "-0.7"])
@pytest.mark.parametrize("name", ["aac.mp4", "pcm.mov", "flac.mkv", "ac3.ts"])
def test_sound_that_begins_after_or_before_the_video(name: str, shift: str, render: Rendered, tmp_path: Path) -> None:
    source = voiced(render, f"{shift}{name}", _EVERY[name], 48000, "stereo", "-itsoffset", shift)
    trip = start(source, tmp_path)
    zero = trip.manifest.chunks[0].pts_start * trip.manifest.source.video.time_base
    trip = cut(trip, begin=BEGIN + zero, end=END + zero)
    trip.compose()
    trip.verify()
    ours, theirs = decode(source), decode(trip.out)
    assert abs(ours.began - theirs.began) < Fraction(1, 30)
    inside = theirs.between(BEGIN + zero, END + zero)
    assert len(inside) == 48000
    assert np.abs(inside).max() < 0.003
    a, b = (d.between(END + zero + Fraction(1, 10), END + zero + Fraction(4, 10)) for d in (ours, theirs))
    assert alike(a, b) > 10


def test_a_part_of_a_video_has_its_cuts(render: Rendered, tmp_path: Path) -> None:
    trip = part(start(voiced(render, "aac.mp4", _EVERY["aac.mp4"]), tmp_path), 1, 3)
    begin = trip.manifest.shift * trip.manifest.source.video.time_base
    trip = cut(trip, begin=Fraction(1, 2), end=Fraction(1))
    trip.compose()
    trip.verify()
    theirs = decode(trip.out)
    assert np.abs(theirs.between(Fraction(1, 2), Fraction(1))).max() < 0.003
    a = decode(trip.source).between(begin + Fraction(5, 4), begin + Fraction(7, 4))
    assert alike(a, theirs.between(Fraction(5, 4), Fraction(7, 4))) > 10


def test_spans_without_an_end_reach_to_the_ends_of_the_sound(render: Rendered, tmp_path: Path) -> None:
    trip = start(voiced(render, "aac.mp4", _EVERY["aac.mp4"]), tmp_path)
    half = round(Fraction(3, 2) / trip.manifest.source.video.time_base)
    for span in (SoundSpan(Action.MUTE, None, half), SoundSpan(Action.MUTE, half, None)):
        trip = replace(trip, sound=(span,))
        trip.compose()
        trip.verify()
        found = decode(trip.out)
        quiet = found.between(Fraction(0), Fraction(3, 2)) if span.ends else found.between(Fraction(3, 2), Fraction(9))
        assert np.abs(quiet).max() < 0.003
        assert np.abs(found.samples).max() > 0.1


def test_a_cut_that_was_not_made_is_noticed(render: Rendered, tmp_path: Path) -> None:
    for name in ("aac.mp4", "pcm.mov", "opus.webm"):
        trip = start(voiced(render, name, _EVERY[name]), tmp_path)
        trip.compose()
        for action in (Action.MUTE, Action.BEEP):
            with pytest.raises(VerificationError, match=r"stream 1 \(audio, \w+\): from 0\.\d+ s on|from 1\.0"):
                cut(trip, action).verify()


@pytest.mark.parametrize("name", ["aac.mp4", "pcm.mov"])
def test_a_cut_elsewhere_or_too_short_and_other_sound_is_noticed(name: str, render: Rendered, tmp_path: Path) -> None:
    trip = start(voiced(render, name, _EVERY[name]), tmp_path)
    for begin, end in ((BEGIN + Fraction(1, 10), END), (BEGIN, END - Fraction(1, 10)), (Fraction(2), Fraction(5, 2))):
        cut(trip, begin=begin, end=end).compose()
        with pytest.raises(VerificationError, match="is not silent"):
            cut(trip).verify()
    cut(trip, Action.BEEP).compose()
    with pytest.raises(VerificationError, match="is not silent"):
        cut(trip).verify()
    cut(trip, end=Fraction(29, 10)).compose()
    with pytest.raises(VerificationError, match=r"differs from the source's"):
        cut(trip).verify()


@pytest.mark.parametrize("name", ["aac.mp4", "pcm.mov"])
def test_disguised_voices_are_others_each_time(name: str, render: Rendered, tmp_path: Path) -> None:
    source = voiced(render, name, _EVERY[name])
    trip = replace(start(source, tmp_path), options=ComposeOptions(voice="disguise"))
    ours, found = decode(source), []
    for _ in range(2):
        trip.compose()
        trip.verify()
        found.append(decode(trip.out))
        assert abs(len(found[-1].samples) - len(ours.samples)) <= 2048
        assert alike(ours.samples[:, 0], found[-1].samples[:, 0]) < 3
    assert alike(found[0].samples[:, 0], found[1].samples[:, 0]) < 3
    assert _nearest_shift(ours, found[0]) < 0.6
    muted = cut(trip)
    muted.compose()
    muted.verify()
    assert np.abs(decode(muted.out).between(BEGIN, END)).max() < 0.003


def _nearest_shift(ours: Decoded, theirs: Decoded) -> float:
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


def test_voices_that_were_not_disguised_are_noticed(render: Rendered, tmp_path: Path) -> None:
    trip = cut(start(voiced(render, "aac.mp4", _EVERY["aac.mp4"]), tmp_path))
    trip.compose()
    with pytest.raises(VerificationError, match="its voices are not disguised"):
        replace(trip, options=ComposeOptions(voice="disguise")).verify()


def test_without_sound_there_is_nothing_to_cut(render: Rendered, tmp_path: Path) -> None:
    silent = start(render("silent.mp4", "-f", "lavfi", "-i", PICTURE, *X264), tmp_path)
    dropped = replace(
        start(voiced(render, "aac.mp4", _EVERY["aac.mp4"]), tmp_path), options=ComposeOptions(audio="drop")
    )
    for trip in (silent, dropped):
        muted = cut(trip)
        muted.compose()
        muted.verify()
        assert packets(muted.out, 0) == packets(_copied(trip, tmp_path), 0)
