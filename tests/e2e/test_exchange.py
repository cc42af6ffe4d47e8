"""Masks in files, and regions at submission, as a user gives them: what is covered in the output, what is refused."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conftest import ClipMaker
from tests.e2e.conftest import Farm

pytestmark = pytest.mark.e2e

Luma = NDArray[np.uint8]


@pytest.fixture
def source(make_clip: ClipMaker) -> Path:
    """Two seconds of 25 frames/s, 320 x 180, a face in all of them."""
    return make_clip(seconds=2, size=(320, 180), fps=25, gop=10)


def luma(path: Path) -> list[Luma]:
    with av.open(str(path)) as container:
        return [np.asarray(frame.to_ndarray(format="gray"), np.uint8) for frame in container.decode(video=0)]


def changed(source: Path, output: Path, box: tuple[int, int, int, int]) -> list[bool]:
    """In which frames a part of the picture was covered."""
    x, y, w, h = box
    parts = zip(luma(source), luma(output), strict=True)
    return [bool(np.abs(a[y : y + h, x : x + w].astype(int) - b[y : y + h, x : x + w]).mean() > 8) for a, b in parts]


def test_a_video_is_redacted_by_a_file(farm: Farm, source: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.mp4", tmp_path / "second.mp4"
    job = farm.json("submit", source, "-o", first, "--chunk-seconds", 1)["id"]
    farm.cwd = tmp_path
    file, table = farm.run("detections", job, "--format", "cvat").stdout.split()
    assert (file, table) == (f"{job}.cvat.xml", f"{job}.cvat.frames.csv")
    assert (tmp_path / file).stat().st_mode & 0o077 == 0

    row = farm.json("redact", source, "--detections", file, "-o", second, "--chunk-seconds", 1)
    assert (row["edits"], row["options"]["detect"]["detector"]) == (1, "none")
    assert all((a == b).all() for a, b in zip(luma(first), luma(second), strict=True))
    assert "nothing would be covered" in farm.run("edit", row["id"], "undo", code=2).stderr
    (track,) = farm.json("tracks", job)
    assert farm.json("tracks", row["id"]) == [track | {"edits": []}]

    text = (tmp_path / file).read_text()
    (tmp_path / "none.xml").write_text(re.sub(r"<track.*</track>", "", text, flags=re.DOTALL))
    assert "covers nothing in any of the 50 frames" in farm.run("edit", job, "--import", "none.xml", code=2).stderr
    ended = re.sub(r'(<box frame="([2-9]\d)"[^>]*outside=)"0"', r'\1"1"', text)  # from frame 20 on
    (tmp_path / "fewer.xml").write_text(ended)
    done = farm.run("edit", job, "--import", "fewer.xml", "--reason", "no face from here on")
    assert done.stdout == "edit 1: cover what a file says\n"
    assert "fewer.xml covers something in 20 of 50 frames; before it was 50" in done.stderr
    (track,) = farm.json("tracks", job)
    assert track["frames"] == 20


@pytest.mark.slow
def test_regions_are_given_for_all_videos_of_a_command(farm: Farm, source: Path, tmp_path: Path) -> None:
    videos = tmp_path / "in"
    videos.mkdir()
    for name in ("a.mp4", "b.mp4"):
        shutil.copy(source, videos / name)
    words = ["--cover", "5%,75%,10%,20%@0:00.4-0.8", "--cover", "250,10,40,40", "--only-in", "0,90,20,20"]
    done = farm.run(
        "submit", videos, "-o", f"{tmp_path}/out/", *words, "--detector", "none", "--style", "solid", "--json"
    )
    rows: list[Any] = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["status"], row["edits"]) for row in rows] == [("done", 3), ("done", 3)]
    for row in rows:
        output = Path(row["output"])
        assert changed(source, output, (20, 138, 28, 32)) == [10 <= n < 20 for n in range(50)]
        assert changed(source, output, (255, 15, 30, 30)) == [True] * 50
    log = farm.run("edit", rows[0]["id"], "log").stdout
    assert re.findall(r": given at submission", log) == [": given at submission"] * 3


def test_what_cannot_be_is_refused_before_anything_is_submitted(farm: Farm, source: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"format": "blurfarm masks 1", "frames": [{"frame": NaN}]}')
    for words, said in (
        (["--cover", "400,10,20,20"], '"400,10,20,20" lies outside the picture, which is 320 x 180 pixels'),
        (["--detector", "none"], "--detector: none finds no face, so that nothing would be covered"),
        (["--detections", tmp_path / "bad.json"], "bad.json: is no JSON"),
    ):
        assert said in farm.run("submit", source, "-o", tmp_path / "o.mp4", *words, code=2).stderr
    assert farm.json("list") == []
    assert not (tmp_path / "o.mp4").exists()
