"""Sources that cannot be redacted exactly are refused in one line that says why."""

import os
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from farm.domain.options import SourceOptions
from farm.errors import SourceError
from farm.executables import find_ffmpeg
from farm.media.reading.limits import Limits
from farm.media.reading.opening import open_source
from tests.integration.trips import VP8
from tests.planned import plan_of

PICTURE = ["-f", "lavfi", "-i", "testsrc2=size=96x64:rate=25:duration=2"]
SOUND = ["-f", "lavfi", "-i", "sine=duration=2"]
H264 = ["-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"]


def make(path: Path, *arguments: str) -> Path:
    subprocess.run([str(find_ffmpeg().path), "-nostdin", "-v", "error", *arguments, str(path)], check=True)
    return path


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A healthy clip with sound, its index at the front."""
    path = tmp_path_factory.mktemp("good") / "good.mp4"
    return make(path, *PICTURE, *SOUND, *H264, "-movflags", "+faststart")


def refusal(path: Path) -> str:
    with pytest.raises(SourceError) as caught:
        plan_of(path, 1.0)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    return text


def test_what_is_no_video(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "missing.mp4")
    assert "is a directory" in refusal(tmp_path)
    (tmp_path / "empty.mp4").touch()
    assert "is empty" in refusal(tmp_path / "empty.mp4")
    (tmp_path / "text.mp4").write_text("once upon a time " * 200)
    assert "is not a video" in refusal(tmp_path / "text.mp4")
    os.mkfifo(tmp_path / "fifo.mp4")
    assert "not a regular file" in refusal(tmp_path / "fifo.mp4")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(good: Path, tmp_path: Path) -> None:
    path = tmp_path / "secret.mp4"
    path.write_bytes(good.read_bytes())
    path.chmod(0)
    assert "no permission" in refusal(path)


@pytest.mark.parametrize("container", ["mp4", "mkv", "avi", "ts"])
def test_a_file_that_ends_early(container: str, good: Path, tmp_path: Path) -> None:
    whole = make(tmp_path / f"whole.{container}", "-i", str(good), "-c", "copy", "-bf", "0")
    manifest, _ = plan_of(whole, 1.0)
    assert manifest.frames == 50
    data = whole.read_bytes()
    whole.write_bytes(data[: len(data) * 3 // 5 // 188 * 188 + 57])
    assert "cut off" in refusal(whole)


@pytest.mark.parametrize("flags", ["+faststart", "+frag_keyframe+empty_moov"])
def test_an_mp4_cut_anywhere_is_noticed(flags: str, good: Path, tmp_path: Path) -> None:
    whole = make(tmp_path / "whole.mp4", "-i", str(good), "-c", "copy", "-movflags", flags).read_bytes()
    for share in (0.5, 0.8, 0.95, 0.999):
        part = tmp_path / "part.mp4"
        part.write_bytes(whole[: int(len(whole) * share)])
        refusal(part)


def test_a_live_matroska_without_sizes(good: Path, tmp_path: Path) -> None:
    whole = make(tmp_path / "live.mkv", "-i", str(good), "-c", "copy", "-f", "matroska", "-live", "1")
    assert plan_of(whole, 1.0)[0].frames == 50
    whole.write_bytes(whole.read_bytes()[:-1000])
    assert "cut off" in refusal(whole)


def test_a_flipped_bit_in_a_matroska_cluster_is_noticed(good: Path, tmp_path: Path) -> None:
    """FFmpeg's muxer writes a checksum of each cluster, which shows what hardly any decoder notices."""
    whole = make(tmp_path / "whole.mkv", "-i", str(good), "-c", "copy")
    assert plan_of(whole, 1.0)[0].frames == 50
    content = bytearray(whole.read_bytes())
    content[len(content) // 2] ^= 4
    whole.write_bytes(content)
    assert re.search(r"is damaged behind byte \d+: a checksum in it does not match", refusal(whole))
    manifest, _ = plan_of(whole, 1.0, SourceOptions(on_undetectable="blackout"))
    assert manifest.frames == 50
    assert "checksum" in manifest.notes[0]


def test_what_cannot_be_redacted(good: Path, tmp_path: Path) -> None:
    def clip(name: str, *arguments: str) -> str:
        return refusal(make(tmp_path / name, *arguments))

    assert "audio only" in clip("sound.mp4", *SOUND)
    assert "pixel format xyz12le" in clip("float.nut", *PICTURE, "-c:v", "rawvideo", "-pix_fmt", "xyz12le")
    alpha = ["-vf", "format=yuva420p", *VP8, "-pix_fmt", "yuva420p", "-auto-alt-ref", "0", "-t", "0.2"]
    assert "partly transparent" in clip("alpha.webm", *PICTURE, *alpha)
    hevc = ["-c:v", "libx265", "-x265-params", "interlace=tff:log-level=none", "-t", "0.4", "-pix_fmt", "yuv420p"]
    assert "interlaced HEVC" in clip("fields.mkv", *PICTURE, *hevc)


def test_limits(good: Path) -> None:
    with pytest.raises(SourceError, match=r"good.mp4: its pictures are 96x64 pixels; at most 6000 pixels"):
        plan_of(good, 1.0, limits=Limits(pixels=6000))
    with pytest.raises(SourceError, match=r"good.mp4: is 2 s long; at most 1 s"):
        plan_of(good, 1.0, limits=Limits(seconds=1.0))


def test_a_picture_larger_than_its_header_is_not_allocated(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The decoder is told what was planned, and refuses before it allocates more."""
    monkeypatch.setattr("farm.media.reading.decoding._MARGIN", -60)
    assert "no frame of it can be decoded" in refusal(good)


@pytest.mark.parametrize(
    "text",
    ["ffconcat version 1.0\nfile {0}\n", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{0}\n#EXT-X-ENDLIST\n"],
)
def test_a_list_cannot_open_other_files(text: str, good: Path, tmp_path: Path) -> None:
    for name in ("list.mp4", "list.m3u8", "list.ffconcat"):
        path = tmp_path / name
        path.write_text(text.format(good))
        with pytest.raises(SourceError, match="is a playlist"):
            open_source(path)


def test_a_name_is_never_a_protocol(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("concat:a|b.mp4")
    path.write_bytes(good.read_bytes())
    assert plan_of(path, 1.0)[0].frames == 50


FULL = """
import sys
from pathlib import Path
from farm.domain.options import RedactOptions
from farm.errors import FarmError
from farm.media.encoding.encode import SegmentWriter
from farm.media.reading.opening import open_source
from farm.media.reading.probe import probe_source
from tests.planned import settings_of
source, out = map(Path, sys.argv[1:])
video = probe_source(source).video
try:
    with open_source(source) as container, SegmentWriter(out, settings_of(video, RedactOptions(crf=0)), 1) as w:
        for frame in container.decode(video=0):
            w.write(frame)
except FarmError as error:
    print(type(error).__name__, error)
"""


def test_a_full_disk_is_named(good: Path, tmp_path: Path) -> None:
    """A limit on the file's size stands for the full disk: the same failed write, needing no mount."""
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(good), str(tmp_path / "out.seg")],
        capture_output=True, text=True, check=True, timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )  # fmt: skip
    assert done.stdout.startswith("StorageError"), done
    assert "no space left in" in done.stdout
