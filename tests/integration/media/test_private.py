"""What places or names people stays behind, and all other metadata comes along."""

from dataclasses import replace
from pathlib import Path

import av
import pytest

from farm.domain.options import ComposeOptions
from farm.errors import VerificationError
from farm.media.composing.compose import left_out
from farm.media.reading.stream_details import sample_entries
from tests.integration.rich import PLACE, metadata, packets, part, rich, subtitles
from tests.integration.trips import X264, Rendered, Trip, ffmpeg, start, with_sound

KEEP, STRIP = ComposeOptions(metadata="keep"), ComposeOptions(metadata="strip")


def test_places_and_people_stay_behind_unless_asked_for(render: Rendered, tmp_path: Path) -> None:
    source = rich(render, tmp_path, ".mp4")
    trip = start(source, tmp_path)
    replace(trip, options=KEEP).compose()
    replace(trip, options=KEEP).verify()
    assert metadata(trip.out)["location"].startswith("+48.2082")
    with pytest.raises(VerificationError, match=r"that was to be left out: .*location"):
        trip.verify()
    notes = replace(trip, options=STRIP).compose()
    replace(trip, options=STRIP).verify()
    assert {"title", "location", "artist", "handler_name"} <= set(
        notes[0].removeprefix("metadata left out: ").split(", ")
    )
    found = metadata(trip.out)
    assert found["language"] == "eng" or found["language"] in ("fra", "deu", "und")
    assert not {"title", "location", "artist"} & set(found)
    with av.open(str(trip.out)) as copy:
        assert copy.streams[1].metadata["language"] == "fra"
        assert len(copy.chapters()) == 3


def test_lost_metadata_is_noticed(trip: Trip, render: Rendered, tmp_path: Path) -> None:
    source = rich(render, tmp_path, ".mp4")
    made = start(source, tmp_path)
    made.compose()
    other = tmp_path / "other.mp4"
    ffmpeg(made.out, "-map", "0", "-map", "-0:d?", "-copyts", "-metadata", "title=Another", other)
    with pytest.raises(VerificationError, match="its metadata title is 'Another', the source's 'A title'"):
        replace(made, out=other).verify()
    ffmpeg(made.out, "-map", "0", "-map", "-0:d?", "-copyts", "-map_chapters", "-1", other)
    with pytest.raises(VerificationError, match="0 chapters, 3"):
        replace(made, out=other).verify()


def test_keys_of_phones_survive(render: Rendered, tmp_path: Path) -> None:
    keys = {"com.apple.quicktime.make": "Apple", "com.android.version": "13", "title": "A title"}
    private = {"com.apple.quicktime.location.ISO6709": PLACE, "com.apple.quicktime.author": "Joe"}
    words = [w for k, v in {**keys, **private}.items() for w in ("-metadata", f"{k}={v}")]
    source = render("phone.mov", *with_sound(), *X264, "-movflags", "use_metadata_tags", *words)
    trip = start(source, tmp_path)
    notes = trip.compose()
    trip.verify()
    assert set(notes) == {"metadata left out: com.apple.quicktime.location.iso6709, com.apple.quicktime.author"}
    with av.open(str(trip.out)) as copy:
        assert keys.items() <= copy.metadata.items()
        assert not set(private) & set(copy.metadata)
        assert copy.metadata["major_brand"] == "qt  "


def test_subtitles_that_say_where_are_left_out(render: Rendered, tmp_path: Path) -> None:
    words = subtitles(
        tmp_path, "F/2.8, SS 200, GPS (16.3738, 48.2082, 19)", "F/2.8, SS 210, GPS (16.3739, 48.2082, 19)"
    )
    source = render(
        "drone.mp4", *with_sound(), "-i", str(words), *X264, "-map", "0", "-map", "1", "-map", "2", "-c:s", "mov_text"
    )
    trip = start(source, tmp_path)
    container = "mp4"
    notes = left_out(source, trip.manifest, container)
    assert [n.split(":")[0] for n in notes] == ["stream 2 (subtitle, mov_text) was left out"]
    assert trip.compose() == notes
    trip.verify()
    assert b"16.3738" in source.read_bytes()
    assert b"16.3738" not in trip.out.read_bytes()
    kept = replace(trip, options=KEEP)
    assert kept.compose() == ()
    kept.verify()
    assert packets(trip.out, 2) == packets(source, 2)
    with pytest.raises(VerificationError, match="2 other streams, 1 were copied"):
        trip.verify()


def test_measurements_of_a_camera_are_left_out_or_copied_exactly(render: Rendered, tmp_path: Path) -> None:
    text = render(
        "sensor.mp4", *with_sound(), "-i", str(subtitles(tmp_path, "a", "b")), *X264, "-map", "0", "-map", "1", "-map",
        "2", "-c:s", "mov_text",
    )  # fmt: skip
    source = tmp_path / "gopro.mp4"
    source.write_bytes(text.read_bytes().replace(b"tx3g", b"gpmd").replace(b"sbtl", b"meta"))
    assert sample_entries(source) == {1: "avc1", 2: "mp4a", 3: "gpmd"}
    trip = start(source, tmp_path)
    why = "it may tell where and with what this was filmed (--metadata keep keeps it)"
    assert trip.compose() == (f"stream 2 (data, gpmd) was left out: {why}",)
    trip.verify()
    assert b"gpmd" not in trip.out.read_bytes()
    kept = replace(trip, options=KEEP)
    assert kept.compose() == ()
    kept.verify()
    assert sample_entries(trip.out)[3] == "gpmd"
    assert packets(trip.out, 2) == packets(source, 2)


def test_a_time_code_is_written_anew_and_not_for_a_part(render: Rendered, tmp_path: Path) -> None:
    source = render("timecode.mov", *with_sound(), *X264, "-timecode", "01:02:03:04")
    trip = start(source, tmp_path)
    assert trip.compose() == ()
    trip.verify()
    assert metadata(trip.out)["timecode"] == "01:02:03:04"
    assert set(sample_entries(trip.out).values()) == {"avc1", "mp4a", "tmcd"}
    later = part(trip, 1, 1)
    assert later.compose() == ("the time code was left out: it is that of the source's first frame",)
    later.verify()
    assert "timecode" not in metadata(trip.out)


@pytest.mark.parametrize(
    ("name", "gone"),
    [
        ("derived/movtext_chapters_gps.mp4", "location"),
        ("real/streamio_sideways_rotated.mov", "com.apple.quicktime.location.iso6709"),
        ("androidx/sample_no_bframes.mp4", "location"),
    ],
)
def test_footage_with_a_place(name: str, gone: str, footage: Path, tmp_path: Path) -> None:
    source = footage / "videos" / name
    trip = start(source, tmp_path)
    notes = trip.compose()
    trip.verify()
    assert any(note.startswith("metadata left out:") and gone in note for note in notes)
    assert not [value for value in metadata(trip.out).values() if "+40." in value or "+48." in value]
    assert not [key for key in metadata(trip.out) if "location" in key]
