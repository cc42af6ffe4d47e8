"""The command as its user meets it: help, exit codes, one line for an error, facts as JSON."""

import io
import json
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import click
import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from farm.cli import display, tables
from farm.cli.main import app
from farm.cli.submit_options import error_text
from farm.cli.summaries import summary
from farm.domain.manifest import VideoStream
from farm.domain.options import RedactOptions
from farm.errors import SettingsError
from farm.jobs.queries import JobFacts
from farm.jobs.stage_facts import lowest_psnr
from farm.messages import Artefact
from tests.planned import settings_of
from tests.unit.cli.conftest import Run, the_line


def commands(group: Any, *before: str) -> Iterator[tuple[str, ...]]:
    yield before
    named = [p.metavar for p in group.params if p.param_type_name == "argument"] if hasattr(group, "commands") else []
    for name, command in getattr(group, "commands", {}).items():
        yield from commands(command, *before, *named, name)


COMMANDS = list(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, [*words, "--help"])
    assert done.exit_code == 0
    assert done.output.startswith("Usage: ")
    group: Any = typer.main.get_command(app)
    for word in words:
        group = group if word == "JOB" else group.commands[word]
    assert group.help
    for parameter in group.params:
        if isinstance(parameter, click.Option) and parameter.name != "help":
            assert parameter.help, parameter.name


def test_all_commands_are_there() -> None:
    about_jobs = {"submit", "status", "list", "watch", "cancel", "pause", "resume", "retry"}
    assert {c[0] for c in COMMANDS if c} >= about_jobs | {"up", "worker", "coordinator", "doctor", "demo", "models"}


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_an_unknown_option_is_exit_code_2(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(app, [*words, "--no-such-option"])
    assert done.exit_code == 2
    assert done.output.startswith("error: --no-such-option: no such option; ")
    assert len(done.output.splitlines()) == 1


def test_an_unknown_option_of_the_real_command(run: Run) -> None:
    assert the_line(run("list", "--nonsense", code=2)).startswith("error: --nonsense: no such option; see `")


def test_an_unknown_status_is_one_line(run: Run) -> None:
    said = the_line(run("list", "--status", "running", code=2))
    assert said.startswith("error: --status: 'running' is not one of 'planning', ")


def test_the_version_is_said(run: Run) -> None:
    assert run("--version").stdout.startswith("blurfarm ")


def test_status_of_an_empty_farm(run: Run) -> None:
    assert run("status").stdout == "no farm is running here: start one with `farm up`\nno unfinished jobs\n"
    empty = {"job_counts": {}, "store": {"files": 0, "size": 0}}
    none = {"running": False, "coordinator": False, "workers": [], "jobs": [], "refused_messages": []}
    assert json.loads(run("status", "--json").stdout) == {**none, **empty}


def test_list_of_an_empty_farm(run: Run) -> None:
    assert run("list").stdout == "no jobs yet\n"
    assert json.loads(run("list", "--json").stdout) == []


@pytest.mark.parametrize("words", [("cancel", "nope"), ("status", "nope", "--json")])
def test_a_job_that_is_not_there_is_one_line(run: Run, words: tuple[str, ...]) -> None:
    assert the_line(run(*words, code=2)) == "error: no job 'nope' (`farm list` shows all jobs)"


def test_a_wrong_setting_is_one_line(run: Run) -> None:
    assert the_line(run("list", code=2, FARM_CRF="fine")).startswith(
        'error: FARM_CRF: "fine" is not valid; use a whole number'
    )


def test_a_home_that_cannot_be_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("up", "--no-flower", code=2, FARM_HOME=str(tmp_path / "file" / "home"))
    assert f"cannot write into the folder {tmp_path}/file/home: Not a directory" in the_line(done)


def test_a_database_that_is_none_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "farm.db").write_bytes(b"no database " * 100)
    assert "farm.db" in the_line(run("list", code=6))


BREAK = "from farm.cli import main\ndef app(): raise {}\nmain.app = app\nmain.run()"


def test_a_defect_is_one_line_and_its_traceback_is_in_the_log(run: Run, tmp_path: Path) -> None:
    line = the_line(run(code=70, program=("-c", BREAK.format(r"RuntimeError('first\nsecond')"))))
    log = tmp_path / "home" / "logs" / "defects.log"
    assert "a defect in farm: RuntimeError: first (please report it" in line
    assert str(log) in line
    assert "Traceback" in log.read_text()
    assert "second" in log.read_text()


def test_a_defect_without_a_place_for_its_log_is_one_line_still(run: Run, tmp_path: Path) -> None:
    (tmp_path / "home").touch()
    assert "a defect in farm: KeyError" in the_line(run(code=70, program=("-c", BREAK.format("KeyError('x')"))))


def test_an_interrupt_is_exit_code_130(run: Run) -> None:
    assert run(code=130, program=("-c", BREAK.format("KeyboardInterrupt"))).stderr == "interrupted\n"


def test_verify_without_weights_says_how_to_get_them(run: Run) -> None:
    assert "farm models pull centerface" in the_line(run("models", "verify", "centerface", code=5))


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shells_completion_is_printed(run: Run, shell: str) -> None:
    done = run("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert "complet" in done.stdout.lower()
    assert done.stderr == ""


def test_the_options_of_submit_come_in_groups() -> None:
    lines = CliRunner().invoke(app, ["submit", "--help"], terminal_width=100).output.splitlines()
    groups = [line for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert groups == ["Arguments:", "Output:", "Faces:", "Source:", "Encoding:", "Running:", "Help:"]
    for group, option in (("Source:", "--start"), ("Faces:", "--style"), ("Encoding:", "--scale"), ("Output:", "-o")):
        at = next(n for n, line in enumerate(lines) if line.startswith(f"  {option}"))
        assert [line for line in lines[:at] if line in groups][-1] == group


def test_a_kind_of_pictures_without_pictures_is_one_line(run: Run) -> None:
    assert "--frames FOLDER" in the_line(run("submit", "in.mp4", "--frames-as", "png", code=2))


@pytest.mark.parametrize("words", [("--chunk-seconds", "0"), ("--chunk-seconds", "nan"), ("--start", "soon")])
def test_a_wrong_value_is_one_line_that_names_the_option(run: Run, words: tuple[str, str]) -> None:
    line = the_line(run("submit", "in.mp4", *words, code=2))
    assert line.startswith(f'error: {words[0]}: "{words[1]}" is not')
    assert "FARM_" not in line


def test_the_lowest_psnr_is_of_what_was_measured() -> None:
    def segment(psnr: float | None) -> Artefact:
        return Artefact(key="k", size=1, sha256="0", frames=1, psnr=psnr)

    assert lowest_psnr(map(segment, (41.5, None, float("inf"), 40.25))) == 40.25
    assert lowest_psnr(map(segment, (None, float("inf")))) is None


def test_names_of_files_are_shown_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Square brackets and colons mean something to rich; in a file's name they mean themselves."""
    name = "/v/[bold]a[/x] :smile: [1].mp4"
    facts = JobFacts("abc", "done", None, name, name, 1, 1.0, 0.0, 1.0, (), 0, ())
    text = io.StringIO()
    for console in (display.output, display.errors):
        monkeypatch.setattr(console, "_file", text)  # undone, the properties would stay set
        monkeypatch.setattr(console, "_width", 300)
        assert isinstance(console, Console)
        console.print("\n".join(tables.job_details(facts)), soft_wrap=True)
        console.print(summary(facts, 1.0), soft_wrap=True)
    assert text.getvalue().count(name) == 6


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ({"codec": "vp8"}, '--codec: "vp8": VP8 cannot hold 10 bits a sample here; use --codec '),
        ({"encoder": "none"}, '--encoder: "none" is not an encoder that can be used; use one of '),
        ({"scale": 4096}, '--scale: "4096" is not valid: the video is 64 pixels wide already; use a smaller width'),
    ],
)
def test_an_error_about_an_option_spells_it_as_the_command_line_does(asked: Any, line: str) -> None:
    video = VideoStream(0, "hevc", 64, 48, "yuv420p10le", Fraction(1, 25), Fraction(25), None, 2, 2, 2, 2)
    with pytest.raises(SettingsError) as refused:
        settings_of(video, RedactOptions(**asked))
    assert error_text(refused.value).startswith(line)
    assert "redact." not in error_text(refused.value)


@pytest.mark.parametrize("words", [("demo", "-o", "file"), ("demo", "-o", "file/in"), ("demo", "-o", "/proc/demo")])
def test_a_demo_that_cannot_be_written_is_one_line(run: Run, tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "file").touch()
    line = the_line(run(*words, code=4))
    assert line.startswith(f"error: {words[-1]}: ")


@pytest.mark.parametrize("command", ["submit", "demo"])
def test_an_empty_name_is_not_this_folder(run: Run, tmp_path: Path, command: str) -> None:
    (tmp_path / "a.mp4").touch()
    assert "VIDEO: the name is empty" in the_line(run(command, "", code=2)).replace("[VIDEO]", "VIDEO")


def test_a_demo_takes_one_video(run: Run, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    assert the_line(run("demo", "folder", code=3)) == "error: folder: is a directory (name one video)"
    assert not (tmp_path / "demo").exists()
