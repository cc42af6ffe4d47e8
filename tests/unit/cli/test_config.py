"""``farm config``, ``farm --config``, and errors that name where a value was given."""

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from farm.cli.submit_options import options_line
from farm.cli.summaries import summary
from farm.domain.detectors import DetectOptions
from farm.domain.options import ComposeOptions, JobOptions, RedactOptions, submit_options
from farm.settings import Settings
from tests.unit.cli.conftest import Run, facts_of, the_line


def shown(run: Run, *words: str, **env: str) -> Any:
    return json.loads(run(*words, "config", "--json", **env).stdout)


def test_every_setting_and_option_is_shown_with_its_origin(run: Run, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    file = tmp_path / "home" / "farm.toml"
    file.write_text('crf = 30\nlease_seconds = "1m"\nkeep_segments = true\n')
    found = shown(run, FARM_STYLE="solid", FARM_CRF="20")
    assert found["file"] == str(file)
    settings = found["settings"]
    assert set(settings) == {*Settings.model_fields, *(o.setting for o in submit_options())}
    assert settings["crf"] == {"value": 20, "origin": "FARM_CRF"}
    assert settings["lease_seconds"] == {"value": 60, "origin": str(file)}
    assert settings["style"] == {"value": "solid", "origin": "FARM_STYLE"}
    assert settings["threshold"] == {"value": DetectOptions().threshold, "origin": "default"}
    assert settings["store_dir"] == {"value": str(tmp_path / "home" / "store"), "origin": "default"}
    lines = run("config", FARM_CRF="20").stdout.splitlines()
    assert lines[0] == f"settings file: {file}"
    assert len(lines) == 1 + len(settings)
    assert any(re.fullmatch(r"crf +20 +FARM_CRF", line) for line in lines)
    assert any(re.fullmatch(rf"keep_segments +true +{file}", line) for line in lines)


def test_passwords_are_masked(run: Run) -> None:
    secrets = {
        "FARM_BROKER_URL": "redis://:s3cret@queue:6379/0",
        "FARM_DATABASE_URL": "postgresql+psycopg://farm:s3cret@db/farm",
        "FARM_FLOWER_BASIC_AUTH": "admin:s3cret",
    }
    settings = shown(run, **secrets)["settings"]
    assert settings["broker_url"]["value"] == "redis://:***@queue:6379/0"
    assert settings["database_url"]["value"] == "postgresql+psycopg://farm:***@db/farm"
    assert settings["flower_basic_auth"]["value"] == "admin:***"
    assert "s3cret" not in run("config", **secrets).stdout


def test_a_file_is_named_by_an_option_or_a_variable(run: Run, tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text("crf = 1\n")
    (tmp_path / "two.toml").write_text("crf = 2\n")
    (tmp_path / "farm.toml").write_text("crf = 3\n")  # in the current folder: not read
    assert shown(run)["settings"]["crf"] == {"value": 18, "origin": "default"}
    by_variable = shown(run, FARM_CONFIG="one.toml")["settings"]["crf"]
    assert by_variable == {"value": 1, "origin": str(tmp_path / "one.toml")}
    by_option = shown(run, "--config", "two.toml", FARM_CONFIG="one.toml")["settings"]["crf"]
    assert by_option == {"value": 2, "origin": str(tmp_path / "two.toml")}


CHILDS_PATHS = """
from pathlib import Path
from farm.cli import main
from farm.processes import environment
def app():
    env = environment(Path("/"))
    print(env["FARM_CONFIG"], env["FARM_STORE_DIR"])
main.app = app
main.run()
"""


def test_children_read_the_same_file_and_the_same_paths(run: Run, tmp_path: Path) -> None:
    """The device is wrong on purpose: the workers' program, a child, says so."""
    (tmp_path / "one.toml").write_text('devices = "cpu:2,cpu:2"\n')
    line = the_line(run("--config", "one.toml", "up", code=2, FARM_STORE_DIR="store"))
    assert "names a device twice" in line
    program = ("-c", CHILDS_PATHS)
    done = run(program=program, FARM_STORE_DIR="store", FARM_CONFIG="one.toml")
    assert done.stdout.split() == [str(tmp_path / "one.toml"), str(tmp_path / "store")]


def test_a_missing_file_is_one_line(run: Run, tmp_path: Path) -> None:
    line = the_line(run("--config", "none.toml", "list", code=2))
    assert line == f"error: there is no settings file {tmp_path}/none.toml (correct --config or FARM_CONFIG)"


@pytest.mark.parametrize(
    "words", [("list",), ("submit", "in.mp4"), ("config",), ("models", "list"), ("doctor",), ("up",)]
)
def test_an_unknown_name_in_the_file_stops_every_command(run: Run, tmp_path: Path, words: list[str]) -> None:
    (tmp_path / "one.toml").write_text("treshold = 0.9\n")
    line = the_line(run("--config", "one.toml", *words, code=2))
    assert line == f'error: {tmp_path}/one.toml: unknown setting "treshold" (did you mean "threshold"?)'


@pytest.mark.parametrize("words", [["submit", "in.mp4"], ["config"]])
def test_an_option_out_of_range_is_named_as_where_it_was_given(
    run: Run, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "one.toml").write_text("threshold = 1.5\n")
    line = the_line(run("--config", "one.toml", *words, code=2))
    assert line.startswith(f'error: {tmp_path}/one.toml: threshold: "1.5" ')
    assert the_line(run(*words, code=2, FARM_THRESHOLD="1.5")).startswith('error: FARM_THRESHOLD: "1.5" ')


def test_an_option_of_the_command_line_is_named_as_one(run: Run) -> None:
    assert the_line(run("submit", "in.mp4", "--threshold", "1.5", code=2)).startswith('error: --threshold: "1.5" ')


def test_a_summary_names_the_options_that_are_not_the_defaults() -> None:
    options = asdict(JobOptions(detect=DetectOptions(threshold=0.9), redact=RedactOptions(style="solid", crf=20)))
    line = "options that are not the defaults: --style solid, --crf 20, --threshold 0.9"
    assert options_line(options) == line
    assert f"  {line}" in summary(facts_of(options=options), 1.0).splitlines()
    assert options_line(asdict(JobOptions())) is None
    assert "not the defaults" not in summary(facts_of(options=asdict(JobOptions())), 1.0)


def test_what_pictures_imply_is_no_option_of_the_user() -> None:
    pictures = JobOptions(redact=RedactOptions(codec="ffv1"), compose=ComposeOptions(pictures="png"))
    assert options_line(asdict(pictures)) is None
    jpeg = JobOptions(redact=RedactOptions(codec="ffv1"), compose=ComposeOptions(pictures="jpeg"))
    assert options_line(asdict(jpeg)) == "options that are not the defaults: --frames-as jpeg"
    assert options_line({"link": {"require_faces": True}}) == "options that are not the defaults: --require-faces"


def test_a_job_of_another_version_is_summed_up_too() -> None:
    assert (
        options_line({"detect": {"model": "gone", "reach": 5, "threshold": 0.9}})
        == "options that are not the defaults: --threshold 0.9"
    )
    assert options_line({}) is None


def test_a_settings_file_of_nobody_is_one_line(run: Run) -> None:
    for done in (
        run("--config", "~nobody-here/farm.toml", "list", code=2),
        run("list", code=2, FARM_CONFIG="~nobody-here/x"),
    ):
        assert the_line(done).startswith('error: FARM_CONFIG: "~nobody-here/')
    assert "home directory" in the_line(run("--config", "~nobody-here/farm.toml", "config", code=2))
