"""A network or a style is a declaration and a module: nothing else has to change.

A network is registered here as a commit would add it, and taken from the command line to what a worker creates.
"""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from math import inf
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from farm.cli import submit
from farm.cli.sources import How
from farm.cli.submit_options import error_text
from farm.domain.detection import FACE, PLATE, Detection
from farm.domain.detectors import NETWORKS, Declared, DetectOptions
from farm.domain.geometry import Box
from farm.domain.options import JobOptions
from farm.domain.weights import Weights
from farm.errors import ModelError, SettingsError
from farm.jobs.asked import job_options
from farm.models.digest import model_digest
from farm.models.store import ModelStore
from farm.settings import Settings, load_settings
from workers.vision.detectors.base import Candidates, Picture
from workers.vision.detectors.combined import create_detector
from workers.vision.device import Device

TOY = Declared(
    name="toy",
    thresholds={PLATE: ((inf, 0.4),), "clown": ((20, 0.2), (inf, 0.6))},
    weights=Weights("toyweights", "a toy", "MIT", "0" * 64, "toy.bin", ()),
    share=0.5,
    largest=1000,
    argument="COLOUR",
)


class Toy:
    """Finds one plate and two clowns in every picture."""

    kinds = (PLATE, "clown")
    multiple = 8
    batch_size = 3

    def __init__(self, *arguments: object) -> None:
        self.made_with = arguments

    def find(self, pictures: Sequence[Picture], least: float) -> list[Candidates]:
        self.least = least
        rows = [[0, 0, 8, 4, 0.7, 0], [8, 8, 16, 19, 0.6, 1], [40, 8, 16, 21, 0.6, 1]]
        return [np.array(rows, np.float32) for _ in pictures]


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETWORKS, "toy", TOY)
    module: Any = ModuleType("toy")
    module.create = Toy
    monkeypatch.setitem(sys.modules, "workers.vision.detectors.toy", module)


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


def test_it_comes_from_the_command_line(asked: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked("--detector", "toy:red+centerface").detect == DetectOptions(detector="toy:red+centerface")
    assert asked() == JobOptions()
    monkeypatch.setenv("FARM_DETECTOR", "toy:red")
    assert asked("--detect-size", "1000").detect == DetectOptions(detector="toy:red", size=1000)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--detector", "toys:red"), '--detector: "toys:red" is not valid; did you mean toy?'),
        (("--detector", "toy"), '--detector: "toy" is not valid; write toy:COLOUR'),
        (("--detector", "centerface:red"), '--detector: "centerface:red" is not valid; write centerface'),
        (("--detector", "toy:red+toy:red"), '--detector: "toy:red+toy:red" is not valid; name toy:red once'),
        (("--detector", "other"), "deepface:BACKEND, none or toy:COLOUR, or several joined by +"),
        (
            ("--detector", "toy:red", "--detect-size", "2001"),
            '--detect-size: "2001" is not valid; toy takes at most 2000 pixels',
        ),
        (("--end", "2", "--start", "3"), '--end: "2" is not valid; use a time after --start'),
        (("--fps", "2", "--every", "3"), "--every: cannot be combined with --fps; use one of them"),
    ],
)
def test_a_wrong_option_is_one_line_that_names_its_flag(asked: Any, words: tuple[str, ...], line: str) -> None:
    with pytest.raises(SettingsError) as refused:
        asked(*words)
    assert error_text(refused.value).endswith(line)


def test_names_that_look_like_an_option_are_left_alone() -> None:
    error = SettingsError('my.link.gap.mp4: link.gap: "11" is not valid', field="link.gap")
    assert error_text(error) == 'my.link.gap.mp4: --gap: "11" is not valid'
    assert error_text(SettingsError("link.gap: no such file")) == "link.gap: no such file"


@pytest.mark.usefixtures("declared_thresholds")
def test_a_worker_creates_it_and_its_scores_are_normalised(tmp_path: Path) -> None:
    options = DetectOptions(detector="toy:red", size=320, runtime="onnxruntime-f32")
    detector: Any = create_detector(options, Device("cpu", 0), threads=2, weights=lambda name: tmp_path / name)
    path, named, *others = detector._parts[0].network.made_with
    assert (path, named.network, named.argument) == (tmp_path / "toyweights", TOY, "red")
    assert others == [Device("cpu", 0), 2, "onnxruntime-f32"]
    assert (detector.picture_size(640, 480), detector.batch_size) == ((160, 120), 3)
    (found,) = detector.detect([np.zeros((120, 160, 3), np.uint8)], (640, 480))
    assert found == [
        Detection(Box(0, 0, 32, 16), 0.75, PLATE),
        Detection(Box(32, 32, 64, 76), 0.75, FACE),
        Detection(Box(160, 32, 64, 84), 0.5, FACE),
    ]
    assert detector._parts[0].network.least == pytest.approx(0.14)


def test_its_weights_are_known(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path)
    names = [status.model.name for status in ModelStore(settings).status()]
    assert {"centerface", "toyweights"} <= set(names)
    with pytest.raises(ModelError, match=r"no toy\.bin here"):
        model_digest(DetectOptions(detector="toy:red"), ModelStore(settings).ensure)
    assert asdict(DetectOptions(detector="toy:red"))["detector"] == "toy:red"
