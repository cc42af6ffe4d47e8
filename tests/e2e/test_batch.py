"""``farm submit`` with many videos, folders of them, and with names that are hard to print or too long."""

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from farm.executables import find_ffmpeg
from tests.conftest import ClipMaker
from tests.e2e.conftest import SLOWLY, Farm, assert_exact

pytestmark = pytest.mark.e2e

#: The real command, in which submitting, or following, one video goes wrong.
BREAK = """
from farm.cli import batch, main
from farm.errors import StorageError
real = batch.submit
def submit(context, prepared, *rest):
    if prepared.request.source.name == "b.mp4":
        raise {error}
    return real(context, prepared, *rest)
batch.submit = submit
main.run()
"""
EVIL = "evil\x1b]0;owned\x07\n\u202egpj.mp4"


def broken(farm: Farm, error: str, *words: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", BREAK.format(error=error), "submit", *map(str, words)]
    return subprocess.run(command, env=farm.env, capture_output=True, text=True, timeout=240, check=False)


@pytest.fixture
def videos(clip: Path, tmp_path: Path) -> list[Path]:
    folder = tmp_path / "in"
    folder.mkdir()
    return [Path(shutil.copy(clip, folder / name)) for name in ("a.mp4", "b.mp4", "c.mp4")]


def table(done: "subprocess.CompletedProcess[str]") -> list[list[str]]:
    return [line.split("\t") for line in done.stdout.splitlines() if "\t" in line]


def test_a_defect_stops_no_other_video(farm: Farm, videos: list[Path], tmp_path: Path) -> None:
    (tmp_path / "in" / "z.mp4").write_bytes(b"rubbish")
    done = broken(farm, "RuntimeError('oh\\nno')", *videos, tmp_path / "in" / "z.mp4", "-o", f"{tmp_path}/out/")
    assert done.returncode == 3, done.stderr  # the first failure's: probing comes before
    first, second = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert first.startswith(f"error: {tmp_path}/in/z.mp4: is not a video")
    log = farm.home / "logs" / "defects.log"
    assert second == (
        f"error: {videos[1]}: a defect in farm: RuntimeError: oh (please report it with the end of {log})"
    )
    assert "Traceback" in log.read_text()
    assert "Traceback" not in done.stderr
    assert "4 videos: 2 done, 2 failed" in done.stderr
    assert f"3 of 4: {videos[2]}: job " in done.stderr
    assert [(Path(row[0]).name, row[1], row[2]) for row in table(done)] == [
        ("a.mp4", "done", "1"), ("c.mp4", "done", "1"), ("b.mp4", "failed", ""), ("z.mp4", "failed", ""),
    ]  # fmt: skip
    for video in (videos[0], videos[2]):
        assert_exact(video, tmp_path / "out" / f"{video.stem}.blurred.mp4")


def test_a_defect_alone_is_exit_code_70(farm: Farm, videos: list[Path]) -> None:
    assert broken(farm, "KeyError(1)", *videos[1:], "--detach").returncode == 70
    assert len(farm.json("list")) == 1


def test_an_error_of_the_farm_is_said_once(farm: Farm, videos: list[Path], tmp_path: Path) -> None:
    videos.append(Path(shutil.copy(videos[0], tmp_path / "in" / "d.mp4")))
    done = broken(farm, "StorageError('the store is full')", *videos)
    assert done.returncode == 8
    assert done.stderr.count("error: ") == 1
    assert f"error: {videos[1]}: the store is full" in done.stderr
    said = "4 videos: 1 done, 1 failed, 2 not done; run the same command again to continue"
    assert done.stderr.splitlines()[-1] == said
    assert len(farm.json("list")) == 1  # what was under way is finished


def test_ctrl_c_names_the_jobs_under_way(farm: Farm, make_clip: ClipMaker, tmp_path: Path) -> None:
    farm.env["FARM_DEVICES"] = "cpu:1"
    source = make_clip(seconds=12, size=(640, 360), fps=25, gop=25)
    (tmp_path / "in").mkdir()
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        shutil.copy(source, tmp_path / "in" / name)
    process = farm.spawn("submit", tmp_path / "in", *SLOWLY)
    farm.wait_until(lambda: len(farm.json("list")) == 2, "two jobs", process)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert all(job["id"] in said for job in farm.json("list"))
    assert "3 videos: 3 not done; run the same command again to continue" in said


def test_one_error_of_many_videos_is_said_once(farm: Farm, videos: list[Path], tmp_path: Path) -> None:
    done = farm.run("submit", *videos, "--scale", 4000, code=2)
    assert done.stderr.count("error: ") == 1
    assert "3 videos: 3 failed" in done.stderr
    assert [row[1] for row in table(done)] == ["failed"] * 3
    assert not farm.json("list")


def test_an_output_is_never_another_source(farm: Farm, videos: list[Path], tmp_path: Path) -> None:
    other = Path(shutil.copy(videos[0], tmp_path / "in" / "a.blurred.mp4"))
    done = farm.run("submit", videos[0], other, "--overwrite", "--detach", code=4)
    assert f"error: {videos[0]}: its output {other} is one of the videos" in done.stderr


def test_a_folder_is_mirrored_and_its_outputs_are_no_sources(farm: Farm, videos: list[Path], tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "in" / "out"
    (source / "sub").mkdir()
    videos[2].rename(source / "sub" / "c.mp4")
    (source / "sub" / "loop").symlink_to(source)
    done = farm.run("submit", source, "-r", "-o", f"{out}/")
    assert [row[:2] for row in table(done)] == [[n, "done"] for n in ("a.mp4", "b.mp4", "sub/c.mp4")]
    made = sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file())
    assert made == ["a.blurred.mp4", "b.blurred.mp4", "sub/c.blurred.mp4"]
    again = farm.run("submit", source, "-r", "-o", f"{out}/", code=4)
    assert f"{source}: skipped 3 outputs" in again.stderr
    assert len(table(again)) == 3


def test_a_folder_that_is_missing_is_made_for_one_video(farm: Farm, clip: Path, tmp_path: Path) -> None:
    farm.run("submit", tmp_path / "none.mp4", "-o", f"{tmp_path}/new/deep/", code=3)
    assert not (tmp_path / "new").exists()
    farm.run("submit", clip, "-o", f"{tmp_path}/new/deep/", "--detach")
    assert farm.job()["output"] == f"{tmp_path}/new/deep/{clip.stem}.blurred.mp4"
    (tmp_path / "file").touch()
    assert "cannot write to" in farm.run("submit", clip, "-o", f"{tmp_path}/file/", code=4).stderr


@pytest.mark.slow
def test_names_of_every_length_and_of_no_text(farm: Farm, clip: Path, tmp_path: Path) -> None:
    long = Path(shutil.copy(clip, tmp_path / ("é" * 123 + ".mp4")))  # 250 bytes
    (line,) = farm.run("submit", long, code=4).stderr.splitlines()
    assert line.endswith(": File name too long (choose another name with -o)")
    assert "too long" in farm.run("submit", clip, "-o", tmp_path / ("a" * 252 + ".mp4"), code=4).stderr
    assert "too long" in farm.run("submit", clip, "-o", f"{tmp_path}/{'b' * 256}/", code=4).stderr
    strange = os.fsdecode(bytes(tmp_path) + b"/caf\xe9.mp4")
    (line,) = farm.run("submit", clip, "-o", strange, code=4).stderr.splitlines()
    assert line.endswith(r"/caf\xe9.mp4: the output's name is not in UTF-8 (choose another name with -o)")
    longest = tmp_path / ("ä" * 125 + "b.mp4")  # 255 bytes
    farm.run("submit", long, "-o", longest)
    assert_exact(long, longest)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["home", long.name, longest.name])


def on_terminal(farm: Farm, columns: int, *words: object) -> tuple[int, str]:
    """Run ``farm`` on a terminal of this width: the exit code, and all that was written."""
    main, sub = pty.openpty()
    env = {**farm.env, "COLUMNS": str(columns), "TERM": "xterm-256color"}
    command = [sys.executable, "-m", "farm", *map(str, words)]
    with subprocess.Popen(command, env=env, stdin=sub, stdout=sub, stderr=sub, close_fds=True) as process:
        os.close(sub)
        parts = []
        while select.select([main], [], [], 240)[0]:
            try:
                parts.append(os.read(main, 65536))
            except OSError:  # the other end is closed
                break
    os.close(main)
    return process.returncode, b"".join(parts).decode()


@pytest.mark.parametrize("columns", [40, 80])
@pytest.mark.slow
def test_nothing_in_a_video_reaches_the_terminal(farm: Farm, clip: Path, tmp_path: Path, columns: int) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    tags = [
        "-metadata",
        "title=\x1b]0;owned\x07\ntitle",
        "-metadata",
        "com.\x1b[2Jkey=1",
        "-metadata:s:a:0",
        "title=\x1b[31m",
    ]
    copied = ["-map", "0", "-c", "copy", *tags, "-metadata:s:a:0", "handler_name=\u202ename", str(folder / "tags.mkv")]
    subprocess.run([str(find_ffmpeg().path), "-v", "error", "-i", str(clip), *copied], check=True)
    (folder / "tags.mkv").rename(folder / EVIL.replace("mp4", "mkv"))
    (folder / "bad\x1b[5mname\n.mp4").write_bytes(b"rubbish")
    code, written = on_terminal(farm, columns, "submit", folder, "-o", f"{folder}/out/")
    assert code == 3
    code, listed = on_terminal(farm, columns, "list")
    _, shown = on_terminal(farm, columns, "status", farm.job()["id"])
    _, watched = on_terminal(farm, columns, "watch", farm.job()["id"])
    (output,) = (folder / "out").iterdir()
    _, verified = on_terminal(farm, columns, "verify", next(folder.glob("evil*")), output)
    for text in (written, listed, shown, watched, verified):
        drawn = re.sub(r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[\d*[AK]|\x1b\[2K", "", text)  # rich's own
        assert not re.search("[^\\S\r\n ]|[\x00-\x09\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e]", drawn), ascii(drawn)
    assert "\x1b[5m" not in written
    assert "\x1b[31m" not in written + shown + verified
    squeezed = re.sub(r"\s", "", written)
    assert r"evil\x1b]0;owned\x07\n\u202egpj" in squeezed
    assert "2 of 2: " in written
    assert "2 videos: 1 done, 1 failed" in written


@pytest.mark.slow
def test_no_name_forges_a_line_of_a_log(farm: Farm, clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a\n2026-01-01 forged\x1b[2J"
    folder.mkdir()
    video = Path(shutil.copy(clip, folder / "in.mp4"))
    farm.run("submit", video, "-o", f"{folder}/out.mp4", "--detach")
    video.unlink()
    farm.up()
    farm.wait_until(lambda: farm.job()["status"] == "failed", "the job has failed")
    for log in (farm.home / "logs").glob("*.log"):
        assert not any(line.startswith("2026-01-01") for line in log.read_text().splitlines()), log
        assert "\x1b[2J" not in log.read_text()
