"""What `farm verify` says of good outputs and of tampered ones, each property broken on its own."""

import math
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import pytest

from farm.domain.options import CODECS, RedactOptions
from farm.errors import SourceError, VerificationError
from farm.executables import find_ffmpeg
from farm.media.reading.decoding import decoded
from farm.media.verifying import comparing, parts
from farm.media.verifying.comparing import compare
from tests.integration.trips import CLIPS, X264, Rendered, start, verdicts, with_sound

FACE = "drawbox=x=60:y=40:w=40:h=40:color=gray:t=fill"


@pytest.fixture(scope="module")
def redacted(render: Rendered) -> tuple[Path, Path]:
    """A source and a good output, in which a box is grey."""
    source = render("cfr.mp4", *CLIPS["cfr.mp4"])
    return source, changed(source, source.with_name("redacted.mp4"), "-vf", FACE)


def changed(source: Path, out: Path, *arguments: str) -> Path:
    """A clip with another picture, the rest copied."""
    command = [str(find_ffmpeg().path), "-nostdin", "-y", "-v", "error", "-i", str(source), "-c:a", "copy"]
    subprocess.run([*command, *X264, "-crf", "18", *arguments, str(out)], check=True, capture_output=True)
    return out


def copied(source: Path, out: Path, *arguments: str, before: tuple[str, ...] = ()) -> Path:
    """A clip whose packets are copied."""
    command = [str(find_ffmpeg().path), "-nostdin", "-y", "-v", "error", *before, "-i", str(source)]
    subprocess.run([*command, "-map", "0", "-c", "copy", *arguments, str(out)], check=True, capture_output=True)
    return out


def test_a_good_output_holds(redacted: tuple[Path, Path]) -> None:
    found = compare(*redacted)
    assert found.holds
    assert verdicts(found, "differs") == {}
    assert found.frames == 90
    assert found.changed is not None
    assert 0.05 < found.changed < 0.15  # 9 blocks of 80, no more than their neighbours besides
    assert found.psnr is not None
    assert found.psnr > 40
    assert [w.frames for w in found.windows] == [90]


def test_many_small_covers_are_no_other_picture(render: Rendered, tmp_path: Path) -> None:
    source = render("crowd.mp4", "-f", "lavfi", "-i", "testsrc2=s=320x240:d=0.3", *X264)
    spots = [(x, y) for x in range(10, 310, 33) for y in range(11, 220, 39)]
    covers = ",".join(f"drawbox=x={x}:y={y}:w=14:h=14:color=black:t=fill" for x, y in spots)
    assert verdicts(compare(source, changed(source, tmp_path / "out.mp4", "-vf", covers))) == {}


def test_a_face_may_be_all_of_a_tiny_picture(render: Rendered, tmp_path: Path) -> None:
    source = render("tiny.mp4", "-f", "lavfi", "-i", "testsrc2=s=16x16:d=0.2", *X264)
    cover = "drawbox=x=2:y=2:w=9:h=9:color=black:t=fill"
    assert verdicts(compare(source, changed(source, tmp_path / "out.mp4", "-vf", cover))) == {}


@pytest.mark.parametrize("quality", ["28", "35"])
def test_another_quality_is_fine(redacted: tuple[Path, Path], tmp_path: Path, quality: str) -> None:
    output = changed(redacted[0], tmp_path / "out.mp4", "-vf", FACE, "-crf", quality)
    assert verdicts(compare(redacted[0], output)) == {}


def test_a_copy_of_the_source_says_that_nothing_was_changed(redacted: tuple[Path, Path]) -> None:
    found = compare(redacted[0], redacted[0])
    assert found.holds
    assert found.changed == 0
    assert found.psnr == math.inf
    assert verdicts(found, "differs")["redaction"] == "no change was found in any frame: does it show a face?"


COPIES: dict[str, tuple[tuple[str, ...], set[str], str]] = {
    "frame dropped": (("-bsf:v", "noise=drop='eq(n,89)'"), {"frames", "times", "end"}, "the output has 89 frames"),
    "moved by a tick": (("-bsf:v", "setts=pts='PTS+eq(N,89)':dts=DTS"), {"times"}, "frame 89 is at 2.966732 s"),
    "sound moved": (("-bsf:a", "setts=ts='TS+2000*gt(N,9)'"), {"packets"}, "packet 10 is at"),
    "sound shorter": (("-bsf:a", "noise=drop='gt(n,100)'"), {"packets"}, "has 101 packets"),
    "primaries": (("-bsf:v", "h264_metadata=colour_primaries=9"), {"colour_primaries"}, "9, the source's is 2"),
    "transfer": (("-bsf:v", "h264_metadata=transfer_characteristics=16"), {"colour_transfer"}, "16, the"),
    "matrix": (("-bsf:v", "h264_metadata=matrix_coefficients=9"), {"colour_matrix"}, "9, the source's is 2"),
    "range": (("-bsf:v", "h264_metadata=video_full_range_flag=1"), {"colour_range"}, "full, the source's is limited"),
    "aspect": (("-aspect", "16:9"), {"sample_aspect"}, "4:3, the source's is 1:1"),
}


@pytest.mark.parametrize("case", COPIES)
def test_what_was_tampered_with_is_named(redacted: tuple[Path, Path], tmp_path: Path, case: str) -> None:
    arguments, failed, text = COPIES[case]
    output = copied(redacted[1], tmp_path / "out.mp4", "-video_track_timescale", "15360", *arguments)
    found = verdicts(compare(redacted[0], output))
    # a full range is also another pixel format (yuvj420p), which is read as other luma by none of ours
    assert set(found) == failed
    assert text in " ".join(found.values())


def test_another_rotation_is_named(redacted: tuple[Path, Path], tmp_path: Path) -> None:
    output = copied(redacted[1], tmp_path / "out.mp4", before=("-display_rotation", "90"))
    found = verdicts(compare(redacted[0], output))
    assert set(found) == {"orientation", "display_matrix"}
    assert found["orientation"] == "8, the source's is 1"


PICTURES: dict[str, tuple[tuple[str, ...], str]] = {
    "one frame of another picture": (("-vf", "negate=enable='eq(n,40)'"), "frame 40 at 1.333333 s"),
    "moved by two samples": (("-vf", "scroll=hpos=0.0125"), "of it is another picture"),
    "green": (("-vf", "drawbox=color=green:t=fill"), "frame 0 at"),
    "a frame late": (("-vf", "tpad=start=1:start_mode=clone", "-frames:v", "90"), "the frame before or after it"),
    "two frames exchanged": (("-vf", "shuffleframes=0 2 1"), "the frame before or after it"),
    "all of it other": (("-vf", "hflip,vflip,negate"), "frame 0 at 0.000000 s: "),
}


@pytest.mark.parametrize("case", PICTURES)
def test_pictures_that_are_not_the_sources_are_named(redacted: tuple[Path, Path], tmp_path: Path, case: str) -> None:
    arguments, text = PICTURES[case]
    found = verdicts(compare(redacted[0], changed(redacted[0], tmp_path / "out.mp4", *arguments)))
    assert set(found) == {"picture"}
    assert text in found["picture"]


def test_what_a_person_may_choose_differs_and_does_not_fail(redacted: tuple[Path, Path], tmp_path: Path) -> None:
    source = redacted[0]
    silent = compare(source, changed(source, tmp_path / "silent.mp4", "-vf", FACE, "-an"))
    assert silent.holds
    assert verdicts(silent, "differs")["streams"] == "the output lacks stream 1 (audio, aac)"
    small = compare(source, changed(source, tmp_path / "small.mp4", "-vf", f"{FACE},scale=80:60:flags=area"))
    assert small.holds
    assert verdicts(small, "differs") == {"size": "80x60, the source's is 160x120"}
    other = compare(source, changed(source, tmp_path / "other.mp4", "-vf", FACE, "-c:v", "mpeg4", "-q:v", "3"))
    assert other.holds
    assert verdicts(other, "differs") == {"codec": "mpeg4, the source's is h264"}
    dark = "drawbox=color=black:t=fill:enable='between(n,30,34)'"
    black = compare(source, changed(source, tmp_path / "black.mp4", "-vf", f"{FACE},{dark}"))
    assert black.holds
    assert verdicts(black, "differs") == {"black": "5 frames are wholly black, the first at 1.000000 s"}


def test_a_stream_too_many_fails(redacted: tuple[Path, Path], tmp_path: Path) -> None:
    output = copied(redacted[1], tmp_path / "out.mp4", "-map", "0:a")
    assert verdicts(compare(redacted[0], output)) == {
        "packets": "stream 2 (audio, aac) of the output is not in the source"
    }


def test_a_part_is_accepted_only_when_it_was_asked_for(redacted: tuple[Path, Path], tmp_path: Path) -> None:
    source = redacted[0]
    cut = f"{FACE},trim=start_frame=33:end_frame=66,setpts=PTS-STARTPTS"
    part = changed(source, tmp_path / "part.mp4", "-vf", cut, "-an")
    assert "--part" in verdicts(compare(source, part))["times"]
    found = compare(source, part, part=True)
    assert found.holds
    assert verdicts(found, "ok")["times"] == "each frame is at the source's time, less 1.100000 s"
    assert verdicts(found, "differs")["frames"] == "33 of the source's 90 frames"
    sampled_ = changed(source, tmp_path / "fps.mp4", "-vf", f"{FACE},select='not(mod(n,5))'", "-fps_mode", "vfr", "-an")
    assert compare(source, sampled_, part=True).holds
    moved = copied(part, tmp_path / "moved.mp4", "-bsf:v", "setts=pts='PTS+eq(N,20)':dts=DTS")
    assert set(verdicts(compare(source, moved, part=True))) == {"times"}


def test_what_is_hidden_by_an_edit_list_is_named(redacted: tuple[Path, Path], tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    command = [str(find_ffmpeg().path), "-nostdin", "-v", "error", "-ss", "0.5", "-i", str(redacted[1]), "-c", "copy"]
    subprocess.run([*command, str(output)], check=True)
    assert "hidden" in verdicts(compare(redacted[0], output))


def test_a_truncated_output_and_rubbish_are_refused_in_one_line(redacted: tuple[Path, Path], tmp_path: Path) -> None:
    source, output = redacted
    short = tmp_path / "short.mp4"
    short.write_bytes(output.read_bytes()[:-20_000])
    with pytest.raises(VerificationError, match="output cannot be read"):
        compare(source, short)
    rubbish = tmp_path / "rubbish.mp4"
    rubbish.write_bytes(b"no video " * 999)
    with pytest.raises(VerificationError, match="output cannot be read"):
        compare(source, rubbish)
    with pytest.raises(SourceError, match="not a video"):
        compare(rubbish, output)


def harmed(path: Path, kind: str, to: Path) -> Path:
    """A copy with other bytes in the middle of its largest packet of a kind that is no key frame."""
    shutil.copy(path, to)
    with av.open(str(path)) as container:
        stream = next(s for s in container.streams if s.type == kind)
        packets = [(p.size, p.pos or 0) for p in container.demux(stream) if kind == "audio" or not p.is_keyframe]
    size, at = max(packets)
    with to.open("r+b") as file:
        file.seek(at + size // 2)
        file.write(b"\x5a" * 40)
    return to


def test_sound_of_other_bytes_is_named(redacted: tuple[Path, Path], tmp_path: Path) -> None:
    found = verdicts(compare(redacted[0], harmed(redacted[1], "audio", tmp_path / "harmed.mp4")))
    assert set(found) == {"packets"}
    assert found["packets"].endswith("its bytes are not the source's")


def test_damage_in_the_output_is_named(redacted: tuple[Path, Path], tmp_path: Path) -> None:
    assert "decode" in verdicts(compare(redacted[0], harmed(redacted[1], "video", tmp_path / "harmed.mp4")))


def clip_for(codec: str, render: Rendered, suffix: str) -> Path:
    """A clip in a pixel format that a codec holds."""
    pixels = "yuv422p10le" if codec == "prores" else "yuv420p"
    return render(f"{pixels}{suffix}", *with_sound(), *X264, "-pix_fmt", pixels)


#: Which have a place in MP4 or QuickTime; VP8 and FFV1 are in the next test, whose times are in milliseconds.
MP4 = [codec for codec in CODECS if codec not in {"vp8", "ffv1"}]


@pytest.mark.parametrize("codec", MP4)
def test_every_codec_passes_the_farms_own_checks_and_these(codec: str, render: Rendered, tmp_path: Path) -> None:
    source = clip_for(codec, render, ".mp4")
    trip = start(source, tmp_path, redact=RedactOptions(codec=codec, preset="ultrafast"))
    assert trip.settings.codec == codec
    trip = replace(trip, out=tmp_path / ("out.mov" if codec == "prores" else "out.mp4"))
    trip.compose()
    assert trip.verify() == 90
    found = compare(source, trip.out)
    assert verdicts(found) == {}


@pytest.mark.parametrize("kind", [av.error.PatchWelcomeError, av.error.ExternalError, av.error.InvalidDataError])
def test_every_error_of_a_decoder_is_a_finding(
    kind: type[av.error.FFmpegError], redacted: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> Iterator[av.VideoFrame]:
        raise kind(1, "not implemented")
        yield

    monkeypatch.setattr(comparing, "decoded", broken)
    assert verdicts(compare(*redacted))["decode"] == "decoding fails after frame 0: not implemented"


def test_a_part_without_a_frame_is_refused(redacted: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    one = copied(redacted[0], redacted[0].with_name("part.mp4"), "-t", "1")

    def nothing_of_the_output(*opened: Any, **options: Any) -> Iterator[av.VideoFrame]:
        return decoded(*opened, **options) if options else iter(())

    monkeypatch.setattr(parts, "decoded", nothing_of_the_output)
    with pytest.raises(VerificationError, match="frames cannot be decoded"):
        compare(redacted[0], one, part=True)


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_in_matroska(codec: str, render: Rendered, tmp_path: Path) -> None:
    source = clip_for(codec, render, ".mkv")
    trip = start(source, tmp_path, redact=RedactOptions(codec=codec, preset="ultrafast"))
    trip = replace(trip, out=tmp_path / "out.mkv")
    trip.compose()
    assert trip.verify() == 90
    assert verdicts(compare(source, trip.out)) == {}


@pytest.mark.parametrize(("picture", "quality"), [("null", "18"), ("null", "35"), ("gblur=sigma=1.5", "18")])
def test_real_footage_that_is_moved_by_one_sample_is_named(
    footage: Path, tmp_path: Path, picture: str, quality: str
) -> None:
    real = footage / "videos" / "real" / "asl_walk.mkv"
    source = changed(real, tmp_path / "source.mp4", "-frames:v", "40", "-an", "-vf", f"scale=320:-2,{picture}")
    good = changed(source, tmp_path / "good.mp4", "-vf", FACE, "-crf", quality)
    assert verdicts(compare(source, good)) == {}
    moved = changed(source, tmp_path / "moved.mp4", "-vf", "scroll=hpos=0.003125", "-crf", quality)
    assert "picture" in verdicts(compare(source, moved))
