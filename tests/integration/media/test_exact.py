"""Cut, decoded, encoded and composed: what comes out has the source's frames, times and other streams."""

import shutil
from array import array
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest

from farm.errors import VerificationError
from farm.media.encoding.encode import SegmentWriter
from farm.media.reading.probe import probe_source
from farm.media.verifying.verify_segment import verify_segment
from tests.integration.rich import picture
from tests.integration.trips import CLIPS, X264, Rendered, Trip, decoded, ffmpeg, start, with_sound


def times(path: Path) -> list[Fraction]:
    """Read without any of the code under test."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return sorted(p.pts * p.time_base for p in container.demux(stream) if p.pts is not None)


@pytest.mark.parametrize("name", CLIPS)
def test_round_trip_is_exact(name: str, render: Rendered, tmp_path: Path) -> None:
    source = render(name, *CLIPS[name])
    trip = start(source, tmp_path)
    assert len(trip.manifest.chunks) > 1
    trip.compose()
    assert trip.verify() == trip.manifest.frames
    assert times(trip.out) == times(source)
    assert {p.suffix for p in tmp_path.iterdir()} == {".seg", trip.out.suffix}  # nothing else is left


def test_everything_else_is_kept(render: Rendered, tmp_path: Path) -> None:
    chapters = tmp_path / "chapters.txt"
    chapters.write_text(
        ";FFMETADATA1\ntitle=A title\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1500\ntitle=One\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=1500\nEND=3000\ntitle=Two\n"
    )
    words = tmp_path / "words.srt"
    words.write_text("1\n00:00:00,500 --> 00:00:01,250\nHello\n\n2\n00:00:02,000 --> 00:00:02,500\nthere\n")
    cover = render("cover.png", "-f", "lavfi", "-i", "color=red:size=32x32", "-frames:v", "1")
    source = render(
        "all.mkv", *with_sound(), "-f", "srt", "-i", str(words), "-i", str(chapters), *X264,
        "-map", "1", "-map", "0", "-map", "2", "-map_metadata", "3", "-map_chapters", "3", "-c:s", "srt",
        "-metadata:s:0", "language=fra", "-disposition:2", "forced", "-attach", str(cover),
        "-metadata:s:3", "mimetype=image/png", "-attach", str(words), "-metadata:s:4", "mimetype=text/plain",
    )  # fmt: skip
    trip = start(source, tmp_path)
    assert trip.compose() == ()
    trip.verify()
    with av.open(str(source)) as ours, av.open(str(trip.out)) as copy:
        assert [s.type for s in copy.streams] == ["audio", "video", "subtitle", "attachment", "video"]
        assert [s.type for s in ours.streams] == ["audio", "video", "subtitle", "video", "attachment"]
        assert [(c["start"], c["end"], c["metadata"]) for c in copy.chapters()] == [
            (c["start"], c["end"], c["metadata"]) for c in ours.chapters()
        ]
        assert copy.metadata["title"] == "A title"
        assert copy.streams[0].metadata["language"] == "fra"
        for index in range(3):
            assert copy.streams[index].disposition == ours.streams[index].disposition
    assert picture(trip.out) == picture(source)


def test_colour_and_aspect_come_out_as_they_went_in(render: Rendered, tmp_path: Path) -> None:
    source = render("colour.mkv", *CLIPS["colour.mkv"])
    trip = start(source, tmp_path)
    trip.compose()
    video = probe_source(trip.out).video
    assert (video.color_range, video.color_primaries, video.color_transfer, video.color_space) == (2, 1, 1, 1)
    assert video.sample_aspect == Fraction(4, 3)
    assert video.pix_fmt == "yuvj420p"


def test_one_tick_off_is_noticed(trip: Trip) -> None:
    last = trip.pts[-1]
    moved = array("q", [*last[:-1], last[-1] + 1])
    with pytest.raises(VerificationError, match=r"packet 89 \(2\.9667.*another time"):
        replace(trip, pts=[*trip.pts[:-1], moved]).verify()


def test_missing_and_additional_frames_are_noticed(trip: Trip) -> None:
    with pytest.raises(VerificationError, match="more frames"):
        replace(trip, pts=[*trip.pts[:-1], trip.pts[-1][:-1]]).verify()
    with pytest.raises(VerificationError, match="ends after 90 frames"):
        replace(trip, pts=[*trip.pts[:-1], array("q", [*trip.pts[-1], 10**7])]).verify()


def test_sound_of_another_file_or_none_is_noticed(trip: Trip, render: Rendered) -> None:
    other = render("other.mp4", *with_sound("aac", 48000), *X264)
    with pytest.raises(VerificationError, match=r"stream 1 \(audio, aac\), packet 0.*bytes"):
        replace(trip, source=other).verify()
    silent = trip.out.with_name("silent.mp4")
    ffmpeg(trip.out, "-map", "0:v", silent)
    with pytest.raises(VerificationError, match="0 other streams, 1"):
        replace(trip, out=silent).verify()


def test_sound_that_begins_later_or_ends_earlier_is_noticed(trip: Trip) -> None:
    late, short = trip.out.with_name("late.mp4"), trip.out.with_name("short.mp4")
    ffmpeg(trip.out, "-itsoffset", "0.001", "-i", trip.out, "-map", "0:v", "-map", "1:a", "-copyts", late)
    with pytest.raises(VerificationError, match=r"packet 0: is at .*, the source's at"):
        replace(trip, out=late).verify()
    ffmpeg(trip.out, "-map", "0", "-bsf:a", "noise=drop='gt(n,100)'", short)
    with pytest.raises(VerificationError, match="packets are missing, from"):
        replace(trip, out=short).verify()


def test_damage_in_the_picture_is_noticed(trip: Trip) -> None:
    broken = trip.out.with_name("broken.mp4")
    shutil.copy(trip.out, broken)
    with av.open(str(broken)) as container:
        places = [(p.pos, p.size) for p in container.demux(video=0) if p.pos and p.size > 400]
    with broken.open("r+b") as file:
        file.seek(places[3][0])  # the length of a NAL unit; damage further inside may decode to something
        file.write(b"\xff" * 200)
    with pytest.raises(VerificationError):
        replace(trip, out=broken).verify()


def test_segments_that_do_not_fit_are_refused(trip: Trip, tmp_path: Path) -> None:
    first, *rest = trip.segments
    with pytest.raises(VerificationError, match="segments for"):
        replace(trip, segments=rest, out=tmp_path / "a.mp4").compose()
    with pytest.raises(VerificationError, match="which is not in chunk"):
        replace(trip, segments=[first, *rest[:-1], first], out=tmp_path / "b.mp4").compose()
    with pytest.raises(VerificationError, match="were planned"):
        verify_segment(first, trip.pts[-1], trip.settings)


def test_a_segment_of_other_settings_is_refused(trip: Trip, tmp_path: Path) -> None:
    odd = tmp_path / "odd.seg"
    settings = replace(trip.settings, sample_aspect=Fraction(2, 1))
    with SegmentWriter(odd, settings, 1) as writer:
        for frame in decoded(trip.manifest, trip.source, trip.manifest.chunks[-1]):
            writer.write(frame)
    with pytest.raises(VerificationError, match="other parameters"):
        replace(trip, segments=[*trip.segments[:-1], odd], out=tmp_path / "c.mp4").compose()


def test_a_last_frame_that_is_not_decoded_last_is_shown_as_long_as_the_sources(
    render: Rendered, tmp_path: Path
) -> None:
    source = render("half.mp4", "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=30:duration=0.5", *X264)
    trip = start(source, tmp_path)
    with av.open(str(trip.segments[-1])) as segment:
        shown = [p.pts for p in segment.demux(video=0) if p.pts is not None]
    assert shown[-1] != max(shown)  # else this test shows nothing
    *chunks, last = trip.manifest.chunks
    longer = replace(trip.manifest, chunks=(*chunks, replace(last, pts_end=last.pts_end + 5000)))
    trip = replace(trip, manifest=longer)
    trip.compose()
    assert trip.verify() == 15
    with av.open(str(trip.out)) as container:
        stream = container.streams.video[0]
        assert stream.duration == last.pts_end + 5000
