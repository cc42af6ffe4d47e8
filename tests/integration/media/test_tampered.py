"""What was tampered with, cut off or exchanged between the workers and the output is noticed, each by its own check."""

import os
import shutil
import stat
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import pytest

from farm.errors import AttemptStopped, VerificationError
from farm.executables import find_ffmpeg
from farm.media import ffmpeg as ffmpeg_program
from farm.media.composing.remux import segment_packets
from farm.media.verifying.verify_segment import verify_segment
from tests.integration.trips import CLIPS, Rendered, Trip, ffmpeg, start


def places(path: Path) -> list[tuple[int, int, bool]]:
    """Where each packet of the video lies in the file, how long it is, and whether it is a key frame."""
    with av.open(str(path)) as container:
        return [(p.pos or 0, p.size, p.is_keyframe) for p in container.demux(video=0) if p.size]


def copied(path: Path, to: Path, change: Callable[[bytearray], None]) -> Path:
    """A copy with other bytes."""
    content = bytearray(path.read_bytes())
    change(content)
    to.write_bytes(content)
    return to


def scribbled(at: int, length: int = 40) -> Callable[[bytearray], None]:
    def change(content: bytearray) -> None:
        content[at : at + length] = bytes(b ^ 0x5A for b in content[at : at + length])

    return change


def check(trip: Trip, segment: Path, chunk: int = 0) -> int:
    return verify_segment(segment, trip.pts[chunk], trip.settings)


@pytest.mark.parametrize("threads", [1, 3])
def test_a_segment_with_damage_in_its_picture(trip: Trip, tmp_path: Path, threads: int) -> None:
    whole = trip.segments[0]
    at, size, _ = max((p for p in places(whole) if not p[2]), key=lambda place: place[1])
    harmed = copied(whole, tmp_path / "harmed.seg", scribbled(at + size // 2))
    assert len(list(segment_packets(harmed))) == len(trip.pts[0])  # demuxing sees nothing
    with pytest.raises(VerificationError, match=r"harmed\.seg: .*(decoded|ticks off)"):
        verify_segment(harmed, trip.pts[0], trip.settings, threads=threads)


def test_a_segment_that_was_cut_off(trip: Trip, tmp_path: Path) -> None:
    whole = trip.segments[0]
    at, size, _ = places(whole)[-1]
    short = tmp_path / "short.seg"
    shutil.copy(whole, short)
    os.truncate(short, at + size // 2)
    with pytest.raises(VerificationError, match=r"short\.seg"):
        check(trip, short)
    with pytest.raises(VerificationError, match=r"short\.seg"):
        replace(trip, segments=[short, *trip.segments[1:]]).verify()


def test_a_segment_of_another_size_or_format(trip: Trip) -> None:
    with pytest.raises(VerificationError, match="160x120 yuv420p, not 320x120 yuv420p"):
        verify_segment(trip.segments[0], trip.pts[0], replace(trip.settings, width=320))
    with pytest.raises(VerificationError, match="not 160x120 yuv444p"):
        verify_segment(trip.segments[0], trip.pts[0], replace(trip.settings, pix_fmt="yuv444p"))


def test_a_segment_with_other_frames(trip: Trip) -> None:
    pts = trip.pts[0]
    for other in (pts[:-1], type(pts)("q", [*pts, pts[-1] + 512])):
        with pytest.raises(VerificationError, match=r"planned"):
            verify_segment(trip.segments[0], other, trip.settings)


def test_segments_in_another_order(trip: Trip) -> None:
    first, second, *rest = trip.segments
    with pytest.raises(VerificationError, match="its bytes are not those of"):
        replace(trip, segments=[second, first, *rest]).verify()
    with pytest.raises(VerificationError, match="segments for"):
        replace(trip, segments=trip.segments[:-1]).verify()


def test_one_byte_of_the_video(trip: Trip, tmp_path: Path) -> None:
    at, size, key = places(trip.out)[7]
    assert not key  # else decoding it would show it
    harmed = copied(trip.out, tmp_path / "harmed.mp4", scribbled(at + size - 2, 1))
    with pytest.raises(VerificationError, match=r"video packet 7 .*: its bytes are not those of .*\.seg"):
        replace(trip, out=harmed).verify()


def test_a_video_that_ends_early_or_shows_a_frame_at_another_time(trip: Trip, tmp_path: Path) -> None:
    short, late = tmp_path / "short.mp4", tmp_path / "late.mp4"
    ffmpeg(trip.out, "-map", "0", "-bsf:v", "noise=drop='gte(n,80)'", short)
    with pytest.raises(VerificationError, match="ends after 80 frames"):
        replace(trip, out=short).verify()
    ffmpeg(trip.out, "-map", "0", "-copyts", "-video_track_timescale", "15360",
           "-bsf:v", "setts=pts='PTS+eq(N,7)':dts=DTS", late)  # fmt: skip
    with pytest.raises(VerificationError, match=r"video packet 7 .*: is shown at another time"):
        replace(trip, out=late).verify()


def header(path: Path) -> bytes:
    with av.open(str(path)) as container:
        return container.streams.video[0].codec_context.extradata or b""


def test_a_header_that_is_not_the_segments(trip: Trip, tmp_path: Path) -> None:
    old = header(trip.out)
    new = old[:-1] + bytes([old[-1] ^ 0x08])  # the end of the picture parameter set: still decodes to something

    def change(content: bytearray) -> None:
        at = content.index(old)
        content[at : at + len(old)] = new

    harmed = copied(trip.out, tmp_path / "header.mp4", change)
    with pytest.raises(VerificationError, match=r"its header is not that of .*\.seg"):
        replace(trip, out=harmed).verify()


def test_a_key_frame_that_does_not_decode_though_the_segment_has_it_so(trip: Trip, tmp_path: Path) -> None:
    place = [k for k, (_, _, key) in enumerate(places(trip.out)) if key][1]
    assert place == len(trip.pts[0])  # the second chunk's first frame
    at, size, _ = places(trip.out)[place]
    output = copied(trip.out, tmp_path / "key.mp4", scribbled(at + size // 2))
    at, size, _ = places(trip.segments[1])[0]
    segment = copied(trip.segments[1], tmp_path / "key.seg", scribbled(at + size // 2))
    with pytest.raises(VerificationError, match="decoded"):
        replace(trip, out=output, segments=[trip.segments[0], segment, *trip.segments[2:]]).verify()


def test_damage_in_a_transport_stream_whose_packets_are_rewritten(render: Rendered, tmp_path: Path) -> None:
    trip = start(render("zero.ts", *CLIPS["zero.ts"]), tmp_path)
    trip.compose()
    trip.verify()
    at, _, _ = max((p for p in places(trip.out) if not p[2]), key=lambda place: place[1])
    harmed = copied(trip.out, tmp_path / "harmed.ts", scribbled(at + 188 + 60, 60))  # inside the second packet of it
    with pytest.raises(VerificationError):
        replace(trip, out=harmed).verify()


def test_hevc_headers_that_differ_only_in_what_the_muxer_chooses(render: Rendered, tmp_path: Path) -> None:
    trip = start(render("hevc.mp4", *CLIPS["hevc.mp4"]), tmp_path)
    trip.compose()
    ours, theirs = header(trip.segments[0]), header(trip.out)
    assert ours != theirs  # else this test shows nothing: FFmpeg marks the arrays of hvc1 as complete
    assert trip.verify() == trip.manifest.frames
    harmed = copied(trip.out, tmp_path / "harmed.mp4", lambda c: scribbled(c.index(theirs) + len(theirs) - 1, 1)(c))
    with pytest.raises(VerificationError):
        replace(trip, out=harmed).verify()


def test_progress_rises_to_the_end(trip: Trip, tmp_path: Path) -> None:
    seen: list[int] = []
    replace(trip, out=tmp_path / "out.mp4").compose(seen.append)
    assert seen == sorted(seen)
    assert seen[0] == 0
    assert trip.manifest.frames // 2 <= seen[-1] <= trip.manifest.frames
    seen.clear()
    trip.verify(seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == trip.manifest.frames


@pytest.mark.parametrize("at", [0, 10, 30])
def test_stopping_while_segments_are_joined_leaves_nothing(trip: Trip, tmp_path: Path, at: int) -> None:
    def stop(frames: int) -> None:
        if frames >= at:
            raise AttemptStopped

    with pytest.raises(AttemptStopped):
        replace(trip, out=tmp_path / "out.mp4").compose(stop)
    assert not list(tmp_path.iterdir())


def test_ffmpeg_is_watched_and_ended(trip: Trip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program in ffmpeg's place that writes a little and then hangs: only what it wrote counts as progress."""
    program, said = tmp_path / "ffmpeg", tmp_path / "pid"
    program.write_text(
        f"#!/bin/sh\necho $$ > {said}\nfor out; do :; done\n"
        'head -c 60000 /dev/zero > "${out#file:}"\nsleep 0.4\n'
        'while :; do head -c 60000 /dev/zero >> "${out#file:}"; sleep 0.2; done\n'
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    folder = tmp_path / "out"
    folder.mkdir()
    monkeypatch.setattr(ffmpeg_program, "_POLL", 0.05)
    monkeypatch.setattr(ffmpeg_program, "_written", lambda _, out: out.stat().st_size if said.exists() else 0)
    seen: list[int] = []
    begun = time.monotonic()

    def listen(frames: int) -> None:
        seen.append(frames)
        waited = [n for n in seen if n > trip.manifest.frames // 2]
        # how often it is asked depends on the machine's load: end when it stood still, not at a fixed time
        if (len(set(waited)) > 1 and waited[-5:] == [seen[-1]] * 5) or time.monotonic() - begun > 60:
            raise AttemptStopped

    with pytest.raises(AttemptStopped):
        replace(trip, out=folder / "out.mp4").compose(listen, ffmpeg=program)
    assert seen == sorted(seen)
    waited = [n for n in seen if n > trip.manifest.frames // 2]
    assert len(set(waited)) >= 2  # it rose while ffmpeg wrote
    assert waited[-5:] == [waited[-1]] * 5  # and stood still with it, said again and again
    assert not list(folder.iterdir())
    with pytest.raises(ProcessLookupError):
        os.kill(int(said.read_text()), 0)


TAMPERED = {
    "rotation": (("-display_rotation", "180"), (), "its orientation is 3, the source's is 1"),
    "aspect": ((), ("-aspect", "16:9"), "its sample aspect is 4:3, the source's is 1:1"),
    "primaries": ((), ("-bsf:v", "h264_metadata=colour_primaries=9"), "its colour primaries is 9, the source's is 2"),
    "range": ((), ("-bsf:v", "h264_metadata=video_full_range_flag=1"), "its colour range is full"),
    "hidden": (("-ss", "0.1"), (), "is hidden by an edit list"),
}


@pytest.mark.parametrize("case", TAMPERED)
def test_what_is_said_of_the_video_is_the_sources(trip: Trip, tmp_path: Path, case: str) -> None:
    before, after, text = TAMPERED[case]
    out = tmp_path / "out.mp4"
    words = ("-map", "0", "-c", "copy", "-video_track_timescale", "15360", "-movie_timescale", "15360", *after)
    command = [str(find_ffmpeg().path), "-nostdin", "-v", "error", *before, "-i", str(trip.out), *words, str(out)]
    subprocess.run(command, check=True)
    with pytest.raises(VerificationError, match=text):
        replace(trip, out=out).verify()


def test_a_last_frame_that_is_shown_longer(trip: Trip) -> None:
    *chunks, last = trip.manifest.chunks
    longer = replace(trip.manifest, chunks=(*chunks, replace(last, pts_end=last.pts_end + 7)))
    with pytest.raises(VerificationError, match=r"its last frame is shown until 3\.000000 s, not 3\.000456 s"):
        replace(trip, manifest=longer).verify()


def test_frames_of_a_part_are_where_it_begins(trip: Trip) -> None:
    """The plan of a part that begins two ticks later than the output's: each time is checked less the shift."""
    with pytest.raises(VerificationError, match="is shown at another time"):
        replace(trip, manifest=replace(trip.manifest, shift=2)).verify()
    moved = [type(pts)("q", [p + 512 for p in pts]) for pts in trip.pts]
    chunks = tuple(replace(c, pts_start=c.pts_start + 512, pts_end=c.pts_end + 512) for c in trip.manifest.chunks)
    with pytest.raises(VerificationError, match=r"stream 1 \(audio"):  # the sound was not cut with it
        replace(trip, pts=moved, manifest=replace(trip.manifest, chunks=chunks, shift=512)).verify()
