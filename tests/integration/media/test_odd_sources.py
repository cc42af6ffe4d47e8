"""Sources that are legitimate and odd: each was once refused, changed or passed on without a word."""

import os
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from farm.errors import SourceError
from farm.media.planes import planes_of
from farm.media.reading.limits import Limits
from farm.media.reading.probe import probe_source
from farm.media.verifying.comparing import compare
from tests.integration.trips import CLIPS, X264, Rendered, ffmpeg, rendered, start, verdicts
from tests.matrix.reading import shown
from tests.planned import plan_of

PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=160x120:rate=30:duration=1")
ALL_INTRA = ("-c:v", "ffv1", "-level", "3")
FIELDS = ("-vf", "setfield=tff", "-flags", "+ildct+ilme", "-x264-params", "tff=1")


def boxed(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body) + 8, kind) + body


def test_raw_pictures_that_lie_upside_down_in_memory_are_compared(render: Rendered, tmp_path: Path) -> None:
    content = bytearray(render("above.avi", *PICTURE, "-c:v", "rawvideo", "-pix_fmt", "bgr24").read_bytes())
    at = content.find(b"strf") + 16  # the height, negative where the first line comes first
    content[at : at + 4] = struct.pack("<i", -struct.unpack_from("<i", content, at)[0])
    source = tmp_path / "below.avi"
    source.write_bytes(content)
    with av.open(str(source)) as container:
        frame = next(container.decode(video=0))
        assert frame.planes[0].line_size < 0
        blue = planes_of(frame)[1]
        assert np.array_equal(blue, frame.to_ndarray(format="bgr24")[:, :, 0])


@pytest.mark.parametrize(
    ("name", "given"),
    [("matrix.mov", ("yuv444p", "-colorspace", "bt470bg")), ("rgb.mov", ("bgr0", "-colorspace", "rgb"))],
)
def test_colours_of_which_one_is_known_reach_quicktime(
    render: Rendered, tmp_path: Path, name: str, given: tuple[str, ...]
) -> None:
    source = render(name, *PICTURE, *ALL_INTRA, "-movflags", "write_colr", "-pix_fmt", *given)
    trip = start(source, tmp_path)
    assert trip.manifest.source.video.color_space != 2
    trip.compose()
    assert trip.verify() == 30


@pytest.mark.parametrize("transfer", ["bt709", "iec61966-2-1", "smpte2084"])
def test_colours_that_an_apng_states_once_are_those_of_all_frames(
    render: Rendered, tmp_path: Path, transfer: str
) -> None:
    colours = f"format=rgb24,setparams=color_primaries=bt709:color_trc={transfer}"
    source = render(f"{transfer}.apng", *PICTURE, "-vf", colours, "-c:v", "apng")
    trip = start(source, tmp_path)
    trip.compose()
    assert trip.verify() == 30
    assert verdicts(compare(source, trip.out)) == {}
    planned = trip.manifest.source.video.color_transfer
    assert planned == {"bt709": 1, "iec61966-2-1": 13, "smpte2084": 16}[transfer]
    with av.open(str(trip.out)) as container:
        assert {frame.color_trc for frame in container.decode(video=0)} == {planned}


def test_a_name_that_is_no_text_is_refused_in_one_line(render: Rendered, tmp_path: Path) -> None:
    source = tmp_path / os.fsdecode(b"b\xffd.mp4")
    source.write_bytes(render("cfr.mp4", *CLIPS["cfr.mp4"]).read_bytes())
    with pytest.raises(SourceError, match=r"b\udcffd.mp4: its name is not in UTF-8"):
        plan_of(source, None)


def test_a_name_of_odd_characters_is_taken(render: Rendered, tmp_path: Path) -> None:
    source = tmp_path / "-d 'q\" %d\n\u00fc:.mp4"
    source.write_bytes(render("cfr.mp4", *CLIPS["cfr.mp4"]).read_bytes())
    trip = start(source, tmp_path)
    trip.compose()
    assert trip.verify() == 90


def test_a_late_matroska_file_is_not_cut_off(render: Rendered) -> None:
    late = render("late.mkv", *PICTURE, *X264, "-output_ts_offset", "5000")
    assert plan_of(late, None)[0].frames == 30


def test_a_subtitle_may_end_long_after_the_video(render: Rendered, tmp_path: Path) -> None:
    words = tmp_path / "words.srt"
    words.write_text("1\n00:00:00,500 --> 00:00:20,000\nwords\n\n")
    source = render("late_words.mkv", *PICTURE, "-i", str(words), *X264, "-c:s", "subrip")
    assert plan_of(source, None)[0].frames == 30


def test_the_rounding_of_an_edit_list_shortens_no_frame(render: Rendered, tmp_path: Path) -> None:
    fast = ("-vf", "setpts=N/120/TB", "-r", "120", "-frames:v", "28", "-movie_timescale", "1000")
    content = bytearray(render("rounded.mp4", *PICTURE, *X264, *fast).read_bytes())
    struct.pack_into(">I", content, content.find(b"elst") + 12, 233)  # of 233 1/3 ms
    source = tmp_path / "rounded.mp4"
    source.write_bytes(content)
    manifest, _ = plan_of(source, None)
    end = manifest.chunks[-1].pts_end * manifest.source.video.time_base
    assert (manifest.frames, end) == (28, Fraction(28, 120))


def test_attachments_that_place_or_show_people_are_told_of(render: Rendered, tmp_path: Path) -> None:
    track = tmp_path / "track.gpx"
    track.write_text('<gpx><trkpt lat="48.2082" lon="16.3738"></trkpt></gpx>')
    photo, notes = tmp_path / "photo.bin", tmp_path / "notes.txt"
    photo.write_bytes(render("photo.jpg", *PICTURE, "-frames:v", "1").read_bytes())
    notes.write_text("a lovely day")
    files = [w for n, f in enumerate((track, photo, notes))
             for w in ("-attach", f, f"-metadata:s:t:{n}", "mimetype=application/octet-stream")]  # fmt: skip
    source = tmp_path / "attached.mkv"
    ffmpeg(render("plain.mkv", *PICTURE, *X264), "-c", "copy", *files, source)
    trip = start(source, tmp_path)
    said = trip.compose()
    trip.verify()
    with av.open(str(trip.out)) as output:
        kept = [s.metadata["filename"] for s in output.streams if s.type == "attachment"]
    assert kept == ["photo.bin", "notes.txt"]
    assert any(line.startswith("stream 1 (attachment") and "tells where this was filmed" in line for line in said)
    assert any("a picture or a video of its own" in line and "stream 2" in line for line in said)
    assert not any("stream 3" in line for line in said)


def joined(folder: Path, *parts: tuple[str, ...]) -> Path:
    """Transport streams of the same pictures, encoded in different ways, one behind the other."""
    made = [
        rendered(folder / f"{n}.ts", *PICTURE, *X264, "-pix_fmt", "yuv420p", "-output_ts_offset", str(2 * n), *words)
        for n, words in enumerate(parts)
    ]
    both = f"concat:{'|'.join(map(str, made))}"
    return rendered(folder / "joined.ts", "-i", both, "-c", "copy", "-copyts")


def test_a_progressive_frame_among_interlaced_ones_keeps_their_order(tmp_path: Path) -> None:
    source = joined(tmp_path, FIELDS, ())
    assert set(shown(source, 0).fields) == {"T", "P"}
    trip = start(source, tmp_path)
    trip.compose()
    trip.verify()
    assert set(shown(trip.out, 0).fields) == {"T"}


def test_a_video_that_becomes_interlaced_is_encoded_so(tmp_path: Path) -> None:
    source = joined(tmp_path, (), FIELDS)
    assert probe_source(source).video.fields == "tff"


def test_a_panorama_says_that_it_becomes_flat(render: Rendered, tmp_path: Path) -> None:
    content = render("flat.mp4", *PICTURE, *X264).read_bytes()
    text = (
        b"<rdf:SphericalVideo xmlns:GSpherical='x'><GSpherical:Spherical>true</GSpherical:Spherical>"
        b"<GSpherical:Stitched>true</GSpherical:Stitched>"
        b"<GSpherical:StitchingSoftware>x</GSpherical:StitchingSoftware>"
        b"<GSpherical:ProjectionType>equirectangular</GSpherical:ProjectionType></rdf:SphericalVideo>"
    )
    mark = boxed(b"uuid", bytes.fromhex("ffcc8263f8554a938814587a02521fdd") + text)
    moov, trak = content.rfind(b"moov") - 4, content.rfind(b"trak") - 4
    size = struct.unpack_from(">I", content, trak)[0]
    patched = bytearray(content[: trak + size] + mark + content[trak + size :])
    for at in (moov, trak):
        struct.pack_into(">I", patched, at, struct.unpack_from(">I", patched, at)[0] + len(mark))
    source = tmp_path / "panorama.mp4"
    source.write_bytes(patched)
    assert any("360 degree" in note for note in probe_source(source).notes)


def test_exchanged_streams_and_other_languages_are_named(render: Rendered, tmp_path: Path) -> None:
    tones = [w for pitch in (400, 700) for w in ("-f", "lavfi", "-i", f"sine=frequency={pitch}:duration=1")]
    said = ("-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=deu", "-disposition:a:1", "default")
    source = render("two.mkv", *PICTURE, *tones, "-map", "0", "-map", "1", "-map", "2", *X264, "-c:a", "aac", *said)
    assert verdicts(compare(source, source)) == {}
    exchanged, other = tmp_path / "exchanged.mkv", tmp_path / "other.mkv"
    ffmpeg(source, "-map", "0:0", "-map", "0:2", "-map", "0:1", "-c", "copy", exchanged)
    assert verdicts(compare(source, exchanged)) == {
        "packets": "stream 1 (audio, aac) comes behind stream 2 (audio, aac)"
    }
    ffmpeg(source, "-map", "0", "-c", "copy", "-metadata:s:a:0", "language=ita", other)
    assert "its language is ita, the source's is eng" in verdicts(compare(source, other))["packets"]
    ffmpeg(source, "-map", "0", "-c", "copy", "-y", "-disposition:a:1", "forced", other)
    found = compare(source, other)
    assert found.holds
    assert "stream 2 (audio, aac): is forced, in the source default" in verdicts(found, "differs")["streams"]


def test_a_time_code_that_the_muxer_writes_is_no_foreign_stream(render: Rendered, tmp_path: Path) -> None:
    source = render("code.mkv", *PICTURE, *X264, "-metadata", "timecode=01:00:00:00")
    output = tmp_path / "code.mov"
    ffmpeg(source, "-c", "copy", output)
    with av.open(str(output)) as opened:
        assert len(opened.streams) == 2
    assert "packets" not in verdicts(compare(source, output))


@pytest.mark.parametrize(
    ("second", "name"),
    [
        (("-color_range", "pc"), "colour range"),
        (("-colorspace", "bt2020nc"), "colour matrix"),
        (FIELDS, "fields"),
    ],
)
def test_a_source_that_changes_on_the_way_is_noticed(tmp_path: Path, second: tuple[str, ...], name: str) -> None:
    source = joined(tmp_path, (), second)
    assert verdicts(compare(source, source)) == {}
    again = ("-i", str(source), *X264, "-pix_fmt", "yuv420p", "-copyts", "-muxdelay", "0", "-fps_mode", "passthrough")
    output = rendered(tmp_path / "again.ts", *again, "-color_range", "tv", "-colorspace", "bt709", "-flags", "0")
    assert f"its {name} changes in the source only" in verdicts(compare(source, output))["changes"]


def cropped_theora(source: Path, target: Path, width: int, height: int) -> Path:
    """A copy of an Ogg file whose Theora header shows only a part of the pictures, 128 samples from their edges."""
    content = bytearray(source.read_bytes())
    at = content.index(b"\x80theora") + 7
    content[at + 7 : at + 15] = width.to_bytes(3, "big") + height.to_bytes(3, "big") + b"\x80\x80"
    start = content.rindex(b"OggS", 0, at)
    end = content.index(b"OggS", at)
    content[start + 22 : start + 26] = bytes(4)
    crc = 0
    for byte in content[start:end]:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc >> 31 else crc << 1) & 0xFFFFFFFF
    content[start + 22 : start + 26] = crc.to_bytes(4, "little")
    target.write_bytes(content)
    return target


def test_theora_that_shows_a_small_part_of_its_pictures(render: Rendered, tmp_path: Path) -> None:
    """The decoder's limit on pixels is about the pictures that it decodes, not about the part that is shown."""
    words = ("-f", "lavfi", "-i", "testsrc2=size=768x768:rate=10:duration=0.5", "-c:v", "libtheora", "-q:v", "9")
    source = cropped_theora(render("whole.ogv", *words), tmp_path / "part.ogv", 496, 496)
    trip = start(source, tmp_path)
    assert (trip.manifest.source.video.width, trip.manifest.source.video.height) == (496, 496)
    trip.compose()
    assert trip.verify() == 5
    with pytest.raises(SourceError, match=r"part\.ogv"):
        probe_source(source, Limits(pixels=300_000))
