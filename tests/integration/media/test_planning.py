"""The plan of less simple sources: cut in mid-group, without times, turned, interlaced, or asked for in part."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest

from farm.domain.manifest import Manifest
from farm.domain.options import SourceOptions
from farm.errors import SourceError
from farm.media.planes import planes_of
from farm.media.reading.chunk import decode_chunk
from farm.media.reading.counting import counted_frames
from farm.media.reading.frame_times import early_frames
from farm.media.reading.probe import probe_source
from tests.integration.trips import ffmpeg, rendered
from tests.planned import plan_of

PICTURE = ["-f", "lavfi", "-i", "testsrc2=size=96x64:rate=30:duration=2"]
X264 = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-preset", "veryfast", "-g", "15", "-bf", "2", "-x264-params"]
X265 = ["-c:v", "libx265", "-pix_fmt", "yuv420p", "-preset", "veryfast", "-x265-params"]
STREAMS = {
    "closed": [*X264, "scenecut=0"],
    "open": [*X264, "scenecut=0:open-gop=1"],
    "mpeg2": ["-c:v", "mpeg2video", "-g", "15", "-bf", "2"],
    "hevc": [*X265, "log-level=none:keyint=15:open-gop=1:scenecut=0"],
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


def planned(path: Path, seconds: float | None = 100, **options: object) -> tuple[Manifest, list[int]]:
    manifest, parts = plan_of(path, seconds, SourceOptions(**options))  # type: ignore[arg-type]
    return manifest, [pts for part in parts for pts in part]


def shown(path: Path) -> list[int | None]:
    """The measure: what FFmpeg's decoders make of the whole file."""
    with av.open(str(path)) as container:
        return [frame.pts for frame in container.decode(video=0)]


def frames_of(path: Path, manifest: Manifest, pts: list[int]) -> list[tuple[int | None, bytes]]:
    """What workers make of the plan, chunk by chunk."""
    parts = [[p for p in pts if chunk.pts_start <= p < chunk.pts_end] for chunk in manifest.chunks]
    return [
        (one.frame.pts, planes_of(one.frame)[0].tobytes())
        for chunk, part in zip(manifest.chunks, parts, strict=True)
        for one in decode_chunk(path, manifest.source.video, chunk, part, picked=manifest.picked)
    ]


def pictures(path: Path) -> dict[int | None, bytes]:
    with av.open(str(path)) as container:
        return {frame.pts: planes_of(frame)[0].tobytes() for frame in container.decode(video=0)}


def cut(source: Path, packet: int, to: Path) -> Path:
    """A transport stream from its n-th video packet on, with the tables from its beginning."""
    with av.open(str(source)) as container:
        places = [p.pos or 0 for p in container.demux(video=0) if p.size]
    content = source.read_bytes()
    to.write_bytes(content[: 3 * 188] + content[places[packet] // 188 * 188 :])
    return to


@pytest.mark.parametrize("packet", [0, 5, 15, 17])
@pytest.mark.parametrize("kind", STREAMS)
def test_what_comes_before_the_first_key_frame_is_left_out(kind: str, packet: int, clips: Path, tmp_path: Path) -> None:
    whole = rendered(clips / f"{kind}.ts", *PICTURE, *STREAMS[kind])
    source = cut(whole, packet, tmp_path / "cut.ts")
    manifest, pts = planned(source)
    assert pts == shown(source)
    with av.open(str(source)) as container:
        left = sum(1 for p in container.demux(video=0) if p.size) - len(pts)
    assert len(manifest.notes) == bool(left)
    assert not left or f"{early_frames(left)} cannot be decoded" in str(manifest.notes)
    assert [found for found, _ in frames_of(source, manifest, pts)] == pts


def test_leading_pictures_that_can_be_decoded_stay(clips: Path) -> None:
    """RADL pictures come before their key frame and need nothing earlier."""
    radl = [*X265, "log-level=none:keyint=15:min-keyint=15:open-gop=0:radl=2:scenecut=0"]
    source = rendered(clips / "radl.ts", *PICTURE, *radl)
    manifest, pts = planned(source, 0.4)
    assert pts == shown(source)
    assert not manifest.notes
    assert [found for found, _ in frames_of(source, manifest, pts)] == pts


@pytest.mark.parametrize(
    ("name", "rate", "arguments"),
    [
        ("raw.h264", "30", [*X264, "scenecut=0"]),
        ("raw.hevc", "30", STREAMS["hevc"]),
        ("raw.m4v", "30", ["-c:v", "mpeg4", "-bf", "2", "-f", "m4v"]),
        ("raw.m2v", "30", STREAMS["mpeg2"]),
        ("raw.mjpeg", "25", ["-c:v", "mjpeg", "-pix_fmt", "yuvj420p"]),
        ("raw.obu", "25", ["-c:v", "libsvtav1", "-preset", "12", "-pix_fmt", "yuv420p", "-svtav1-params", "lp=1"]),
    ],
)
def test_frames_of_a_bare_stream_are_counted(name: str, rate: str, arguments: list[str], clips: Path) -> None:
    source = rendered(clips / name, *PICTURE, *arguments)
    manifest, pts = planned(source, 0.5)
    video = manifest.source.video
    assert (video.timing, video.time_base, len(manifest.chunks)) == ("counted", 1 / Fraction(rate), 1)
    assert pts == list(range(60))
    assert f"{rate} frames a second" in manifest.notes[0]
    assert [found for found, _ in frames_of(source, manifest, pts)] == pts
    part, some = planned(source, 0.5, start=0.5, every=0.2)
    assert some[:2] == [round(Fraction(rate) / 2 + Fraction(1, 3)), some[0] + int(Fraction(rate) / 5)]
    every = dict(frames_of(source, manifest, pts))
    assert frames_of(source, part, some) == [(p, every[p]) for p in some]


@pytest.mark.footage
@pytest.mark.parametrize(
    "name",
    ["real/mmaction_test.avi", "androidx/sample-with-large-length.avi", "real/MOT20-08_short.h264",
     "real/odd_attached_cover_mjpeg.mkv"],
)  # fmt: skip
def test_footage_whose_times_contradict_its_pictures_is_counted(footage: Path, name: str) -> None:
    source = footage / "videos" / name
    manifest, pts = planned(source, 0.5)
    assert manifest.source.video.timing == "counted"
    with av.open(str(source)) as container:
        stamps = sorted(p.pts if p.pts is not None else at for at, p in enumerate(container.demux(video=0)) if p.size)
    assert pts == stamps
    assert [f for f, _ in frames_of(source, manifest, pts)] == pts
    assert [f.pts for f in counted_frames(source, manifest.source.video)] == pts


@pytest.mark.footage
@pytest.mark.parametrize(
    ("name", "count"),
    [("androidx/iibbibb_editlist_videoonly.mp4", 12), ("androidx/edit_list_positive_shift.mp4", 270),
     ("androidx/sample_edit_list.mp4", 77), ("androidx/roadtrip-vp92-10bit.webm", 72),
     ("androidx/sample_empty_track.mp4", 30), ("derived/opengop_bpyramid.mp4", 90)],
)  # fmt: skip
def test_footage_is_planned_as_it_is_shown(footage: Path, name: str, count: int) -> None:
    source = footage / "videos" / name
    manifest, pts = planned(source, 0.5)
    assert len(pts) == count
    assert pts == shown(source)
    assert ("empty" in str(manifest.notes)) == ("empty" in name)
    assert [found for found, _ in frames_of(source, manifest, pts)] == pts


@pytest.fixture(scope="module")
def long_groups(clips: Path) -> Path:
    """20 frames a second for 4 s, a key frame each second, open groups, beginning at an hour."""
    picture = ["-f", "lavfi", "-i", "testsrc2=size=96x64:rate=20:duration=4"]
    x264 = [*X264[:-1], "-x264-params", "keyint=20:min-keyint=20:scenecut=0:open-gop=1", "-output_ts_offset", "3600"]
    return rendered(clips / "parts.ts", *picture, *x264)


@pytest.mark.parametrize("seconds", [100, 0.5, None])
@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({}, range(80)),
        ({"start": 1.02}, range(21, 80)),
        ({"end": 1.05}, range(21)),
        ({"start": 1.1, "end": 2.95}, range(22, 59)),
        ({"every": 0.7}, range(0, 80, 14)),
        ({"fps": 3}, [0, 7, 14, 20, 27, 34, 40, 47, 54, 60, 67, 74]),
        ({"start": 0.5, "end": 3.5, "every": 1.0}, [10, 30, 50]),
        ({"start": 0}, range(80)),
    ],
)
def test_parts_and_samples(
    options: dict[str, float], wanted: list[int], seconds: float | None, long_groups: Path
) -> None:
    times = shown(long_groups)
    manifest, pts = planned(long_groups, seconds, **options)
    assert pts == [times[n] for n in wanted]
    assert manifest.picked == bool(options)
    assert manifest.shift == (pts[0] if "start" in options else 0)
    first, tick = times[0], manifest.source.video.time_base
    assert first is not None
    end = first + int(options.get("end", 4) / tick)
    assert manifest.chunks[-1].pts_end == end
    assert manifest.until == (end if "end" in options else None)
    assert seconds != 0.5 or "every" in options or len(manifest.chunks) > 1 or len(pts) < 22
    whole = pictures(long_groups)
    assert frames_of(long_groups, manifest, pts) == [(p, whole[p]) for p in pts]


def test_a_part_that_is_not_there(long_groups: Path) -> None:
    with pytest.raises(SourceError, match=r"parts.ts: is 4.000 s long, and source.start is 4.0 s"):
        planned(long_groups, start=4.0)
    with pytest.raises(SourceError, match=r"no frame of it begins in the part"):
        planned(long_groups, start=1.01, end=1.04)


def test_a_part_of_all_frames_ends_where_the_video_does(long_groups: Path) -> None:
    manifest, pts = planned(long_groups, end=5.0)
    assert (len(pts), manifest.until, manifest.picked) == (80, None, True)


@pytest.mark.parametrize(
    ("turn", "orientation"),
    [("-display_rotation:v:0 90", 8), ("-display_rotation:v:0 180", 3), ("-display_rotation:v:0 270", 6),
     ("-display_hflip:v:0", 2), ("-display_vflip:v:0", 4)],
)  # fmt: skip
def test_the_display_matrix_is_read(turn: str, orientation: int, clips: Path, tmp_path: Path) -> None:
    plain = rendered(clips / "plain.mp4", *PICTURE, *X264, "scenecut=0")
    source = rendered(tmp_path / "turned.mp4", *turn.split(), "-i", str(plain), "-c", "copy")
    assert probe_source(plain).video.orientation == 1
    assert probe_source(source).video.orientation == orientation


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("x264.mp4", ["-flags", "+ildct+ilme", *X264, "scenecut=0"]),
     ("m2.ts", ["-flags", "+ildct+ilme", "-c:v", "mpeg2video"]),
     ("prores.mov", ["-c:v", "prores_ks", "-flags", "+ildct"]), ("ffv1.mkv", ["-c:v", "ffv1"])],
)  # fmt: skip
@pytest.mark.parametrize("fields", ["tff", "bff"])
def test_the_order_of_fields_is_read(fields: str, name: str, arguments: list[str], tmp_path: Path) -> None:
    source = rendered(tmp_path / name, *PICTURE, "-vf", f"setfield={fields}", *arguments)
    assert probe_source(source).video.fields == fields
    rendered(tmp_path / f"plain{name}", *PICTURE, *(a for a in arguments if "il" not in a and a != "-flags"))
    assert probe_source(tmp_path / f"plain{name}").video.fields == "progressive"


def test_hdr_metadata_is_read(tmp_path: Path) -> None:
    display = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    params = f"log-level=none:master-display={display}:max-cll=1000,400:hdr10=1"
    source = rendered(tmp_path / "hdr.mkv", *PICTURE, "-t", "0.3", "-pix_fmt", "yuv420p10le", "-c:v", "libx265",
                      "-x265-params", params)  # fmt: skip
    video = probe_source(source).video
    assert video.light == (1000, 400)
    assert video.mastering is not None
    assert video.mastering.primaries == (34000, 16000, 13250, 34500, 7500, 3000)
    assert (video.mastering.white, video.mastering.luminance) == ((15635, 16450), (10_000_000, 50))


@pytest.mark.parametrize("pix_fmt", ["gray", "yuv444p12le", "gbrp10le", "bgra", "yuv420p10le", "gray10le", "yuva444p"])
def test_many_pixel_formats_are_planned(pix_fmt: str, tmp_path: Path) -> None:
    source = rendered(tmp_path / "clip.mkv", *PICTURE, "-t", "0.3", "-c:v", "ffv1", "-pix_fmt", pix_fmt)
    manifest, pts = planned(source)
    assert manifest.source.video.pix_fmt == pix_fmt
    assert len(frames_of(source, manifest, pts)) == 9


def joined(*parts: bytes) -> bytes:
    """Transport streams one behind the other, their packets numbered through, as a recorder's clock jumps."""
    content, counts = bytearray(b"".join(parts)), dict[int, int]()
    for at in range(0, len(content), 188):
        pid = int.from_bytes(content[at + 1 : at + 3]) & 0x1FFF
        if content[at + 3] & 0x10:  # it has a payload
            content[at + 3] = content[at + 3] & 0xF0 | counts.get(pid, 0)
            counts[pid] = (counts.get(pid, 0) + 1) % 16
    return bytes(content)


def test_times_that_jump(clips: Path, tmp_path: Path) -> None:
    """Forward is kept as it is; backward is refused with the place."""
    source = rendered(clips / "closed.ts", *PICTURE, *STREAMS["closed"])
    later, both = tmp_path / "later.ts", tmp_path / "both.ts"
    ffmpeg(source, "-output_ts_offset", "30", later)
    both.write_bytes(joined(source.read_bytes(), later.read_bytes()))
    manifest, pts = planned(both, 1.0)
    assert pts == shown(both)
    assert max(b - a for a, b in pairwise(pts)) > 20 * 90_000
    assert [found for found, _ in frames_of(both, manifest, pts)] == pts
    both.write_bytes(joined(later.read_bytes(), source.read_bytes()))
    with pytest.raises(SourceError, match=r"both.ts: its times jump back, from 3\d\.\d+ s to 1\.\d+ s"):
        planned(both)


def test_the_video_of_an_unknown_track_is_not_taken_for_empty(clips: Path, tmp_path: Path) -> None:
    plain = rendered(clips / "plain.mp4", *PICTURE, *X264, "scenecut=0")
    two = tmp_path / "two.mp4"
    ffmpeg(plain, "-i", plain, "-map", "0", "-map", "1", two)
    assert [o.kind for o in probe_source(two).others] == ["video"]
    content = two.read_bytes()
    at = content.rindex(b"avc1")
    two.write_bytes(content[:at] + b"zzzz" + content[at + 4 :])
    assert [o.kind for o in probe_source(two).others] == ["video"]
    with pytest.raises(SourceError, match="cannot be decoded"):
        probe_source(two, video=1)
