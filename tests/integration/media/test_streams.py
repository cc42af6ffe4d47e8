"""The streams and chapters beside the video, of the whole or of a part."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from farm.domain.options import ComposeOptions
from farm.errors import OutputError, VerificationError
from farm.media.composing import compose as composing
from farm.media.composing.arguments import compose_arguments
from farm.media.composing.containers import default_container
from farm.media.composing.needs import Needs
from farm.media.composing.trim import Trim
from tests.integration.rich import metadata, packets, part, picture, rich, subtitles
from tests.integration.trips import PICTURE, X264, Rendered, Trip, start, with_sound


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_two_sound_tracks_subtitles_and_chapters_come_along(suffix: str, render: Rendered, tmp_path: Path) -> None:
    source = rich(render, tmp_path, suffix)
    trip = start(source, tmp_path)
    (note,) = trip.compose()
    assert set(note.removeprefix("metadata left out: ").split(", ")) == {"location", "artist"}
    trip.verify()
    with av.open(str(source)) as ours, av.open(str(trip.out)) as copy:
        assert [s.type for s in copy.streams][:4] == ["video", "audio", "audio", "subtitle"]
        assert [s.disposition for s in copy.streams][:4] == [s.disposition for s in ours.streams][:4]
        titles = [(c["start"] * (c["time_base"] or 1), c["metadata"]["title"]) for c in copy.chapters()]
        assert titles == [(n, f"No. {n}") for n in range(3)]
    for index in (1, 2, 3):
        assert packets(trip.out, index) == packets(source, index)
    found = metadata(trip.out)
    assert found["title"] == metadata(source)["title"]
    assert not {"location", "location-eng", "artist"} & set(found)
    assert {"location", "artist"} <= set(metadata(source))


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_a_part_has_the_packets_that_begin_in_it_as_much_earlier(suffix: str, render: Rendered, tmp_path: Path) -> None:
    source = rich(render, tmp_path, suffix)
    trip = part(start(source, tmp_path), 1, 1)
    tick = trip.manifest.source.video.time_base
    begin, end = trip.manifest.shift * tick, (trip.manifest.until or 0) * tick
    assert 0 < begin < end < 3
    trip.compose()
    trip.verify()
    assert min(t for t, _ in packets(trip.out, 0)) == 0
    for index in (1, 2, 3):
        want = [(t - begin, digest) for t, digest in packets(source, index) if begin <= t < end]
        with av.open(str(trip.out)) as copy:
            step = max(copy.streams[index].time_base or 0, Fraction(1, 44100))
        got = packets(trip.out, index)[-len(want) :]  # MP4 begins a text track with an empty text
        assert [digest for _, digest in got] == [digest for _, digest in want]
        assert all(abs(a - b) < step for (a, _), (b, _) in zip(got, want, strict=True))
        assert len(packets(trip.out, index)) - len(want) <= (index == 3)
    with av.open(str(trip.out)) as copy:
        found = [(float(c["start"] * (c["time_base"] or 1)), c["metadata"]["title"]) for c in copy.chapters()]
    wanted = [(max(0.0, float(n - begin)), f"No. {n}") for n in range(3) if n < end and n + 1 > begin]
    assert [title for _, title in found] == [title for _, title in wanted]
    assert [when for when, _ in found] == pytest.approx([when for when, _ in wanted], abs=0.001)


@pytest.mark.parametrize(
    ("shift", "start_later", "end_later"),
    [(0, 0, 0.1), (0, 0.1, 0), (0.001, 0, 0), (0, 0, -0.1), (0, -0.1, 0)],
    ids=["too long", "too late", "a millisecond off", "too short", "too early"],
)
def test_a_part_that_is_cut_elsewhere_is_noticed(
    shift: float,
    start_later: float,
    end_later: float,
    render: Rendered,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trip = part(start(render("sound.mp4", *with_sound(), *X264), tmp_path), 1, 1)
    trim = Trim.of(trip.manifest)
    assert trim.start == trim.shift
    assert trim.start is not None
    assert trim.end is not None
    trip.compose()
    trip.verify()
    right = compose_arguments
    wrong = Trim(trim.shift + Fraction(shift), trim.start + Fraction(start_later), trim.end + Fraction(end_later))
    monkeypatch.setattr(composing, "compose_arguments", lambda i, *rest: right(replace(i, trim=wrong), *rest))
    trip.compose()
    with pytest.raises(VerificationError, match=r"stream 1 \(audio, aac\)"):
        trip.verify()


def test_a_sample_of_the_frames_has_all_sound(render: Rendered, tmp_path: Path) -> None:
    source = render("sound.mp4", *with_sound(), *X264)
    trip = start(source, tmp_path)
    trip = replace(trip, manifest=replace(trip.manifest, picked=True))
    trip.compose()
    trip.verify()
    assert packets(trip.out, 1) == packets(source, 1)


def test_sound_is_dropped_when_asked(render: Rendered, tmp_path: Path) -> None:
    trip = replace(start(rich(render, tmp_path, ".mp4"), tmp_path), options=ComposeOptions(audio="drop"))
    assert "2 audio streams were left out, as asked" in trip.compose()
    trip.verify()
    with av.open(str(trip.out)) as copy:
        assert [s.type for s in copy.streams][:2] == ["video", "subtitle"]
        assert not copy.streams.audio
    with pytest.raises(VerificationError, match="1 other streams, 3 were copied"):
        replace(trip, options=ComposeOptions()).verify()


def test_webm_stays_webm(render: Rendered, tmp_path: Path) -> None:
    words = subtitles(tmp_path, "one", "two")
    source = render(
        "s.webm", *with_sound("libopus", 48000), "-i", str(words), "-map", "0", "-map", "1", "-map", "2", "-c:v",
        "libvpx-vp9", "-pix_fmt", "yuv420p", "-deadline", "realtime", "-cpu-used", "8", "-g", "20", "-c:s", "webvtt",
        "-metadata", "title=A title",
    )  # fmt: skip
    trip = start(source, tmp_path)
    video = trip.manifest.source.video
    needs = Needs.of(video, trip.manifest.source.others)
    assert default_container("matroska,webm", needs, ".webm") == ("webm", ".webm", None)
    trip = replace(trip, out=tmp_path / "out.webm")
    assert trip.compose() == ()
    trip.verify()
    assert b"webm" in trip.out.read_bytes()[:64]
    for index in (1, 2):
        assert packets(trip.out, index) == packets(source, index)
    assert metadata(trip.out)["title"] == "A title"


def test_sound_out_of_a_transport_stream_is_the_same_in_mp4(render: Rendered, tmp_path: Path) -> None:
    source = render("t.ts", *with_sound(), *X264)
    trip = replace(start(source, tmp_path), out=tmp_path / "out.mp4")
    trip.compose()
    trip.verify()
    with av.open(str(source)) as ours, av.open(str(trip.out)) as copy:
        theirs = [bytes(p) for p in ours.demux(ours.streams.audio[0]) if p.size]
        assert [p[7:] for p in theirs] == [bytes(p) for p in copy.demux(copy.streams.audio[0]) if p.size]


def test_covers_come_along(render: Rendered, tmp_path: Path) -> None:
    cover = render("red.png", "-f", "lavfi", "-i", "color=red:size=32x32", "-frames:v", "1")
    source = render(
        "cover.mp4", "-f", "lavfi", "-i", PICTURE, "-i", str(cover), *X264, "-map", "0", "-map", "1", "-c:v:1", "png",
        "-disposition:v:1", "attached_pic",
    )  # fmt: skip
    trip = start(source, tmp_path)
    assert trip.compose() == ()
    trip.verify()
    assert picture(trip.out) == picture(source)
    later = part(trip, 1, 1)
    later.compose()
    later.verify()
    assert picture(later.out) == picture(source)


@pytest.mark.parametrize("little", [False, True])
def test_an_index_fits_into_the_space_kept_for_it_or_all_is_moved(
    little: bool, trip: Trip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(composing, "_WORTH_IT", 1)
    if little:
        monkeypatch.setattr(composing, "_A_FRAME", 1)
        monkeypatch.setattr(composing, "_A_PACKET", 1)
        monkeypatch.setattr(composing, "_FILE", 600)
    made = replace(trip, out=tmp_path / "out.mp4")
    made.compose()
    made.verify()
    index = made.out.read_bytes()
    assert index.index(b"moov") < 100 < index.index(b"mdat")
    assert (made.out.stat().st_size > trip.out.stat().st_size + 50_000) is not little


def test_other_failures_are_not_tried_again(trip: Trip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text(f"#!/bin/sh\necho once >> {tmp_path}/ran\necho Broken >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(composing, "_WORTH_IT", 1)
    with pytest.raises(OutputError, match="ffmpeg: Broken"):
        replace(trip, out=tmp_path / "out.mp4").compose(ffmpeg=program)
    assert (tmp_path / "ran").read_text() == "once\n"
