"""Help for a narrow terminal, wrong command lines in one line with what was meant, and completion."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from farm.cli.main import app
from farm.cli.submit_options import error_text
from farm.domain.options import CODECS, STYLES, submit_options
from farm.domain.runtimes import RUNTIMES
from farm.errors import SettingsError
from farm.jobs import queries
from farm.jobs.context import open_context
from farm.settings import load_settings
from tests.unit.cli.test_main import COMMANDS


def farm(*words: str, **env: str) -> Any:
    return CliRunner().invoke(app, words, prog_name="farm", env=env, terminal_width=80)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("asked", ["-h", "--help"])
def test_help_fits_80_columns_and_cuts_nothing(words: tuple[str, ...], asked: str) -> None:
    done = farm(*words, asked)
    assert done.exit_code == 0
    assert done.stdout.startswith(" ".join(("Usage: farm", *words)))
    assert "..." not in re.sub(r"(\[ARGS\]|VIDEO|\[MODEL\]|TRACK|\[PERSON\])\.\.\.", "", done.stdout)
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert not {"{", "<", "[["} & set(done.stdout.split("\n\n", 1)[0])


def test_each_command_is_in_the_help_once_under_what_it_is_for() -> None:
    text = farm("--help").stdout
    for title, names in (("Redact videos", ("submit", "verify")), ("Jobs", ("list", "retry")), ("The farm", ("up",))):
        section = text.partition(f"{title}:\n")[2].partition("\n\n")[0]
        assert all(f"\n  {name} " in f"\n{section}" for name in names), title
    for words in COMMANDS:
        if len(words) == 1:
            assert text.count(f"\n  {words[0]} ") == 1


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("sumbit", "a.mp4"), '"sumbit": no such command; did you mean `farm submit`?'),
        (("clip.mp4", "--style", "blur"), '"clip.mp4": no such command; did you mean `farm submit clip.mp4`?'),
        (("my clip.mkv",), "\"my clip.mkv\": no such command; did you mean `farm submit 'my clip.mkv'`?"),
        (("zzz",), '"zzz": no such command; see `farm --help`'),
        (("models", "pul"), '"pul": no such command; did you mean `farm models pull`?'),
        (("--style", "blur", "a.mp4"), "--style: no such option; did you mean `farm submit --style`?"),
        (("submit", "a.mp4", "--crof", "3"), "--crof: no such option; did you mean --crf?"),
        (("submit", "a.mp4", "--detectsize", "3"), "--detectsize: no such option; did you mean --detect-size?"),
        (("list", "--nonsense"), "--nonsense: no such option; see `farm list --help`"),
        (("submit",), "VIDEO is missing; see `farm submit --help`"),
        (("submit", "a.mp4", "--crf"), "--crf: a value is missing"),
        (("submit", "a.mp4", "--overwrite=3"), "--overwrite: takes no value"),
        (("list", "all"), "all: unexpected; see `farm list --help`"),
        (("verify", "a", "b", "--psnr", "high"), "--psnr: not valid; use a number"),
        (("verify", "a", "b", "--threads", "1.5"), "--threads: not valid; use a whole number"),
    ],
)
def test_a_wrong_command_line_is_one_line_with_what_was_meant(words: tuple[str, ...], line: str) -> None:
    done = farm(*words)
    assert done.exit_code == 2
    assert (done.stdout, done.stderr) == ("", f"error: {line}\n")


def test_a_file_without_a_suffix_is_taken_for_a_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("holiday").touch()
    assert "did you mean `farm submit holiday`?" in farm("holiday").stderr


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--crf", "fine"), '--crf: "fine" is not valid; use a whole number from 0 to 51, or auto'),
        (("--crf", "99"), '--crf: "99" is not valid; use a whole number from 0 to 51, or auto'),
        (("--style", "gaussian"), '--style: "gaussian" is not valid; choose blur, pixelate, solid or image'),
        (("--margin", "30x"), '--margin: "30x" is not valid; use a number from 0 to 5, or a percentage such as 30%'),
        (("--gap", "long"), '--gap: "long" is not valid; use a time such as 90, 5s or 1:02:03.5 from 0 to 10'),
        (
            ("--chunk-seconds", "long"),
            '--chunk-seconds: "long" is not a time; write 90, 5s, 250ms, 2m, 7d or 1:02:03.5',
        ),
    ],
)
def test_wrong_values_of_all_kinds_are_refused_alike(words: tuple[str, ...], line: str, tmp_path: Path) -> None:
    done = farm("submit", "a.mp4", *words, FARM_HOME=str(tmp_path))
    assert isinstance(done.exception, SettingsError)
    assert error_text(done.exception) == line


def completed(line: str, **env: str) -> list[str]:
    """What a shell offers after ``line``."""
    env |= {"_FARM_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}
    done: Any = CliRunner().invoke(app, [], prog_name="farm", env={**os.environ, **env})
    return [str(word) for word in done.stdout.split()]


def test_choices_are_completed() -> None:
    assert completed("farm submit --style ") == list(STYLES)
    assert completed("farm submit --style pi") == ["pixelate"]
    assert completed("farm submit --codec ") == list(CODECS)
    assert set(RUNTIMES) < set(completed("farm submit --runtime "))
    command: Any = typer.main.get_command(app)
    for option in submit_options():
        (parameter,) = (p for p in command.commands["submit"].params if p.name == option.setting)
        assert bool(option.choices) == (parameter._custom_shell_complete is not None), option.name


def test_commands_and_ids_of_jobs_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "watch" in completed("farm wat")
    home = tmp_path / "home"
    assert completed("farm watch ", FARM_HOME=str(home)) == []
    assert not home.exists()  # completion makes no farm
    home.mkdir()
    open_context(load_settings(home=home)).database.close()
    jobs = [type("Job", (), {"id": job, "status": "done", "source": "/v/a b.mp4"}) for job in ("ab12", "ab34", "cd56")]
    monkeypatch.setattr(queries, "list_jobs", lambda _: jobs)
    assert completed("farm watch ", FARM_HOME=str(home)) == ["ab12", "ab34", "cd56"]
    for command in ("status", "watch", "cancel", "pause", "resume", "retry"):
        assert completed(f"farm {command} ab", FARM_HOME=str(home)) == ["ab12", "ab34"]
    monkeypatch.setattr(queries, "list_jobs", lambda _: 1 / 0)
    assert completed("farm watch ", FARM_HOME=str(home)) == []
