"""``--audio aac``: sound that a container cannot hold is encoded for it, all other streams are copied."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from farm.domain.options import ComposeOptions
from farm.errors import VerificationError
from tests.integration.trips import PICTURE, VP8, X264, Rendered, Trip, ffmpeg, run, start
from tests.integration.voices import Decoded, alike, decode, voiced

AAC = ComposeOptions(audio="aac")


def composed(source: Path, out: Path, options: ComposeOptions = AAC) -> tuple[Trip, str]:
    trip = replace(start(source, out.parent), out=out, options=options)
    notes = "\n".join(trip.compose())
    trip.verify()
    return trip, notes


def resampled(found: Decoded, rate: int) -> Decoded:
    """The samples at another rate: enough for what is far below both."""
    count = len(found.samples) * rate // found.rate
    at = np.linspace(0, len(found.samples) - 1, count)
    columns = [np.interp(at, np.arange(len(found.samples)), c) for c in found.samples.T]
    return replace(found, rate=rate, samples=np.stack(columns, axis=1))


def assert_alike(source: Path, out: Path, least: float = 8) -> Decoded:
    """The output's sound has the source's times, channels and samples, as far as its codec allows."""
    ours, theirs = decode(source), decode(out)
    ours = resampled(ours, theirs.rate)
    assert theirs.samples.shape[1] == ours.samples.shape[1]
    assert -Fraction(1, 20) < theirs.began - ours.began < Fraction(1, 100)
    ends = [d.began + Fraction(len(d.samples), d.rate) for d in (ours, theirs)]
    assert -Fraction(1, 100) < ends[1] - ends[0] < Fraction(1, 10)
    times = Fraction(1, 2), Fraction(5, 2)
    assert alike(ours.between(*times), theirs.between(*times)) > least
    return theirs


@pytest.mark.parametrize(
    ("name", "codec", "sound", "suffix", "found"),
    [
        ("phone.mov", ["-c:a", "libopencore_amrnb"], {"rate": 8000, "layout": "mono"}, ".mp4", ("aac", 8000)),
        ("flash.flv", ["-c:a", "adpcm_swf"], {"rate": 22050, "layout": "mono"}, ".mkv", ("aac", 22050)),
        ("wave.mov", ["-c:a", "pcm_s16be"], {"rate": 48000}, ".mp4", ("aac", 48000)),
        ("six.mov", ["-c:a", "pcm_s24le"], {"rate": 48000, "layout": "5.1"}, ".mp4", ("aac", 48000)),
        ("deep.mkv", ["-c:a", "pcm_s24le"], {"rate": 96000}, ".ts", ("aac", 96000)),
        ("odd.mov", ["-c:a", "pcm_s16le"], {"rate": 37000}, ".mp4", ("aac", 44100)),
        ("high.mov", ["-c:a", "pcm_s16le"], {"rate": 192000}, ".mp4", ("aac", 96000)),
    ],
)
def test_it_is_the_sources_sound(
    name: str, codec: list[str], sound: dict[str, Any], suffix: str, found: tuple[str, int], render: Rendered,
    tmp_path: Path,
) -> None:  # fmt: skip
    source = voiced(render, name, [*codec, "-video_track_timescale", "1000"] if ".mov" in name else codec, **sound)
    trip, notes = composed(source, tmp_path / f"out{suffix}")
    assert f"was encoded as aac: {'mpegts' if suffix == '.ts' else 'm'}" in notes
    theirs = assert_alike(source, trip.out)
    assert (theirs.codec, theirs.rate) == found


@pytest.mark.parametrize("rate", [44100, 48000])
def test_in_webm_it_is_opus(rate: int, render: Rendered, tmp_path: Path) -> None:
    sound = f"sine=frequency=300:sample_rate={rate}:duration=3"
    source = render("in.mkv", "-f", "lavfi", "-i", PICTURE, "-f", "lavfi", "-i", sound, *VP8, "-c:a", "aac")
    trip, notes = composed(source, tmp_path / "out.webm")
    assert "was encoded as opus: webm" in notes
    assert assert_alike(source, trip.out).codec == "opus"


def test_what_is_held_is_copied(render: Rendered, tmp_path: Path) -> None:
    sounds = [word for n in (300, 500) for word in ("-f", "lavfi", "-i", f"sine=frequency={n}:duration=3")]
    source = render("two.mov", "-f", "lavfi", "-i", PICTURE, *sounds, "-map", "0", "-map", "1", "-map", "2", *X264,
                    "-c:a:0", "aac", "-c:a:1", "pcm_s16le")  # fmt: skip
    trip, notes = composed(source, tmp_path / "out.mp4")
    assert notes == "stream 2 (audio, pcm_s16le) was encoded as aac: mp4 files cannot hold it"
    assert np.array_equal(decode(source, 0).samples, decode(trip.out, 0).samples)
    assert alike(decode(source, 1).samples, decode(trip.out, 1).samples[: len(decode(source, 1).samples)]) > 8
    plain, notes = composed(source, tmp_path / "out.mov")
    assert not notes
    assert np.array_equal(decode(source, 1).samples, decode(plain.out, 1).samples)


@pytest.mark.parametrize("change", ["volume=0", "adelay=300:all=1", "atrim=end=2", "channelmap=1|0"])
def test_other_sound_is_refused(change: str, render: Rendered, tmp_path: Path) -> None:
    trip, _ = composed(voiced(render, "in.mov", ["-c:a", "pcm_s16le"]), tmp_path / "good.mp4")
    other = tmp_path / "other.m4a"
    run("-i", trip.out, "-vn", "-af", change, "-c:a", "aac", other)
    ffmpeg(trip.out, "-i", other, "-map", "0:v", "-map", "1:a", tmp_path / "out.mp4")
    broken = replace(trip, out=tmp_path / "out.mp4")
    with pytest.raises(VerificationError, match=r"stream 1 \(audio, aac\)"):
        broken.verify()
