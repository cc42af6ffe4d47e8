"""``farm verify`` as its user meets it: lines, facts as JSON, exit codes, one line for rubbish."""

import json
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from farm.cli import verify
from farm.cli.main import app
from farm.errors import SettingsError, SourceError, VerificationError
from farm.media.verifying import further
from farm.media.verifying.compare_pictures import Window
from farm.media.verifying.comparison import Comparison


def comparison(*findings: tuple[str, str, str]) -> Comparison:
    found = Comparison(
        Path("in.mp4"), Path("out.mp4"), 25, source_frames=25, changed_frames=12, changed=0.125, psnr=float("inf")
    )
    found.windows.append(Window(Fraction(1, 3), 25, 80, 10, 70.0, 70))
    for finding in findings:
        found.say(*finding)
    return found


GOOD = comparison(("frames", "ok", "25 frames"), ("codec", "differs", "hevc, the source's is h264"))
BAD = comparison(("times", "failed", "frame 3 is late"), ("orientation", "failed", "6, the source's is 1"))


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``said(comparison or error, *words)``: what the command does when this is found."""

    def call(found: Comparison | Exception, *words: str) -> Any:
        def compare(*_: object, **__: object) -> Comparison:
            if isinstance(found, Exception):
                raise found
            return found

        monkeypatch.setattr(further, "compare_all", compare)
        return CliRunner().invoke(app, ["verify", "in.mp4", "out.mp4", *words])

    return call


def test_one_line_and_one_for_each_difference(said: Any) -> None:
    done = said(GOOD)
    assert done.exit_code == 0
    assert done.output.splitlines() == [
        "ok: 25 of 25 frames, changed in 12 frames; the rest as in the source, except what is listed below",
        "differs codec: hevc, the source's is h264",
    ]
    same = replace(comparison(("frames", "ok", "25 frames")), psnr=43.42)
    line = "ok: 25 of 25 frames, changed in 12 frames; everything else as in the source (43.4 dB)\n"
    assert said(same).output == line
    assert said(same, "--verbose").output == line + "ok      frames: 25 frames\n"


def test_an_output_in_which_nothing_is_changed_is_asked_about(said: Any) -> None:
    found = replace(comparison(("redaction", "differs", "no change was found")), changed_frames=0)
    line = "ok: 25 of 25 frames, but no change was found in any of them (does it show a face?); everything else as in"
    assert said(found).output == f"{line} the source\n"


@pytest.mark.parametrize("which", ["source", "output"])
def test_what_is_no_file_is_one_line_and_exit_code_3(which: str, tmp_path: Path) -> None:
    """Not 9, "report it": nothing was compared. Neither file is read as long as the other is missing."""
    there = tmp_path / "there.mp4"
    there.write_bytes(b"not read")
    closed = tmp_path / "empty.mp4"
    closed.touch()
    for other, line in (
        (tmp_path / "none.mp4", "there is no such file"),
        (tmp_path, "is a (folder|directory)"),
        (Path("/dev/null"), "is not a regular file"),
        (closed, "is empty"),
    ):
        words = (there, other) if which == "output" else (other, there)
        error = CliRunner().invoke(app, ["verify", *map(str, words)]).exception
        assert isinstance(error, SourceError), other
        assert re.search(f"{other}: {line}", str(error)), error
        assert error.exit_code == 3


def test_the_source_is_no_output_of_itself(tmp_path: Path) -> None:
    source, link = tmp_path / "a.mp4", tmp_path / "b.mp4"
    source.write_bytes(b"x")
    link.symlink_to(source)
    error = CliRunner().invoke(app, ["verify", str(source), str(link)]).exception
    assert isinstance(error, SettingsError)
    assert "is the source itself" in str(error)


def test_missing_frames_point_to_part(said: Any) -> None:
    few = comparison(("frames", "failed", "10 of 25 frames"))
    assert "--part" in str(said(few).exception)
    assert "--part" not in str(said(few, "--part").exception)
    assert "--part" not in str(said(BAD).exception)


def test_what_failed_is_the_error(said: Any) -> None:
    done = said(BAD)
    assert isinstance(done.exception, VerificationError)
    assert done.exception.exit_code == 9
    assert str(done.exception) == "out.mp4: differs from in.mp4 in more than its faces: times, orientation"
    assert done.output.splitlines() == ["failed  times: frame 3 is late", "failed  orientation: 6, the source's is 1"]


def test_facts_for_programs(said: Any) -> None:
    facts = json.loads(said(GOOD, "--json").output)
    assert facts == {
        "source": "in.mp4",
        "output": "out.mp4",
        "verified": True,
        "frames": 25,
        "source_frames": 25,
        "changed_frames": 12,
        "changed": 0.125,
        "psnr": None,
        "findings": [
            {"name": "frames", "verdict": "ok", "text": "25 frames"},
            {"name": "codec", "verdict": "differs", "text": "hevc, the source's is h264"},
        ],
        "windows": [{"start": "1/3", "frames": 25, "changed": 0.125, "psnr": pytest.approx(48.131)}],
    }
    assert json.loads(said(BAD, "--json").output)["verified"] is False


def test_a_source_that_cannot_be_read_is_exit_code_3(said: Any) -> None:
    assert said(SourceError("in.mp4: is empty")).exception.exit_code == 3


@pytest.mark.parametrize("words", [("--psnr", "-1"), ("--psnr", "101"), ("--threads", "0")])
def test_an_option_that_cannot_be_is_exit_code_2(said: Any, words: tuple[str, ...]) -> None:
    assert said(GOOD, *words).exception.exit_code == 2


def test_the_help_says_what_the_words_mean() -> None:
    text = " ".join(CliRunner().invoke(app, ["verify", "--help"]).output.split())
    for word in ("differs", "failed", "exit code is 0", "findings", "--part"):
        assert word in text
    assert verify.facts(GOOD)["verified"]
