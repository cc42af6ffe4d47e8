"""``farm submit`` as a user runs it: a video is redacted and nothing else changes; bad input gives one error line."""

import hashlib
import os
import re
import shutil
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from farm.executables import find_ffmpeg
from tests.conftest import ClipMaker
from tests.e2e.conftest import SLOWLY, Farm, assert_exact

pytestmark = pytest.mark.e2e


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_redacts_and_leaves_everything_else(farm: Farm, clip: Path, tmp_path: Path) -> None:
    before = digest(clip)
    out = tmp_path / "out.mp4"
    done = farm.run("submit", clip, "-o", out)
    assert "Blurred 1 face (track) in 50 of 50 frames. Rest of the picture unchanged (" in done.stdout
    assert "No face" not in done.stdout
    assert re.search(r"Size: [0-9.]+ kB → [0-9.]+ kB\.", done.stdout)
    assert_exact(clip, out)
    assert digest(clip) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["home", "out.mp4"]


def test_a_video_without_a_face_is_a_warning_or_no_output(farm: Farm, tmp_path: Path) -> None:
    """The size of the output is the source's with ``--crf auto``, which the second job asks for as well."""
    source, out = tmp_path / "empty.mp4", tmp_path / "out.mp4"
    picture = ("-f", "lavfi", "-i", "testsrc2=s=320x180:d=2:r=25", "-g", "25", "-crf", "35", "-pix_fmt", "yuv420p")
    subprocess.run([str(find_ffmpeg().path), "-v", "error", *picture, str(source)], check=True)
    words = ("submit", source, "-o", out)
    refused = farm.run(*words, "--require-faces", code=1)
    assert "no face was found in any of the 50 frames, and --require-faces was given" in refused.stderr
    assert "no output was published" in refused.stderr
    assert "no face was found" in farm.run(*words, "--require-faces", code=1).stderr  # the same again
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty.mp4", "home"]
    done = farm.run(*words, "--crf", "auto")
    assert "WARNING: No face was found in any of the 50 frames: the output is not redacted." in done.stdout
    assert abs(out.stat().st_size / source.stat().st_size - 1) < 0.15  # with the headers of a small file
    row = farm.json("list")[0]
    assert (row["faces"], row["without_faces"]) == (0, [[0.0, 2.0]])
    assert (row["source_size"], row["output_size"]) == (source.stat().st_size, out.stat().st_size)
    assert row["copied"] == 50
    asked = farm.run("verify", source, out).stdout
    assert asked.startswith("ok: 50 of 50 frames, but no change was found in any of them (does it show a face?)")


def test_chunks_are_planned_for_workers_that_start_later(farm: Farm, make_clip: ClipMaker, tmp_path: Path) -> None:
    """The last worker waits for the plan, which has a chunk for it: 9 s are one chunk for one worker."""
    farm.env["FARM_DEVICES"] = "cpu:2"
    row = farm.json("submit", make_clip(seconds=9, gop=25), "-o", tmp_path / "out.mp4")
    assert {s["stage"]: s["chunks"] for s in row["stages"]} == {"detect": 2, "redact": 2, "compose": 1}
    assert row["copied"] in range(row["frames"])


def test_the_same_again_is_refused_then_redone_from_what_is_there(farm: Farm, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    farm.run("submit", clip, "-o", out, "--chunk-seconds", 1)
    assert "exists" in farm.run("submit", clip, "-o", out, code=4).stderr
    row = farm.json("submit", clip, "-o", out, "--overwrite", "--chunk-seconds", 1)
    detect = row["stages"][0]
    assert detect["chunks_reused"] == detect["chunks"] == 2


def test_ctrl_c_at_half_then_again(farm: Farm, make_clip: ClipMaker, tmp_path: Path) -> None:
    source, out = make_clip(seconds=12, size=(640, 360), fps=25, gop=25), tmp_path / "out.mp4"
    words = ("submit", source, "-o", out, "--chunk-seconds", 1, *SLOWLY)
    first = farm.spawn(*words)
    farm.wait_until(lambda: farm.chunks_done("detect") >= 4, "four chunks", first)
    first.send_signal(signal.SIGINT)
    said, _ = first.communicate(timeout=60)
    assert first.returncode == 130
    assert "Finished chunks are kept" in said
    assert not out.exists()
    done = farm.chunks_done("detect")
    attempts = {e["text"] for e in farm.job()["events"]}
    assert done >= 4
    again = farm.run(*words)
    assert "resuming job" in again.stderr
    assert f"{done} of " in again.stdout
    assert "chunks were already done" in again.stdout
    assert_exact(source, out)
    assert len(farm.json("list")) == 1
    assert not any("attempt" in e for e in attempts)


def test_two_jobs_at_once_share_one_embedded_farm(farm: Farm, clip: Path, tmp_path: Path) -> None:
    first = farm.spawn("submit", clip, "-o", tmp_path / "a.mp4")
    second = farm.spawn("submit", clip, "-o", tmp_path / "b.mp4", "--style", "solid")
    assert (first.wait(120), second.wait(120)) == (0, 0), farm.logs()
    assert_exact(clip, tmp_path / "a.mp4")
    assert_exact(clip, tmp_path / "b.mp4")


def test_two_videos_do_not_share_an_output(farm: Farm, clip: Path, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("cam1", "cam2", "out")]
    for folder in folders:
        folder.mkdir()
        shutil.copy(clip, folder / "clip.mp4")
    sources = [folder / "clip.mp4" for folder in folders[:2]]
    done = farm.run("submit", *sources, "-o", folders[2], "--overwrite", "--end", "0.2s", "--detach", code=4)
    assert f"error: {sources[1]}: {folders[2]}/clip.blurred.mp4 is another video's output" in done.stderr
    assert len(farm.json("list")) == 1


def test_other_options_do_not_race_an_unfinished_job_for_its_output(farm: Farm, clip: Path, tmp_path: Path) -> None:
    words = ("submit", clip, "-o", tmp_path / "out.mp4", "--detach")
    first = farm.json(*words, "--end", "0.2s")["id"]
    done = farm.run(*words, "--end", "0.4s", code=4)
    assert f"farm cancel {first}" in done.stderr
    assert farm.json(*words, "--end", "0.2s")["id"] == first  # an identical job does not block itself
    farm.run("cancel", first)
    assert farm.json(*words, "--end", "0.4s")["id"] != first


def bad(tmp_path: Path, kind: str, clip: Path) -> tuple[Path, list[object], int, str]:
    """Make a bad input: the video, more arguments, the exit code, and a text that the error line must contain."""
    video = tmp_path / "in.mp4"
    content = clip.read_bytes()
    table: dict[str, tuple[bytes | None, list[object], int, str]] = {
        "missing": (None, [], 3, "in.mp4"),
        "empty": (b"", [], 3, "empty"),
        "text": (b"this is not a video\n" * 50, [], 3, "in.mp4"),
        "truncated": (content[: len(content) // 2], [], 3, "in.mp4"),
        "no output folder": (content, ["-o", tmp_path / "nowhere" / "out.mp4"], 4, "no such folder"),
        "output is the source": (content, ["-o", video, "--overwrite"], 4, "source"),
        "bad style": (content, ["--style", "sepia"], 2, "blur, pixelate, solid or image"),
        "bad number": (content, ["--crf", "99"], 2, "0 to 51"),
        "unknown detector": (content, ["--detector", "unheard-of"], 2, "centerface"),
        "stub": (content, ["--detector", "stub"], 5, "tests"),
        "bad device": (content, ["--devices", "cuda:7"], 7, "cuda:7"),
        "bad suffix": (content, ["-o", tmp_path / "out.txt"], 4, ".txt"),
    }
    written, words, code, says = table[kind]
    if written is not None:
        video.write_bytes(written)
    return video, words, code, says


@pytest.mark.parametrize(
    "kind",
    ["missing", "empty", "text", "truncated", "no output folder", "output is the source", "bad style", "bad number",
     "unknown detector", "stub", "bad device", "bad suffix"],
)  # fmt: skip
def test_bad_input_is_one_clear_line(farm: Farm, clip: Path, tmp_path: Path, kind: str) -> None:
    video, words, code, says = bad(tmp_path, kind, clip)
    before = digest(video) if video.exists() else None
    done = farm.run("submit", video, *words, code=code)
    line = done.stderr.strip().splitlines()
    assert len(line) == 1, done.stderr
    assert line[0].startswith("error: ")
    assert says in line[0]
    assert before == (digest(video) if video.exists() else None)
    assert {p.name for p in tmp_path.iterdir()} <= {"home", "in.mp4"}


def test_a_folder_and_a_file_nobody_may_read(farm: Farm, clip: Path, tmp_path: Path) -> None:
    assert "folder" in farm.run("submit", tmp_path, code=3).stderr
    video = Path(shutil.copy(clip, tmp_path / "in.mp4"))
    video.chmod(0)
    if os.access(video, os.R_OK):
        pytest.skip("this user can read every file")
    assert "in.mp4" in farm.run("submit", video, code=3).stderr


def test_no_weights_and_no_network(farm: Farm, clip: Path, tmp_path: Path) -> None:
    farm.env |= {
        "FARM_MODELS_DIR": str(tmp_path / "none"),
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": "",
        "PIP_EXTRA_INDEX_URL": "",
    }
    farm.env |= {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9"}
    done = farm.run("submit", clip, "-o", tmp_path / "out.mp4", code=5)
    assert "repeat the command" in done.stderr
    assert not (tmp_path / "out.mp4").exists()


def test_redis_that_does_not_answer(farm: Farm, clip: Path, tmp_path: Path) -> None:
    farm.env["FARM_BROKER_URL"] = "redis://:secret@127.0.0.1:9/0"
    done = farm.run("submit", clip, "-o", tmp_path / "out.mp4", code=6)
    assert "127.0.0.1:9" in done.stderr
    assert "secret" not in done.stderr


def test_several_videos_one_of_them_bad(farm: Farm, clip: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"rubbish")
    done = farm.run("submit", tmp_path / "bad.mp4", clip, "-o", tmp_path, code=3)
    assert "bad.mp4" in done.stderr
    assert_exact(clip, tmp_path / f"{clip.stem}.blurred.mp4")


@pytest.mark.parametrize("mode", [0o644, 0o600])
def test_what_the_farm_keeps_is_private_and_the_output_as_its_source(
    farm: Farm, clip: Path, tmp_path: Path, mode: int
) -> None:
    source, out = tmp_path / "in.mp4", tmp_path / "new" / "out.mp4"
    shutil.copyfile(clip, source)
    source.chmod(mode)
    farm.env["FARM_KEEP_SEGMENTS"] = "true"
    before = os.umask(0o022)
    try:
        farm.run("submit", source, "-o", f"{out.parent}/", "--chunk-seconds", 1)
    finally:
        os.umask(before)
    (found,) = out.parent.iterdir()
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in farm.home.rglob("*") if not path.is_socket()}
    kept = {path for path in modes if path.is_file() and path.parent.parent.name == "outputs"}  # linked to the output
    assert {modes[path] for path in modes if path.is_file() and path not in kept} == {0o600}
    assert {modes[path] for path in modes if path.is_dir()} | {stat.S_IMODE(farm.home.stat().st_mode)} == {0o700}
    assert stat.S_IMODE(found.stat().st_mode) == mode
    assert stat.S_IMODE(out.parent.stat().st_mode) == 0o755
