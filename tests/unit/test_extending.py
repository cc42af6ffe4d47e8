"""A detector or a style, with options of its own, is a declaration and a module: nothing else has to change.

Each is registered here as a commit would add it, and taken from the command line to what a worker creates.
"""

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from farm.cli import submit
from farm.cli.model_progress import model_digest
from farm.cli.sources import How
from farm.cli.submit_options import error_text, job_options
from farm.domain.artefacts import fingerprint_facts, stage_fingerprint
from farm.domain.detectors import DETECTORS, DetectOptions
from farm.domain.option import option
from farm.domain.options import STYLES, JobOptions, RedactOptions, load_options
from farm.domain.weights import Weights
from farm.errors import ModelError, SettingsError
from farm.models.store import ModelStore
from farm.settings import Settings, load_settings
from tests.unit.domain.test_stages import MANIFEST
from workers.vision.detectors.base import create_detector
from workers.vision.device import Device
from workers.vision.redactors.base import create_redactor


@dataclass(frozen=True, slots=True)
class ToyDetector(DetectOptions):
    """A detector's declaration. It shares an option with CenterFace, with a default of its own, and has one more."""

    weights = Weights("toyweights", "a toy", "MIT", "0" * 64, "toy.bin", ())

    model: str = "toy"
    threshold: float = option(0.5, "Lowest score.", "Faces", "SCORE", gt=0, lt=1)
    reach: int = option(3, "How far it sees.", "Faces", "METRES", setting="toy_reach", ge=1, le=9, unit="metres")


@dataclass(frozen=True, slots=True)
class DotsStyle(RedactOptions):
    """A style's declaration."""

    style: str = "dots"
    colour: str = option("red", "Of the dots: {choices}.", "Faces", "COLOUR", choices=("red", "green", "blue"))
    outlined: bool = option(False, "Outline the dots.", "Faces")


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DETECTORS, "toy", ToyDetector)
    monkeypatch.setitem(STYLES, "dots", DotsStyle)
    for name in ("detectors.toy", "redactors.dots"):
        module: Any = ModuleType(name)
        module.create = lambda *arguments: arguments
        monkeypatch.setitem(sys.modules, f"workers.vision.{name}", module)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Any:
    """``asked("--style", "solid")``: the job's options for these words after ``farm submit in.mp4``."""
    seen: list[JobOptions] = []

    def look(settings: Settings, _videos: object, _output: object, how: How) -> None:
        seen.append(job_options(settings, pictures=how.pictures))

    def call(*words: str) -> JobOptions:
        monkeypatch.setattr(submit, "run_submit", look)
        app = typer.Typer()
        submit.register(app)
        done = CliRunner().invoke(app, ["in.mp4", *words])
        if done.exception:
            raise done.exception
        return seen[-1]

    return call


def test_own_options_come_from_the_command_line(asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked("--model", "toy", "--toy-reach", "5").detect == ToyDetector(reach=5, threshold=0.5)
    assert asked("--style", "dots", "--colour", "blue", "--margin", "1").redact == DotsStyle(colour="blue", margin=1)
    assert asked() == JobOptions()
    monkeypatch.setenv("FARM_OUTLINED", "true")
    monkeypatch.setenv("FARM_STYLE", "dots")
    assert asked().redact == DotsStyle(outlined=True)
    assert asked("--no-outlined").redact == DotsStyle(outlined=False)


def test_own_options_come_from_the_environment_and_the_file(
    asked: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("FARM_HOME", str(tmp_path))
    monkeypatch.setenv("FARM_TOY_REACH", "7")
    (tmp_path / "farm.toml").write_text('style = "dots"\ncolour = "green"\n')
    options = asked("--model", "toy")
    assert (options.detect, options.redact) == (ToyDetector(reach=7), DotsStyle(colour="green"))
    monkeypatch.setenv("FARM_TOY_REACH", "far")
    with pytest.raises(
        SettingsError, match=r'^FARM_TOY_REACH: "far" is not valid; use a whole number of metres from 1 to 9$'
    ):
        load_settings()


def test_own_options_are_in_the_help() -> None:
    app = typer.Typer(rich_markup_mode=None)  # as the real one
    submit.register(app)
    text = " ".join(CliRunner().invoke(app, ["--help"], terminal_width=200).output.split())
    assert "--toy-reach METRES How far it sees. Default: 3." in text
    assert "--colour COLOUR Of the dots: red, green or blue. Default: red." in text
    assert "blur, pixelate, solid or dots. Default: blur." in text


def test_own_options_survive_json_and_are_part_of_the_fingerprint() -> None:
    options = JobOptions(detect=ToyDetector(reach=5), redact=DotsStyle(colour="blue"))
    row = json.loads(json.dumps(asdict(options)))
    assert row["detect"] == {"model": "toy", "runtime": None, "threshold": 0.5, "reach": 5}
    assert row["redact"]["colour"] == "blue"
    assert load_options(row) == options
    other = JobOptions(detect=ToyDetector(reach=6), redact=DotsStyle(colour="red"))
    for stage in ("detect", "redact"):
        names = [stage_fingerprint(stage, fingerprint_facts(MANIFEST, "w", asked, "mp4")) for asked in (options, other)]
        assert names[0] != names[1]
    assert load_options(asdict(other)) == other


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--toy-reach", "5"), "--toy-reach: centerface has no such option"),
        (("--model", "toy", "--detect-size", "640"), "--detect-size: toy has no such option"),
        (("--colour", "red"), "--colour: blur has no such option"),
        (
            ("--model", "toy", "--toy-reach", "10"),
            '--toy-reach: "10" is not valid; use a whole number of metres from 1 to 9',
        ),
        (("--style", "dots", "--colour", "pink"), '--colour: "pink" is not valid; choose red, green or blue'),
        (("--model", "other"), '--model: "other" is not valid; choose centerface or toy'),
        (("--end", "2", "--start", "3"), '--end: "2" is not valid; use a time after --start'),
        (("--fps", "2", "--every", "3"), "--every: cannot be combined with --fps; use one of them"),
    ],
)
def test_a_wrong_option_is_one_line_that_names_its_flag(asked: Any, words: tuple[str, ...], line: str) -> None:
    with pytest.raises(SettingsError) as refused:
        asked(*words)
    assert error_text(refused.value) == line


def test_names_that_look_like_an_option_are_left_alone() -> None:
    error = SettingsError('my.link.gap.mp4: link.gap: "11" is not valid', field="link.gap")
    assert error_text(error) == 'my.link.gap.mp4: --gap: "11" is not valid'
    assert error_text(SettingsError("link.gap: no such file")) == "link.gap: no such file"


def test_a_worker_creates_them(tmp_path: Path) -> None:
    cpu, options = Device("cpu", 0), ToyDetector(reach=5)
    made: Any = create_detector(options, cpu, threads=2, weights=lambda name: tmp_path / name)
    assert made == (tmp_path / "toyweights", options, cpu, 2)
    style = DotsStyle(colour="blue")
    made = create_redactor(style)
    assert made == (style,)


def test_its_weights_are_known(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path)
    assert [status.model.name for status in ModelStore(settings).status()] == ["centerface", "toyweights"]
    with pytest.raises(ModelError, match=r"no toy\.bin here"):
        model_digest(settings, ToyDetector(), quiet=True)
