"""A person looks, corrects and approves; nothing is published before, and then only what changed is made again."""

import json
import re
import signal
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.conftest import ClipMaker
from tests.e2e.conftest import Farm
from tests.integration.voices import decode

pytestmark = pytest.mark.e2e

Luma = NDArray[np.uint8]


@pytest.fixture
def source(make_clip: ClipMaker) -> Path:
    """Six seconds, a key frame every 10 frames."""
    return make_clip(seconds=6, size=(320, 180), fps=25, gop=10)


def packets(path: Path) -> list[tuple[float, bytes]]:
    """Seconds and content of each video packet."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return [(float(p.pts * p.time_base), bytes(p)) for p in container.demux(stream) if p.pts is not None]


def luma(path: Path) -> list[Luma]:
    with av.open(str(path)) as container:
        return [np.asarray(frame.to_ndarray(format="gray"), np.uint8) for frame in container.decode(video=0)]


def test_look_correct_approve_and_correct_again(farm: Farm, source: Path, tmp_path: Path) -> None:
    out, box = tmp_path / "out.mp4", (slice(134, 174), slice(4, 44))
    row = farm.json("submit", source, "-o", out, "--review", "--chunk-seconds", 1)
    job = row["id"]
    assert (row["status"], row["review"], out.exists()) == ("reviewing", True, False)
    assert "waits for review" in farm.run("submit", source, "-o", out, "--chunk-seconds", 1).stdout  # it still waits
    assert not out.exists()

    (track,) = farm.json("tracks", job)
    assert (track["frames"], track["covered"]) == (150, 150)
    page, sheet = tmp_path / "p.html", tmp_path / "p.png"
    farm.run("preview", job, "-o", page)
    farm.run("preview", job, "-o", sheet)
    text = page.read_text()
    assert len(re.findall("<figure", text)) == 1 + 12
    assert not re.search(r"https?://|<script", text)
    with Image.open(sheet) as image:
        assert image.width > 1000
    assert page.stat().st_mode & 0o077 == 0  # it shows faces
    assert "already exists" in farm.run("preview", job, "-o", page, code=4).stderr

    farm.run("edit", job, "keep", 0, "--from", 4, "--to", "0:06", "--reason", "has consented")
    done = farm.run("approve", job, "--reason", "looked at").stdout
    assert f"{out}: 150 frames" in done
    before, picture = packets(out), luma(out)
    original = luma(source)
    assert _covered(original[20], picture[20])
    assert not _covered(original[120], picture[120])  # kept

    farm.run("edit", job, "add-box", "--from", "2.5", "--to", "2.9", "--box", "4,134,40,40")
    assert "not in the output yet; farm redact" in farm.run("edit", job, "drop", 0, "--from", 0, "--to", "0.3").stderr
    said = farm.run("redact", job).stdout
    assert "2 of 5 chunks were encoded" in said  # chunks of 1.2 s
    after, picture = packets(out), luma(out)
    same = [a == b for a, b in zip(before, after, strict=True)]
    assert all(ok for ok, (at, _) in zip(same, before, strict=True) if 1.2 <= at < 2.4 or at >= 3.6)
    assert not all(same)
    assert _covered(original[67][box], picture[67][box])
    assert not _covered(original[80][box], picture[80][box])
    assert [_covered(original[n], picture[n]) for n in (2, 20, 120)] == [False, True, False]
    assert "nothing was done" in farm.run("redact", job).stdout
    assert "6.000 s" in farm.run("edit", job, "mute", "--from", 9, code=2).stderr
    farm.run("edit", job, "mute", "--from", 1, "--to", 2, "--reason", "a name")
    farm.run("edit", job, "beep", "--from", "3.5", "--to", 4)
    assert "0 of 5 chunks were encoded" in farm.run("redact", job).stdout
    assert packets(out) == after
    assert np.abs(decode(out).between(Fraction(1), Fraction(2))).max() < 0.003
    assert np.abs(decode(source).between(Fraction(1), Fraction(2))).max() > 0.01
    log = farm.run("edit", job, "log").stdout
    assert "mute a span of sound: a name" in log
    assert "keep track 0 in a part of its time: has consented" in log
    assert farm.json("verify", "--job", job)["verified"]


def test_a_video_is_looked_at_before_anything_is_made_of_it(farm: Farm, make_clip: ClipMaker, tmp_path: Path) -> None:
    video, page, out = make_clip(seconds=1, size=(320, 180), fps=25), tmp_path / "p.html", tmp_path / "clip.blurred.mp4"
    video = video.rename(tmp_path / "clip.mp4")
    assert "a preview is a .png or .html file" in farm.run("preview", video, "-o", tmp_path / "p.txt", code=4).stderr
    assert farm.json("list") == []
    out.touch()
    assert "farm submit" in farm.run("preview", video, "-o", page, code=4).stderr
    out.unlink()
    said = farm.run("preview", video, "-o", page, "--margin", "50%").stdout
    (job,) = farm.json("list")
    assert (job["status"], job["review"], job["options"]["redact"]["margin"]) == ("reviewing", True, 0.5)
    assert f"farm approve {job['id']}" in said
    assert said.splitlines()[-1] == str(page)
    assert "track 0" in page.read_text()
    assert not out.exists()
    assert "has its options already" in farm.run("preview", job["id"], "--margin", "1", code=2).stderr
    farm.run("approve", job["id"])
    assert out.exists()
    row = farm.json("submit", video, "--debug")
    assert row["output"] == str(tmp_path / "clip.debug.mp4")
    masks = (farm.home / "store" / "masks").rglob("*.jsonl")
    scores = [box[6] for path in masks for line in path.read_text().splitlines() for box in json.loads(line)[1]]
    assert max(scores) > 0.5  # which other masks are without


@pytest.mark.slow
def test_a_job_under_review_survives_its_processes(farm: Farm, source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    up = farm.up()
    job = farm.json("submit", source, "-o", out, "--review")["id"]
    farm.run("edit", job, "add-box", "--box", "0,0,10,10")
    up.send_signal(signal.SIGKILL)
    up.wait(30)
    farm.wait_until(lambda: not farm.json("status")["running"], "the farm is gone")
    again = farm.up()
    assert (farm.json("status", job)["status"], out.exists()) == ("reviewing", False)
    farm.run("pause", job)
    assert "farm resume" in farm.run("approve", job, code=2).stderr
    farm.run("resume", job)
    farm.run("cancel", job)
    farm.run("retry", job)
    farm.wait_until(lambda: farm.json("status", job)["status"] == "reviewing", "it waits again", again)
    assert not out.exists()
    farm.run("approve", job)
    assert farm.json("status", job)["edits"] == 1
    assert out.exists()


def _covered(a: Luma, b: Luma) -> bool:
    """Whether any block of 20 x 20 pixels differs by more than an encoder makes it."""
    change = np.abs(a.astype(np.int16) - b)
    rows, columns = (side // 20 for side in change.shape)
    blocks = change[: rows * 20, : columns * 20].reshape(rows, 20, columns, 20).mean(axis=(1, 3))
    return bool(blocks.max() > 6)
