"""Parts, samples, pictures and scaled copies of a video, through the command line."""

import csv
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.e2e.conftest import Farm, audio_of

pytestmark = pytest.mark.e2e


def times_of(path: Path) -> list[Fraction]:
    """Return every frame's exact time in seconds."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return [f.pts * f.time_base for f in frames if f.pts is not None and f.time_base is not None]


def test_a_part_begins_at_zero_and_has_its_own_sound(farm: Farm, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "part.mp4"
    farm.run("submit", clip, "-o", out, "--start", "600ms", "--end", "0:01.5", "--chunk-seconds", 0.4)
    wanted = [t for t in times_of(clip) if Fraction(3, 5) <= t < Fraction(3, 2)]
    assert times_of(out) == [t - wanted[0] for t in wanted]
    theirs, ours = audio_of(clip), audio_of(out)
    inside = [(t - float(wanted[0]), data) for t, data in theirs if wanted[0] <= t < 1.5]
    assert [data for _, data in ours] == [data for _, data in inside]
    assert np.abs(np.array([t for t, _ in ours]) - [t for t, _ in inside]).max() < 1 / 44100


def test_one_frame_in_each_interval_keeps_its_time(farm: Farm, clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "sampled.mp4"
    row = farm.json("submit", clip, "-o", out, "--every", "500ms", "--audio", "drop", "--scale", 160)
    assert times_of(out) == [0, Fraction(13, 25), 1, Fraction(38, 25)]  # the first at or after each half second
    assert (row["frames"], row["container"]) == (4, "mp4")
    assert row["psnr"] > 35
    assert row["psnr"] > 30
    with av.open(str(out)) as container:
        assert [s.type for s in container.streams] == ["video"]
        assert (container.streams.video[0].width, container.streams.video[0].height) == (160, 90)


def test_frames_as_pictures(farm: Farm, clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    farm.run("submit", clip, "--frames", folder, "--fps", 5, "--style", "solid", "--shape", "rectangle")
    with (folder / "frames.csv").open() as lines:
        rows = list(csv.DictReader(lines))
    assert sorted(p.name for p in folder.iterdir()) == sorted([*(r["name"] for r in rows), "frames.csv"])
    assert [float(r["seconds"]) for r in rows] == [pytest.approx(n / 5) for n in range(10)]
    with av.open(str(folder / rows[3]["name"])) as picture, av.open(str(clip)) as video:
        shown = next(picture.decode(video=0)).to_ndarray(format="rgb24").astype(int)
        frame = next(f for f in video.decode(video=0) if f.pts == int(rows[3]["pts"]))
        original = frame.to_ndarray(format="rgb24", src_colorspace=5, dst_color_range=2).astype(int)
    black = shown.max(axis=2) < 8
    assert 0.002 < (black & (original.max(axis=2) > 60)).mean() < 0.5  # the face
    same = np.abs(shown - original).max(axis=2) < 4
    assert same.mean() > 0.5  # nothing changed elsewhere
    assert "is not empty" in farm.run("submit", clip, "--frames", folder, code=4).stderr
    in_the_way = folder / "frames.csv"
    assert "is not a folder" in farm.run("submit", clip, "--frames", in_the_way, code=4).stderr


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--start", "1:00:00"], 3, "--start"),
        (["--start", "soon"], 2, "use a time such as"),
        (["--fps", 5, "--every", "1s"], 2, "--every"),
        (["--codec", "vp9", "-o", "out.ts"], 4, "vp9"),
        (["--encoder", "nothing"], 2, "nothing"),
        (["--codec", "h264", "--frames", "frames"], 2, "--frames"),
        (["--scale", 4000], 2, "--scale"),
    ],
)
def test_what_does_not_go_is_one_line(farm: Farm, clip: Path, words: list[object], code: int, says: str) -> None:
    done = farm.run("submit", clip, *words, code=code)
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2
