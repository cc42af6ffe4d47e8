"""What ``farm bench`` prints, and the home of the farm that it measures."""

import os
import re
import tempfile
from pathlib import Path

import pytest
from typer.testing import CliRunner

from farm.cli.bench import _counts, run_lines, step_lines
from farm.cli.main import app
from farm.cli.measuring import Run
from farm.errors import FarmError
from farm.local.temporary import temporary_home
from farm.settings import load_settings

JOB = Run(
    frames=100, wall=10.0, cpu=4.0, workers=2, starting=1.5, stopping=0.5,
    stages={"detecting": 3.0, "linking": 0.25, "redacting": 4.0, "composing": 0.75},
    spent={"detect": {"decode": 0.5, "detect": 1.5}, "redact": {"paint": 0.25, "encode": 1.75}},
)  # fmt: skip
PLAIN = Run(frames=100, wall=4.0, cpu=3.0)


def rows(lines: object) -> list[list[str]]:
    return [re.split(r" {2,}", line.strip()) for line in lines]  # type: ignore[attr-defined]  # they are iterable


def test_steps_are_in_milliseconds_per_frame_and_stages_in_seconds() -> None:
    assert rows(step_lines(JOB))[1:] == [
        ["starting", "1.50"],
        ["detect", "all", "20.00", "3.00"], ["decode", "5.00"], ["detect", "15.00"],
        ["link", "0.25"],
        ["redact", "all", "20.00", "4.00"], ["paint", "2.50"], ["encode", "17.50"],
        ["compose", "0.75"],
        ["stopping", "0.50"],
    ]  # fmt: skip


def test_whole_runs_are_compared_with_ffmpeg() -> None:
    other = Run(frames=100, wall=16.0, cpu=3.5, workers=1)
    assert rows(run_lines(JOB, PLAIN, [other]))[1:] == [
        ["farm, 2 workers", "10.00", "0.40x", "12.50", "40.00", "10.00"],
        ["farm, 1 worker", "6.25", "0.25x", "6.25", "35.00", "16.00"],
        ["ffmpeg", "25.00", "30.00", "4.00"],
    ]
    assert rows(run_lines(JOB, None, []))[1:] == [["farm, 2 workers", "10.00", "12.50", "40.00", "10.00"]]


@pytest.mark.parametrize(("cores", "counts"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])])
def test_layouts_end_with_a_worker_for_each_core(cores: int, counts: list[int]) -> None:
    assert _counts(cores) == counts


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["missing.mp4"], "missing.mp4: there is no such file"),
        (["."], ".: is a directory"),
        (["text.mp4"], "text.mp4"),
        (["clip.mp4", "--frames", "0"], "--frames: has to be more than 0"),
        (["clip.mp4", "--seconds", "-1s"], "--seconds"),
        (["clip.mp4", "--seconds", "soon"], "--seconds"),
        (["clip.mp4", "--seconds", "1", "--frames", "5"], "--frames and --seconds cannot be combined"),
        (["clip.mp4", "--seconds", "1", "--end", "2s"], "--seconds and --end cannot be combined"),
        (["clip.mp4", "--layouts", "--devices", "cuda:0"], "--layouts measures CPU workers"),
        (["clip.mp4", "--frames-as", "png"], "--frames-as"),
        (["clip.mp4", "--crf", "99"], "--crf"),
    ],
)
def test_bad_input_is_one_error(
    words: list[str], said: str, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clip.mp4").symlink_to(clip)
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(FarmError) as error:
        CliRunner().invoke(app, ["bench", *words], catch_exceptions=False)
    assert said in f"{error.value}"
    assert "\n" not in f"{error.value}"


def test_a_temporary_home_has_the_settings_but_not_the_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "farm.toml").write_text('store_dir = "elsewhere"\nstyle = "solid"\nstall_seconds = 90.5\n')
    monkeypatch.setenv("FARM_HOME", str(home))
    monkeypatch.setenv("FARM_BROKER_URL", "redis://nowhere:1/0")
    monkeypatch.setenv("FARM_MARGIN", "40%")
    before, usual = dict(os.environ), load_settings()
    with temporary_home(usual) as folder:
        found = load_settings()
        assert found.home == folder / "home"
        assert found.store_root.is_relative_to(folder)
        assert found.broker_url is None
        assert Path(tempfile.gettempdir()) == folder
        assert found.models_root == usual.models_root
        assert (found.stall_seconds, found.style, found.margin) == (90.5, "solid", 0.4)  # type: ignore[attr-defined]
    assert not folder.exists()
    assert dict(os.environ) == before
    assert Path(tempfile.gettempdir()) == folder.parent
