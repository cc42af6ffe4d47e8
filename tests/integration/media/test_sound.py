"""Edited sound: silence and tones where they were asked for, the source's sound everywhere else."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from farm.domain.edits import Action
from farm.domain.options import ComposeOptions
from farm.domain.sound import SoundSpan
from farm.errors import VerificationError
from tests.integration.rich import packets, part, rich
from tests.integration.trips import PICTURE, X264, Rendered, Trip, ffmpeg, start
from tests.integration.voices import BEGIN, CODECS, END, LOSSLESS, alike, decode, edited, nearest_shift, shifted, voiced

Heard = Callable[..., Trip]


@pytest.fixture(scope="module")
def segments(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Trip]:
    """Trips by their source: their video is encoded once."""
    return {}


@pytest.fixture
def heard(
    segments: dict[Path, Trip], render: Rendered, tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> Heard:
    """``heard(name, …)``: a trip with a voice, as :func:`voiced` makes it, and an output of its own."""

    def heard(name: str, **more: Any) -> Trip:
        source = voiced(render, name, **more)
        if source not in segments:
            segments[source] = start(source, tmp_path_factory.mktemp("sound"))
        return replace(segments[source], out=tmp_path / segments[source].out.name)

    return heard


@pytest.mark.parametrize("name", CODECS)
def test_a_muted_span_is_silent_and_the_rest_is_the_sources(name: str, heard: Heard, tmp_path: Path) -> None:
    trip = heard(name)
    source = trip.source
    offset = Fraction(0)
    if name.endswith(".ts"):  # its times begin anywhere
        offset = trip.manifest.chunks[0].pts_start * trip.manifest.source.video.time_base
    trip = edited(trip, begin=BEGIN + offset, end=END + offset)
    trip.compose()
    trip.verify()
    ours, theirs = decode(source), decode(trip.out)
    assert (theirs.codec, theirs.rate, theirs.layout) == (ours.codec, ours.rate, ours.layout)
    assert np.abs(ours.between(BEGIN + offset, END + offset)).max() > 0.1
    inside = theirs.between(BEGIN + offset, END + offset)
    assert len(inside) == ours.rate
    assert np.abs(inside).max() <= (0 if name in LOSSLESS else 0.003)
    for begin, end in ((Fraction(1, 10), BEGIN - Fraction(1, 5)), (END + Fraction(1, 5), Fraction(29, 10))):
        a, b = (d.between(begin + offset, end + offset) for d in (ours, theirs))
        assert alike(a, b) > (100 if name in LOSSLESS else 10)
    if name in LOSSLESS and not name.endswith(".mkv"):  # Matroska rounds times
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
def test_a_beep_is_a_tone_below_clipping_that_fades(name: str, heard: Heard) -> None:
    trip = edited(heard(name), Action.BEEP)
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


def test_every_stream_of_sound_is_edited_and_keeps_what_is_said_of_it(render: Rendered, tmp_path: Path) -> None:
    trip = edited(start(rich(render, tmp_path, ".mkv"), tmp_path))
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
    ("name", "codec", "rate", "layout", "action"),
    [
        ("six.mkv", ["-c:a", "ac3"], 48000, "5.1", "beep"),
        ("six.mp4", ["-c:a", "aac", "-b:a", "256k"], 44100, "5.1", "mute"),
        ("phone.mp4", ["-c:a", "aac", "-b:a", "24k"], 8000, "mono", "beep"),
        ("phone.mkv", ["-c:a", "libmp3lame", "-b:a", "16k"], 8000, "mono", "mute"),
        ("bytes.mkv", ["-c:a", "pcm_u8"], 8000, "mono", "beep"),
        ("float.mkv", ["-c:a", "pcm_f32le"], 96000, "stereo", "mute"),
        ("law.mov", ["-c:a", "pcm_alaw"], 8000, "mono", "mute"),
    ],
)
def test_other_rates_and_channels(
    name: str, codec: list[str], rate: int, layout: str, action: str, heard: Heard
) -> None:
    trip = edited(heard(name, codec=codec, rate=rate, layout=layout), Action(action))
    trip.compose()
    trip.verify()
    ours, theirs = decode(trip.source), decode(trip.out)
    assert (theirs.rate, theirs.layout, theirs.codec) == (ours.rate, ours.layout, ours.codec)


@pytest.mark.parametrize("shift", ["0.7", "-0.7"])
@pytest.mark.parametrize("name", ["aac.mp4", "pcm.mov", "flac.mkv", "ac3.ts"])
def test_sound_that_begins_after_or_before_the_video(name: str, shift: str, heard: Heard) -> None:
    trip = heard(f"{shift}{name}", codec=CODECS[name], more=("-itsoffset", shift))
    zero = trip.manifest.chunks[0].pts_start * trip.manifest.source.video.time_base
    trip = edited(trip, begin=BEGIN + zero, end=END + zero)
    trip.compose()
    trip.verify()
    ours, theirs = decode(trip.source), decode(trip.out)
    assert abs(ours.began - theirs.began) < Fraction(1, 30)
    inside = theirs.between(BEGIN + zero, END + zero)
    assert len(inside) == 48000
    assert np.abs(inside).max() < 0.003
    a, b = (d.between(END + zero + Fraction(1, 10), END + zero + Fraction(4, 10)) for d in (ours, theirs))
    assert alike(a, b) > 10


def test_a_part_of_a_video_has_its_spans(heard: Heard) -> None:
    trip = part(heard("aac.mp4"), 1, 3)
    begin = trip.manifest.shift * trip.manifest.source.video.time_base
    trip = edited(trip, begin=Fraction(1, 2), end=Fraction(1))
    trip.compose()
    trip.verify()
    theirs = decode(trip.out)
    assert np.abs(theirs.between(Fraction(1, 2), Fraction(1))).max() < 0.003
    a = decode(trip.source).between(begin + Fraction(5, 4), begin + Fraction(7, 4))
    assert alike(a, theirs.between(Fraction(5, 4), Fraction(7, 4))) > 10


def test_spans_without_an_end_reach_to_the_ends_of_the_sound(heard: Heard) -> None:
    trip = heard("aac.mp4")
    half = round(Fraction(3, 2) / trip.manifest.source.video.time_base)
    for span in (SoundSpan(Action.MUTE, None, half), SoundSpan(Action.MUTE, half, None)):
        trip = replace(trip, sound=(span,))
        trip.compose()
        trip.verify()
        found = decode(trip.out)
        quiet = found.between(Fraction(0), Fraction(3, 2)) if span.ends else found.between(Fraction(3, 2), Fraction(9))
        assert np.abs(quiet).max() < 0.003
        assert np.abs(found.samples).max() > 0.1


def test_a_span_that_was_not_edited_is_noticed(heard: Heard) -> None:
    for name in ("aac.mp4", "pcm.mov", "opus.webm"):
        trip = heard(name)
        trip.compose()
        for action in (Action.MUTE, Action.BEEP):
            with pytest.raises(VerificationError, match=r"stream 1 \(audio, \w+\): from 0\.\d+ s on|from 1\.0"):
                edited(trip, action).verify()


@pytest.mark.parametrize("name", ["aac.mp4", "pcm.mov"])
def test_a_span_elsewhere_or_too_short_and_other_sound_is_noticed(name: str, heard: Heard) -> None:
    trip = heard(name)
    for begin, end in ((BEGIN + Fraction(1, 10), END), (BEGIN, END - Fraction(1, 10)), (Fraction(2), Fraction(5, 2))):
        edited(trip, begin=begin, end=end).compose()
        with pytest.raises(VerificationError, match="is not silent"):
            edited(trip).verify()
    edited(trip, Action.BEEP).compose()
    with pytest.raises(VerificationError, match="is not silent"):
        edited(trip).verify()
    edited(trip, end=Fraction(29, 10)).compose()
    with pytest.raises(VerificationError, match=r"differs from the source's"):
        edited(trip).verify()


@pytest.mark.parametrize("name", ["aac.mp4", "pcm.mov"])
def test_disguised_voices_are_others_each_time(name: str, heard: Heard, tmp_path: Path) -> None:
    trip = replace(heard(name), options=ComposeOptions(voice="disguise"))
    source = trip.source
    ours, found = decode(source), []
    for _ in range(2):
        trip.compose()
        trip.verify()
        found.append(decode(trip.out))
        assert abs(len(found[-1].samples) - len(ours.samples)) <= 2048
        assert alike(ours.samples[:, 0], found[-1].samples[:, 0]) < 3
    assert alike(found[0].samples[:, 0], found[1].samples[:, 0]) < 3
    plain = decode(shifted(source, tmp_path / "shifted.wav"))
    assert nearest_shift(ours, found[0]) < nearest_shift(ours, plain) - 0.04
    for action in (Action.MUTE, Action.BEEP):
        both = edited(trip, action)
        both.compose()
        both.verify()
        assert np.abs(decode(both.out).between(BEGIN, END)).max() < (0.003 if action is Action.MUTE else 0.2)


def test_voices_that_were_not_disguised_are_noticed(heard: Heard) -> None:
    trip = edited(heard("aac.mp4"))
    trip.compose()
    with pytest.raises(VerificationError, match="its voices are not disguised"):
        replace(trip, options=ComposeOptions(voice="disguise")).verify()


def test_without_sound_there_is_nothing_to_edit(heard: Heard, render: Rendered, tmp_path: Path) -> None:
    silent = start(render("silent.mp4", "-f", "lavfi", "-i", PICTURE, *X264), tmp_path)
    dropped = replace(heard("aac.mp4"), options=ComposeOptions(audio="drop"))
    for trip in (silent, dropped):
        muted = edited(trip)
        muted.compose()
        muted.verify()
        assert packets(muted.out, 0) == packets(_copied(trip, tmp_path), 0)


@pytest.mark.parametrize(("name", "tick"), [("flac.mkv", "1/1000"), ("aac.mp4", "1/48000")])
def test_a_gap_in_the_sound_is_silent_and_moves_nothing(name: str, tick: str, heard: Heard, tmp_path: Path) -> None:
    whole = heard(name)
    source = tmp_path / f"gap{Path(name).suffix}"
    ffmpeg(whole.source, "-bsf:a", f"noise=drop='between(pts*{tick},2.2,2.5)'", source)
    trip = edited(start(source, tmp_path))
    trip.compose()
    trip.verify()
    found = decode(trip.out)
    for begin, end in ((BEGIN, END), (Fraction(9, 4), Fraction(12, 5))):
        assert np.abs(found.between(begin, end)).max() < 0.003
    later = (Fraction(26, 10), Fraction(29, 10))
    assert alike(decode(whole.source).between(*later), found.between(*later)) > 10


def test_damaged_sound_is_silent_where_it_has_to_be(heard: Heard, tmp_path: Path) -> None:
    source = tmp_path / "damaged.mp4"
    ffmpeg(heard("aac.mp4").source, "-bsf:a", "noise=amount=40:dropamount=0", source)
    trip = edited(start(source, tmp_path))
    trip.compose()
    trip.verify()
    assert np.abs(decode(trip.out).between(BEGIN, END)).max() < 0.003
