"""Files with several videos and with cover art: each is redacted, and all are in one output."""

import io
import subprocess
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image

from farm.domain.options import JobOptions
from farm.executables import find_ffmpeg
from farm.jobs.placing import Request, prepare
from farm.media.encoding.encoders import ENCODERS
from tests.conftest import ClipMaker
from tests.e2e.conftest import Farm

pytestmark = pytest.mark.e2e

Picture = NDArray[np.uint8]


def ffmpeg(*words: str | Path) -> None:
    """Run ffmpeg; a path that is not the last word is an input."""
    command = [find_ffmpeg().path, "-nostdin", "-y", "-v", "error"]
    for word in words[:-1]:
        command += ["-i", word] if isinstance(word, Path) else [word]
    subprocess.run([str(word) for word in (*command, words[-1])], check=True)


HEVC = ("-c", "copy", "-c:v:1", "libx265", "-x265-params", "log-level=error")


@pytest.fixture
def dual(make_clip: ClipMaker, tmp_path: Path) -> Path:
    """A dashcam's file: two videos of different sizes, codecs and rates with a face each, the sound between them."""
    front, rear = make_clip(seconds=2, size=(320, 180), fps=25, gop=10), make_clip(seconds=1, size=(240, 136), fps=30)
    path = tmp_path / "dual.mp4"
    ffmpeg(front, rear, "-map", "0:v", "-map", "0:a", "-map", "1:v", *HEVC, path)
    return path


@pytest.fixture
def face(make_clip: ClipMaker) -> Picture:
    """A picture with a face."""
    with av.open(str(make_clip(seconds=2, size=(320, 180), fps=25, gop=10))) as container:
        return np.asarray(next(container.decode(video=0)).to_ndarray(format="rgb24"), np.uint8)


def frames(path: Path, index: int) -> list[tuple[Fraction, Picture]]:
    """Time and grey picture of all frames of a stream."""
    with av.open(str(path)) as container:
        stream = container.streams[index]
        assert isinstance(stream, VideoStream)
        assert stream.time_base is not None
        return [
            ((frame.pts or 0) * stream.time_base, np.asarray(frame.to_ndarray(format="gray"), np.uint8))
            for frame in container.decode(stream)
        ]


def changed(ours: Picture, theirs: Picture) -> float:
    """The share of the picture that differs by more than an encoder makes it."""
    return float((np.abs(ours.astype(np.int16) - theirs) > 24).mean())


def test_both_videos_of_a_file_are_redacted_at_their_own_times(farm: Farm, dual: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    row = farm.json("submit", dual, "-o", out, "--style", "solid")
    (companion,) = row["companions"]
    assert (companion["stream"], companion["status"], companion["faces"]) == (2, "done", 1)
    with av.open(str(out)) as container:
        kinds = [(s.type, s.codec_context.codec.canonical_name) for s in container.streams]
    assert kinds == [("video", "h264"), ("audio", "aac"), ("video", "hevc")]
    for index in (0, 2):
        before, after = frames(dual, index), frames(out, index)
        assert [time for time, _ in before] == [time for time, _ in after]
        assert all(changed(a, b) > 0.01 for (_, a), (_, b) in zip(before, after, strict=True))
    assert len(farm.json("list")) == 1
    assert farm.json("verify", "--job", row["id"])["verified"]
    assert farm.json("verify", dual, out)["verified"]
    said = farm.run("status", companion["id"]).stdout
    assert f"redacts stream 2 for job {row['id']}" in said
    assert f"name {row['id']}" in farm.run("cancel", companion["id"], code=2).stderr

    bad, other = tmp_path / "bad.mp4", tmp_path / "other.mp4"
    ffmpeg(out, dual, "-map", "0:v:0", "-map", "0:a", "-map", "1:v:1", "-c", "copy", bad)
    row = farm.json("verify", dual, bad)  # it differs from the source in nothing: said, as of the main video
    assert {f["name"] for f in row["findings"] if f["verdict"] == "differs"} >= {"redaction of stream 2"}
    ffmpeg(out, dual, "-map", "0:v:0", "-map", "0:a", "-map", "0:v:1", *HEVC, "-filter:v:1", "negate", other)
    assert "picture of stream 2" in farm.run("verify", dual, other, code=9).stdout


def test_one_of_several_videos_is_chosen(farm: Farm, dual: Path, tmp_path: Path) -> None:
    out = tmp_path / "rear.mp4"
    said = farm.run("submit", dual, "-o", out, "--video", 2).stdout
    assert "stream 0 (video, h264) was left out, as asked" in said
    assert [len(frames(out, 1)), len(frames(dual, 2))] == [30, 30]
    assert "its video streams are 0 (h264, 320x180), 2 (hevc, 240x136)" in farm.run(
        "submit", dual, "-o", tmp_path / "no.mp4", "--video", 1, code=3
    ).stderr.replace("\n", " ")
    assert farm.json("verify", dual, out, "--video", 2)["verified"]
    said = farm.run("submit", dual, "-o", tmp_path / "part.mp4", "--end", 1, code=2).stderr
    assert "choose one with --video 0 or --video 2" in said
    assert not (tmp_path / "part.mp4").exists()


def test_each_video_is_reviewed_and_corrected_on_its_own(farm: Farm, dual: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    row = farm.json("submit", dual, "-o", out, "--review")
    (companion,) = row["companions"]
    assert (row["status"], companion["waits"]) == ("reviewing", True)
    said = farm.run("approve", row["id"]).stdout
    assert f"farm approve {companion['id']}" in said
    assert not out.exists()
    assert f"{out}: 50 frames" in farm.run("approve", companion["id"]).stdout
    first = frames(out, 0)
    farm.run("edit", companion["id"], "drop", 0)
    farm.run("redact", companion["id"])
    for (_, a), (_, b) in zip(frames(dual, 2), frames(out, 2), strict=True):
        assert changed(a, b) < 0.01
    assert all(np.array_equal(a, b) for (_, a), (_, b) in zip(first, frames(out, 0), strict=True))
    assert farm.json("verify", "--job", row["id"])["verified"]


@pytest.mark.parametrize(("suffix", "form"), [(".mp4", "JPEG"), (".mkv", "PNG")])
def test_a_face_in_cover_art_is_covered(
    farm: Farm, clip: Path, face: Picture, tmp_path: Path, suffix: str, form: str
) -> None:
    kind = form.lower()
    picture, source, out = tmp_path / f"who.{kind}", tmp_path / f"in{suffix}", tmp_path / f"out{suffix}"
    Image.fromarray(face).save(picture, form)
    if suffix == ".mkv":
        about = ("-metadata:s:t", f"mimetype=image/{kind}", "-metadata:s:t", f"filename=who.{kind}")
        ffmpeg(clip, "-c", "copy", "-attach", str(picture), *about, source)
    else:
        ffmpeg(clip, picture, "-map", "0", "-map", "1", "-c", "copy", "-disposition:v:1", "attached_pic", source)
    row = farm.json("submit", source, "-o", out, "--style", "solid")
    assert row["companions"][0]["faces"]
    with av.open(str(out)) as container:
        (cover,) = [s for s in container.streams.video if s.disposition.attached_pic in s.disposition]
        packet = next(p for p in container.demux(cover) if p.size)
        content = bytes(packet)
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == form
        shown = np.asarray(image.convert("RGB"), np.uint8)
    assert shown.shape == face.shape
    assert 0.01 < changed(face, shown) < 0.3
    assert content not in source.read_bytes()
    assert picture.read_bytes() not in out.read_bytes()
    assert farm.json("verify", "--job", row["id"])["verified"]


def with_cover(clip: Path, picture: Path) -> Path:
    source = picture.with_name("in.mp4")
    ffmpeg(clip, picture, "-map", "0", "-map", "1", "-c", "copy", "-disposition:v:1", "attached_pic", source)
    return source


def test_a_damaged_cover_is_left_out(farm: Farm, clip: Path, face: Picture, tmp_path: Path) -> None:
    picture, out = tmp_path / "who.jpg", tmp_path / "out.mp4"
    Image.fromarray(face).save(picture)
    picture.write_bytes(picture.read_bytes()[:3000])
    said = farm.run("submit", with_cover(clip, picture), "-o", out).stdout
    assert "stream 2 (cover) was left out, as it cannot be redacted" in said
    with av.open(str(out)) as container:
        assert [s.type for s in container.streams] == ["video", "audio"]


@pytest.mark.parametrize("how", ["deep", "turned"])
def test_a_cover_that_no_picture_can_hold_is_left_out(clip: Path, face: Picture, tmp_path: Path, how: str) -> None:
    picture = tmp_path / "who.png"
    if how == "deep":  # 16 bits, which no encoder of pictures takes
        Image.fromarray(face[:, :, 0].astype(np.uint16) * 257).save(picture)
    else:
        exif, picture = Image.Exif(), tmp_path / "who.jpg"
        exif[0x112] = 6
        Image.fromarray(face).save(picture, exif=exif)
    request = Request(with_cover(clip, picture), tmp_path / "out.mp4", overwrite=True, options=JobOptions())
    prepared = prepare(request, frozenset(ENCODERS))
    assert not prepared.companions
    assert [other.kind for other in prepared.probe.others] == ["audio"]
    assert any("stream 2 (cover) was left out, as it cannot be redacted" in note for note in prepared.notes)


def test_the_output_fails_where_a_companion_does(farm: Farm, dual: Path, tmp_path: Path) -> None:
    """Its second video is damaged: nothing is published, and the error says which stream."""
    out, broken = tmp_path / "out.mp4", tmp_path / "broken.mp4"
    content = bytearray(dual.read_bytes())
    with av.open(str(dual)) as container:
        packets = [p for p in container.demux(container.streams[2]) if p.size]
        place = packets[len(packets) // 2]
        assert place.pos is not None
        content[place.pos + 6 : place.pos + place.size] = bytes(place.size - 6)
    broken.write_bytes(content)
    said = farm.run("submit", broken, "-o", out, code=None)
    assert said.returncode not in (0, 70)
    assert "stream 2" in said.stderr
    assert not out.exists()
    said = farm.run("submit", broken, "-o", out, "--on-undetectable", "blackout")
    assert "stream 2: " in said.stdout
    assert "black because the source could not be decoded" in said.stdout
