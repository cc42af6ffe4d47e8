"""What a person is told about the farm at hand: when there is none, whose it is, what Ctrl-C does."""

import fcntl
import signal
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from farm.cli.batch import interrupted
from farm.cli.main import app
from farm.errors import FarmError, SettingsError
from farm.local.home import lock_home
from farm.settings import load_settings
from tests.unit.cli.conftest import Run, the_line


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("FARM_MODELS_DIR", str(weights))


def refused(*words: str) -> BaseException | None:
    return CliRunner().invoke(app, words).exception


@pytest.mark.parametrize("words", [("--detach",), ()])
def test_devices_that_mean_nothing_are_refused(clip: Path, words: tuple[str, ...]) -> None:
    error = refused("submit", str(clip), "--devices", "foo", *words)
    assert isinstance(error, SettingsError)
    assert str(error).startswith('--devices: "foo" ')
    assert CliRunner().invoke(app, ["list"]).output == "no jobs yet\n"


def test_down_without_a_farm(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["down"])
    assert (done.exit_code, done.output) == (0, f"no farm is running in {tmp_path / 'home'}\n")


@pytest.mark.parametrize(
    ("said", "whose"),
    [
        ("", "a process that is starting or ending"),
        ('{"pid": 1, "service": false, "up": true, "flower": null}', "a running command (pid 1)"),
    ],
)
def test_down_does_not_stop_the_farm_of_a_command(tmp_path: Path, said: str, whose: str) -> None:
    (tmp_path / "home").mkdir()
    with (tmp_path / "home" / "farm.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(said)
        lock.flush()
        error = refused("down")
    assert isinstance(error, FarmError)
    assert str(error) == f"the farm in {tmp_path / 'home'} belongs to {whose} (wait for it, or stop it with Ctrl-C)"


def test_down_says_when_the_farm_does_not_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farm.cli.up._STOP_SECONDS", 0.5)
    (tmp_path / "home").mkdir()
    with subprocess.Popen(["sleep", "60"]) as farm, (tmp_path / "home" / "farm.lock").open("w") as lock:
        farm.send_signal(signal.SIGSTOP)
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(f'{{"pid": {farm.pid}, "service": true, "up": true, "flower": null}}')
        lock.flush()
        error = refused("down")
        farm.kill()
    assert str(error) == f"the farm (pid {farm.pid}) has not stopped (`farm down --now` ends it)"


@pytest.mark.parametrize("words", [("up",), ("up", "--detach"), ("up", "--no-flower")])
def test_up_without_the_redis_that_is_named_is_one_line(run: Run, words: tuple[str, ...]) -> None:
    line = the_line(run(*words, code=6, FARM_BROKER_URL="redis://127.0.0.1:1/0"))
    assert line.startswith("error: Redis at redis://127.0.0.1:1/0 does not answer: ")


@pytest.mark.parametrize(
    ("own", "missing", "says", "never"),
    [
        (True, None, "to resume job abc", "goes on"),
        (False, None, "The running farm continues job abc", "stopped"),
        (False, "no coordinator for 40 s", "Job abc waits (no coordinator for 40 s)", "goes on"),
    ],
)
def test_ctrl_c_says_whether_the_job_stops(
    monkeypatch: pytest.MonkeyPatch, own: bool, missing: str | None, says: str, never: str
) -> None:
    monkeypatch.setattr("farm.cli.batch.missing_part", lambda _: missing)
    farm: Any = SimpleNamespace(own=own, context=None)
    assert says in interrupted(farm, "abc")
    assert never not in interrupted(farm, "abc")


def test_a_unit_names_no_place_that_depends_on_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FARM_STORE_DIR", "store")
    monkeypatch.setenv("FARM_BROKER_URL", "redis://:secret@host/0")
    (tmp_path / "own.toml").write_text("")
    monkeypatch.setenv("FARM_CONFIG", "own.toml")
    unit = CliRunner().invoke(app, ["up", "--print-unit"]).output
    assert f'Environment="FARM_CONFIG={tmp_path}/own.toml"' in unit
    assert f'Environment="FARM_STORE_DIR={tmp_path}/store"' in unit
    assert f"FARM_BROKER_URL may hold a password: put it into {tmp_path}/own.toml\n" in unit
    assert "secret" not in unit


def test_who_asks_whether_a_farm_runs_is_in_nobodys_way(tmp_path: Path) -> None:
    settings = load_settings()
    asking: Any = lock_home(settings)
    threading.Timer(0.3, asking.close).start()
    assert lock_home(settings) is None
    taken: Any = lock_home(settings, patience=5)
    taken.close()
