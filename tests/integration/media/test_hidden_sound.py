"""Sound that the source's edit list or codec delay hides is not heard in the output: the samples and their times."""

import os
import struct
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from farm.errors import VerificationError
from farm.media.composing.edit_lists import Hidden, write_hidden
from farm.media.verifying.comparing import compare
from tests.integration.rich import part
from tests.integration.trips import PICTURE, X264, Rendered, Trip, run, start, verdicts
from tests.integration.voices import Decoded, alike, decode, edited, voiced

DATA = Path(os.environ.get("FARM_TEST_DATA", "../shared/data")) / "videos/wild/audio_edit_hidden_start.mp4"
#: Seconds of the sound that are hidden: between two packets.
HIDDEN = Fraction(4, 5)
Hides = Callable[..., Path]


def with_edit_list(path: Path, rate: int, hidden: Fraction, waits: Fraction | None = None) -> None:
    """Raise the media_time of the last edit list of an MP4; ``waits``: the length of its empty edit."""
    data = bytearray(path.read_bytes())
    at = data.rfind(b"elst", 0, data.rfind(b"mdhd") + 4 if data.rfind(b"mdhd") > data.rfind(b"elst") else None)
    movie = struct.unpack_from(">I", data, data.find(b"mvhd") + 16)[0]
    assert struct.unpack_from(">I", data, at + 8)[0] == 2
    if waits is not None:
        struct.pack_into(">I", data, at + 12, round(waits * movie))
    lasts, begins = struct.unpack_from(">Ii", data, at + 24)
    struct.pack_into(">Ii", data, at + 24, lasts - round(hidden * movie), begins + round(hidden * rate))
    path.write_bytes(data)


@pytest.fixture
def hides(render: Rendered, tmp_path: Path) -> Hides:
    """``hides(name, …)``: a clip of 3 s whose sound waits for a second, and then hides :data:`HIDDEN` of itself."""

    def hides(name: str = "in.mp4", codec: str = "aac", rate: int = 48000, waits: Fraction | None = None) -> Path:
        sound = voiced(render, "voice.mov", ["-c:a", codec], rate=rate)
        video = render("picture.mp4", "-f", "lavfi", "-i", PICTURE.replace("rate=30", "rate=25"), *X264)
        out = tmp_path / name
        late = ("-i", video, "-itsoffset", "1.0", "-i", sound, "-map", "0:v", "-map", "1:a", "-c", "copy")
        run(*late, "-movie_timescale", str(rate), "-video_track_timescale", "1000", out)
        with_edit_list(out, rate, HIDDEN, waits)
        return out

    return hides


def assert_equal(ours: Decoded, theirs: Decoded, within: Fraction = Fraction(0)) -> None:
    """The same samples at the same time."""
    assert abs(theirs.began - ours.began) <= within
    assert np.array_equal(ours.samples, theirs.samples)


@pytest.mark.parametrize(
    ("name", "codec", "rate"),
    [("in.mp4", "aac", 48000), ("in.mp4", "aac", 44100), ("in.mov", "pcm_s16le", 48000), ("in.mp4", "mp3", 44100),
     ("in.mov", "alac", 44100), ("in.mp4", "ac3", 48000)],
)  # fmt: skip
def test_it_stays_hidden_and_what_is_heard_is_equal(
    name: str, codec: str, rate: int, hides: Hides, tmp_path: Path
) -> None:
    trip = start(hides(name, codec, rate), tmp_path)
    trip.compose()
    trip.verify()
    ours, theirs = decode(trip.source), decode(trip.out)
    assert ours.began > Fraction(9, 10)
    assert len(ours.samples) < 2.3 * rate
    assert_equal(ours, theirs)
    assert not verdicts(compare(trip.source, trip.out))


@pytest.mark.parametrize("waits", [Fraction(0), Fraction(3, 10), Fraction(4, 5)])
def test_it_may_begin_before_zero(waits: Fraction, hides: Hides, tmp_path: Path) -> None:
    trip = start(hides(waits=waits), tmp_path)
    trip.compose()
    trip.verify()
    assert abs(decode(trip.source).began - waits) < Fraction(1, 100)
    assert_equal(decode(trip.source), decode(trip.out))


def test_matroska_hides_it_too(hides: Hides, tmp_path: Path) -> None:
    trip = replace(start(hides(), tmp_path), out=tmp_path / "out.mkv")
    trip.compose()
    trip.verify()
    assert_equal(decode(trip.source), decode(trip.out), Fraction(1, 1000))
    back = start(trip.out, tmp_path)
    back = replace(back, out=tmp_path / "back.mp4")
    back.compose()
    back.verify()
    assert_equal(decode(trip.source), decode(back.out), Fraction(1, 500))


def test_where_it_cannot_be_hidden_the_sound_is_encoded_again(hides: Hides, tmp_path: Path) -> None:
    trip = replace(start(hides(), tmp_path), out=tmp_path / "out.ts")
    assert "cannot hide the beginning" in "".join(trip.compose())
    trip.verify()
    ours, theirs = decode(trip.source), decode(trip.out)
    assert abs(ours.began - theirs.began) < Fraction(1, 20)
    times = Fraction(3, 2), Fraction(2)
    assert alike(ours.between(*times), theirs.between(*times)) > 10


@pytest.mark.parametrize(("first", "suffix"), [(1, ".mp4"), (2, ".mp4"), (1, ".mkv"), (2, ".mkv"), (2, ".ts")])
def test_a_part_hides_what_is_left_of_it(first: int, suffix: str, hides: Hides, tmp_path: Path) -> None:
    trip = replace(part(start(hides(), tmp_path), first, 3), out=tmp_path / f"out{suffix}")
    trip.compose()
    trip.verify()
    ours, theirs, shift = decode(trip.source), decode(trip.out), Fraction(trip.manifest.shift, 1000)
    assert abs(theirs.began - max(ours.began - shift, Fraction(0))) < Fraction(1, 20)
    times = Fraction(9, 5), Fraction(11, 5)
    assert alike(ours.between(*times), theirs.between(*(time - shift for time in times))) > 10


def test_a_muted_output_has_nothing_of_it(hides: Hides, tmp_path: Path) -> None:
    trip = edited(start(hides(), tmp_path), begin=Fraction(3, 2), end=Fraction(2))
    trip.compose()
    trip.verify()
    ours, theirs = decode(trip.source), decode(trip.out)
    assert abs(ours.began - theirs.began) < Fraction(1, 20)
    assert alike(ours.between(ours.began, Fraction(7, 5)), theirs.between(ours.began, Fraction(7, 5))) > 10


def test_an_output_that_plays_it_fails(hides: Hides, tmp_path: Path) -> None:
    trip = start(hides(), tmp_path)
    trip.compose()
    with_edit_list(trip.out, 48000, -HIDDEN, waits=decode(trip.source).began - HIDDEN)
    with pytest.raises(VerificationError, match=r"is heard from 0\.1\d+ s on, the source's from 0\.9"):
        trip.verify()
    assert "is heard from" in verdicts(compare(trip.source, trip.out))["packets"]


def test_an_edit_list_that_ends_early_and_both_edited(hides: Hides, tmp_path: Path) -> None:
    source = hides()
    data = bytearray(source.read_bytes())
    at = [i for i in range(len(data)) if data[i : i + 4] == b"elst"]
    lasts = struct.unpack_from(">I", data, at[1] + 24)[0]
    struct.pack_into(">I", data, at[1] + 24, lasts - 24000)  # half a second
    video = struct.unpack_from(">Ii", data, at[0] + 12)
    struct.pack_into(">Ii", data, at[0] + 12, video[0] - 9600, video[1] + 200)  # its first five frames
    source.write_bytes(data)
    trip: Trip = start(source, tmp_path)
    trip.compose()
    trip.verify()
    assert_equal(decode(trip.source), decode(trip.out))


@pytest.mark.parametrize(("codec", "suffix"), [("libopus", ".mkv"), ("libmp3lame", ".mkv"), ("libopus", ".ogv")])
def test_a_codec_delay_behind_a_late_start(codec: str, suffix: str, render: Rendered, tmp_path: Path) -> None:
    video = {".mkv": X264, ".ogv": ["-c:v", "libtheora"]}[suffix]
    sound = ("-f", "lavfi", "-i", "sine=sample_rate=48000:duration=2", "-c:a", codec)
    made, late = render(f"in{suffix}", "-f", "lavfi", "-i", PICTURE, *sound, *video), tmp_path / f"late{suffix}"
    run("-i", made, "-itsoffset", "0.5", "-i", made, "-map", "0:v", "-map", "1:a", "-c", "copy", late)
    trip = replace(start(late, tmp_path), out=tmp_path / "out.mp4")
    trip.compose()
    trip.verify()
    ours, theirs = decode(late), decode(trip.out)
    assert abs(ours.began - theirs.began) <= Fraction(1, 500)
    assert np.array_equal(ours.samples, theirs.samples[: len(ours.samples)])
    assert len(theirs.samples) - len(ours.samples) < 1152  # what fills the last packet up


def test_edit_lists_are_written_into_the_muxers_files_only(hides: Hides, tmp_path: Path) -> None:
    hidden = Hidden(Fraction(1), Fraction(1, 2), 0)
    source, none = hides(), tmp_path / "none.mp4"
    write_hidden(source, {1: hidden})
    assert decode(source).began == 1
    none.write_bytes(bytes(64))
    for path, number, what in ((none, 1, "no tracks"), (source, 2, "no tracks"), (source, 0, "not the muxer's")):
        with pytest.raises(VerificationError, match=what):
            write_hidden(path, {number: hidden})
    with pytest.raises(VerificationError, match="cannot hold when"):
        write_hidden(source, {1: replace(hidden, heard=Fraction(2**40))})


def with_pieces(path: Path, rate: int, pieces: list[tuple[Fraction, Fraction]]) -> None:
    """Replace the edit list of the second track of an MP4 whose index comes last by pieces, each from and to a time."""
    data = bytearray(path.read_bytes())
    moov, trak = data.rfind(b"moov") - 4, data.rfind(b"trak") - 4
    edts, elst = data.find(b"edts", trak) - 4, data.find(b"elst", trak) - 4
    movie = struct.unpack_from(">I", data, data.find(b"mvhd", moov) + 16)[0]
    rows = [struct.pack(">Iihh", round((b - a) * movie), round(a * rate), 1, 0) for a, b in pieces]
    new = struct.pack(">I4sII", 16 + 12 * len(rows), b"elst", 0, len(rows)) + b"".join(rows)
    size = struct.unpack_from(">I", data, elst)[0]
    for at in (moov, trak, edts):
        struct.pack_into(">I", data, at, struct.unpack_from(">I", data, at)[0] + len(new) - size)
    data[elst : elst + size] = new
    path.write_bytes(data)


def test_an_edit_list_that_leaves_out_pieces(render: Rendered, tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    source.write_bytes(voiced(render, "aac.mp4").read_bytes())
    with_pieces(source, 48000, [(Fraction(0), Fraction(7, 10)), (Fraction(11, 10), Fraction(5, 2))])
    trip = start(source, tmp_path)
    assert "an edit list of the source leaves out pieces" in "".join(trip.compose())
    trip.verify()
    ours, theirs = decode(source), decode(trip.out)
    assert len(ours.samples) < 2.2 * 48000
    assert abs(len(ours.samples) - len(theirs.samples)) < 2400
    for times in ((Fraction(1, 10), Fraction(6, 10)), (Fraction(1), Fraction(19, 10))):
        assert alike(ours.between(*times), theirs.between(*times)) > 8


@pytest.mark.skipif(not DATA.exists(), reason="no such sample here")
def test_the_sample(tmp_path: Path) -> None:
    trip = start(DATA, tmp_path)
    trip.compose()
    trip.verify()
    assert len(decode(trip.out).samples) == 54832
    assert_equal(decode(trip.source), decode(trip.out))
