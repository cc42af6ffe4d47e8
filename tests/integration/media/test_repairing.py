"""Joined, cut off and damaged recordings are refused in words that say so, and redacted with `--repair`."""

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from farm.domain.options import SourceOptions
from farm.errors import SourceError
from farm.media.composing.joins import spread
from farm.media.composing.repair import plan_repair, write_repaired
from farm.media.reading.limits import Limits
from farm.media.reading.probe import probe_source
from farm.media.verifying.comparing import compare
from tests.fields import in_fields, muxed
from tests.integration.trips import VP8, X264, Rendered, ffmpeg, verdicts
from tests.matrix.journey import SOLID, Journey, Tools, travel
from tests.planned import plan_of

PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=160x120:rate=25:duration=2", "-f", "lavfi", "-i", "sine=duration=2")
FLASH = (
    "-f", "lavfi", "-i", "color=gray:size=160x120:rate=50:duration=2,drawbox=c=white:t=fill:enable='between(t,1,1.2)'",
    "-f", "lavfi", "-i", "aevalsrc='0.8*sin(5000*t)*between(t,1,1.2)':s=48000:d=2",
)  # fmt: skip
MPEG2 = ("-c:v", "mpeg2video", "-bf", "2", "-g", "12", "-c:a", "mp2")
CODECS = {
    "ts": (*X264, "-c:a", "aac"), "mkv": (*X264, "-c:a", "aac"), "webm": (*VP8, "-g", "12", "-c:a", "libopus"),
    "mpg": MPEG2, "mp4": (*X264, "-c:a", "aac", "-movflags", "+faststart"), "flv": (*X264, "-c:a", "aac"),
    "avi": ("-c:v", "mpeg4", "-bf", "2", "-g", "12", "-c:a", "mp3"),
}  # fmt: skip
FRAMES = 50


def whole(render: Rendered, kind: str) -> bytes:
    return render(f"whole.{kind}", *PICTURE, *CODECS[kind]).read_bytes()


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def travelled(source: Path, folder: Path) -> Journey:
    folder.mkdir(exist_ok=True)
    return travel(source, folder, Tools(fixed=True), replace(SOLID, source=SourceOptions(repair=True)))


def repaired(source: Path, folder: Path) -> tuple[Path, tuple[str, ...]]:
    """The copy alone."""
    repair = plan_repair(probe_source(source), Limits())
    assert repair.needed
    out = folder / f"copy{repair.suffix}"
    return out, write_repaired(repair, out)


def pts_of(path: Path) -> list[int]:
    with av.open(str(path)) as container:
        return sorted(p.pts for p in container.demux(video=0) if p.size and p.pts is not None)


def refused(source: Path) -> str:
    with pytest.raises(SourceError) as caught:
        plan_of(source, 1.0)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["ts", "mkv", "webm", "mpg"])
def test_joined_recordings(render: Rendered, tmp_path: Path, kind: str) -> None:
    source = written(tmp_path / f"joined.{kind}", 2 * whole(render, kind))
    text = refused(source)
    assert "its times jump back, from" in text
    assert "--repair" in text
    before = hashlib.sha256(source.read_bytes()).digest()
    journey = travelled(source, tmp_path / "work")
    assert hashlib.sha256(source.read_bytes()).digest() == before
    assert journey.manifest.source.original == str(source)
    times = pts_of(journey.output)
    assert len(times) == 2 * FRAMES == journey.manifest.frames
    steps = [b - a for a, b in pairwise(times)]
    assert steps[FRAMES - 1] < 3 * steps[0]  # the second begins when the first has ended
    assert "repair: 2 recordings joined" in journey.notes
    assert any("recording 2 begins at" in note and "its times moved by +" in note for note in journey.notes)
    copy, _ = repaired(source, tmp_path)
    again, _ = repaired(source, tmp_path / "work")
    assert copy.read_bytes() == again.read_bytes() == Path(journey.manifest.source.path).read_bytes()


@pytest.mark.parametrize("together", [False, True])
def test_joined_recordings_in_fields(tmp_path: Path, together: bool) -> None:
    part = muxed(tmp_path / "fields.mkv", in_fields(15), together=together)
    source = written(tmp_path / "joined.mkv", 2 * part.read_bytes())
    assert probe_source(source).video.fields
    copy, notes = repaired(source, tmp_path)
    assert "repair: 2 recordings joined" in notes
    assert plan_of(copy, None)[0].frames == 30
    with av.open(str(copy)) as opened, av.open(str(part)) as first:
        shown = [[f.to_ndarray().tobytes() for f in one.decode(video=0)] for one in (opened, first)]
    assert shown[0] == 2 * shown[1]


def test_the_frame_before_a_join_is_kept_whole(render: Rendered, tmp_path: Path) -> None:
    """The join makes the container call it damaged, and it may be shown last."""
    short = render("short.ts", "-f", "lavfi", "-i", "testsrc2=size=160x120:rate=10:duration=0.7", *X264)
    copy, notes = repaired(written(tmp_path / "joined.ts", 2 * short.read_bytes()), tmp_path)
    times = pts_of(copy)
    assert [b - a for a, b in pairwise(times)] == [9000] * 13
    assert not any("left out" in note for note in notes)


@pytest.mark.parametrize(("kind", "times"), [("mp4", 2), ("flv", 2), ("mkv", 3)])
def test_a_second_file_that_is_not_read_is_refused_with_and_without_repair(
    render: Rendered, tmp_path: Path, kind: str, times: int
) -> None:
    source = written(tmp_path / f"joined.{kind}", times * whole(render, kind))
    assert times > 2 or "another file is joined behind" in refused(source)
    with pytest.raises(SourceError, match="another file is joined behind"):
        travelled(source, tmp_path / "work")


def onsets(path: Path) -> tuple[list[float], list[float]]:
    """When flashes begin, and when beeps do, in seconds: decoded with PyAV alone."""
    flashes, beeps, bright, loud = list[float](), list[float](), False, -1.0
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            assert isinstance(frame, av.VideoFrame)
            is_bright = float(frame.to_ndarray(format="gray")[-20:, -20:].mean()) > 200
            if is_bright and not bright:
                flashes.append(float(frame.time or 0))
            bright = is_bright
        container.seek(0)
    with av.open(str(path)) as container:
        for sound in container.decode(audio=0):
            assert isinstance(sound, av.AudioFrame)
            samples = np.abs(sound.to_ndarray().astype(float)).max(axis=0)
            for at in np.flatnonzero(samples > 0.2 * (32768 if samples.max() > 2 else 1)):
                when = float(sound.time or 0) + at / sound.sample_rate
                if when - loud > 0.5:
                    beeps.append(when)
                loud = when
    return flashes, beeps


@pytest.mark.parametrize("kind", ["ts", "mkv", "mpg"])
def test_sound_stays_with_the_picture_at_a_join(render: Rendered, tmp_path: Path, kind: str) -> None:
    part = render(f"flash.{kind}", *FLASH, *CODECS[kind])
    more = 1 if kind == "mkv" else 2  # of Matroska only two segments are read
    longer = tmp_path / f"longer.{kind}"
    ffmpeg(part, "-output_ts_offset", "0.4", longer)
    journey = travelled(
        written(tmp_path / f"j.{kind}", longer.read_bytes() + more * part.read_bytes()), tmp_path / "work"
    )
    [flash], [beep] = onsets(part)
    flashes, beeps = onsets(journey.output)
    assert len(flashes) == len(beeps) == 1 + more
    apart = [b - f for f, b in zip(flashes, beeps, strict=True)]
    assert apart == pytest.approx([beep - flash] * (1 + more), abs=0.002)
    assert [b - a for a, b in pairwise(flashes)] == pytest.approx([2] * more, abs=0.1)


@pytest.mark.parametrize("kind", ["ts", "mkv", "avi", "mp4"])
def test_what_is_cut_off_is_left_out_and_counted(render: Rendered, tmp_path: Path, kind: str) -> None:
    content = whole(render, kind)
    source = written(tmp_path / f"cut.{kind}", content[: int(len(content) * 0.6) // 188 * 188 + 77])
    assert "add --repair" in refused(source)
    journey = travelled(source, tmp_path / "work")
    assert 10 < journey.manifest.frames < FRAMES
    assert any("is cut off" in note for note in journey.notes)
    assert len(pts_of(journey.output)) == journey.manifest.frames
    assert verdicts(compare(Path(journey.manifest.source.path), journey.output)) == {}


def test_a_damaged_frame_and_what_depends_on_it_are_left_out_and_counted(render: Rendered, tmp_path: Path) -> None:
    content = bytearray(whole(render, "mkv"))
    source = render("whole.mkv", *PICTURE, *CODECS["mkv"])
    with av.open(str(source)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
    keys = [number for number, packet in enumerate(packets) if packet.is_keyframe]
    number = next(n for n in range(keys[0] + 2, keys[1]) if packets[n].size > 200)
    at = content.find(bytes(packets[number]))
    content[at + 20 : at + 60] = b"\xff" * 40
    harmed = written(tmp_path / "harmed.mkv", bytes(content).replace(b"\xbf\x84", b"\xec\x84"))  # checksums made void
    _, notes = repaired(harmed, tmp_path)
    lost = [int(note.split()[1]) for note in notes if "left out: damaged, or not" in note]
    journey = travelled(harmed, tmp_path / "work")
    assert sum(lost) > 0
    assert journey.manifest.frames == FRAMES - sum(lost)


@pytest.mark.parametrize(("joined", "missing", "checked"), [(1, 50, True), (2, 50, False), (2, 1500, False)])
def test_what_is_not_read_behind_damage_is_told(
    render: Rendered, tmp_path: Path, joined: int, missing: int, checked: bool
) -> None:
    content = whole(render, "mkv")
    content = content if checked else content.replace(b"\xbf\x84", b"\xec\x84")  # checksums made void
    cut = len(content) // 3
    source = written(tmp_path / "cut.mkv", content[:cut] + content[cut + missing :] + (joined - 1) * content)
    copy, notes = repaired(source, tmp_path)
    assert len(pts_of(copy)) < FRAMES * joined - 2
    assert any("could not be read" in note and "lost" in note for note in notes)
    clean = written(tmp_path / "clean.mkv", joined * content)
    assert not any("could not be read" in fault for fault in plan_repair(probe_source(clean), Limits()).faults)


@pytest.mark.parametrize("kind", list(CODECS))
def test_of_a_whole_file_nothing_is_said_to_be_lost(render: Rendered, tmp_path: Path, kind: str) -> None:
    source = written(tmp_path / f"plain.{kind}", whole(render, kind))
    assert plan_repair(probe_source(source), Limits()).faults == ()


def test_a_damaged_page_of_ogg_is_noticed(render: Rendered, tmp_path: Path) -> None:
    content = render("whole.ogv", *PICTURE, "-c:v", "libtheora", "-q:v", "7", "-c:a", "libvorbis").read_bytes()
    assert plan_of(written(tmp_path / "whole.ogv", content), 1.0)[0].frames == FRAMES
    half = len(content) // 2
    source = written(tmp_path / "harmed.ogv", content[:half] + bytes([content[half] ^ 1]) + content[half + 1 :])
    text = refused(source)
    assert "is damaged behind byte" in text
    assert "--repair" not in text
    with pytest.raises(SourceError, match="is Ogg, of which no exact copy can be made"):
        travelled(source, tmp_path / "work")


def same_times(path: Path, source: Path, numbers: Iterable[int]) -> Path:
    """The video of a source, packets with these numbers at the time of the one before."""
    with av.open(str(source)) as opened, av.open(str(path), "w") as out:
        track = out.add_stream_from_template(opened.streams.video[0])
        last = 0
        for number, packet in enumerate(p for p in opened.demux(video=0) if p.size):
            assert packet.pts is not None
            packet.stream = track
            packet.pts = packet.dts = last if number in numbers else packet.pts
            last = packet.pts
            out.mux(packet)
    return path


def test_two_frames_with_one_time_are_spread(render: Rendered, tmp_path: Path) -> None:
    plain = render("still.mkv", *PICTURE[:4], "-c:v", "mpeg4", "-bf", "0", "-g", "12")
    source = same_times(tmp_path / "same.mkv", plain, (10, 11, 30))
    assert Counter(pts_of(source)).most_common(1)[0][1] == 3
    text = refused(source)
    assert "two frames have the same time" in text
    assert "add --repair" in text
    journey = travelled(source, tmp_path / "work")
    times = pts_of(Path(journey.manifest.source.path))
    assert len(set(times)) == FRAMES == journey.manifest.frames
    assert times[9:13] == [360, 400, 440, 480]
    assert any("5 frames had times of others, the first at 0.360 s" in note for note in journey.notes)


def test_a_clock_that_begins_before_zero_is_moved(render: Rendered, tmp_path: Path) -> None:
    """So libavformat reads a transport stream whose clock wraps around."""
    source = tmp_path / "wraps.ts"
    ffmpeg(render("whole.ts", *PICTURE, *CODECS["ts"]), "-output_ts_offset", "95442", "-muxdelay", "0", source)
    assert "at a negative time" in refused(source)
    journey = travelled(source, tmp_path / "work")
    assert any("all times moved by +1." in note for note in journey.notes)
    times = pts_of(journey.output)
    assert [b - a for a, b in pairwise(times)] == [b - a for a, b in pairwise(pts_of(source))]
    assert times[0] >= 0


def test_times_are_spread_without_changing_the_others() -> None:
    assert spread(array("q", [0, 40, 40, 80])) == {40: [40, 60]}
    assert spread(array("q", [0, 1, 1, 1, 2, 10])) == {1: [1, 2, 3], 2: [4]}
    assert spread(array("q", [5, 5])) == {5: [5, 6]}
    assert spread(array("q", [0, 10, 20])) == {}


def test_what_needs_no_repair_is_redacted_itself(render: Rendered, tmp_path: Path) -> None:
    source = render("whole.mp4", *PICTURE, *CODECS["mp4"])
    journey = travelled(source, tmp_path / "work")
    assert journey.manifest.source.path == str(source)
    assert journey.manifest.source.original == ""
    assert "repair: nothing to repair was found" in journey.notes
    with pytest.raises(SourceError, match="has no times that could be repaired"):
        travelled(render("bare.h264", *PICTURE[:4], *X264), tmp_path / "bare")


def test_recordings_of_two_sizes_are_joined_and_resized(render: Rendered, tmp_path: Path) -> None:
    small = render("small.ts", *PICTURE[:3], "testsrc2=size=96x72:rate=25:duration=2", *PICTURE[4:], *CODECS["ts"])
    source = written(tmp_path / "two.ts", small.read_bytes() + whole(render, "ts"))
    with pytest.raises(SourceError, match="--resize-to") as refused_too:
        travelled(source, tmp_path / "work")
    assert "is 160x120, not 96x72" in str(refused_too.value)
    options = replace(SOLID, source=SourceOptions(repair=True, resize_to="largest"))
    (tmp_path / "both").mkdir()
    journey = travel(source, tmp_path / "both", Tools(fixed=True), options)
    with av.open(str(journey.output)) as container:
        sizes = Counter((frame.width, frame.height) for frame in container.decode(video=0))
    assert sizes == {(160, 120): 2 * FRAMES}
