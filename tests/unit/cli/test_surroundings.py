"""Terminals, streams, users and folders as they are: each command works, or says one line."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Run


@pytest.fixture
def shell(tmp_path: Path) -> Run:
    """``shell("list >&-")``: the command line after ``farm``, by a shell that redirects."""

    def call(words: str, code: int = 0, **env: str) -> "subprocess.CompletedProcess[str]":
        outside = {k: v for k, v in os.environ.items() if not k.startswith("FARM_")}
        done = subprocess.run(
            ["bash", "-c", f'"$0" -m farm {words}', sys.executable],
            cwd=tmp_path, env={**outside, "FARM_HOME": str(tmp_path / "home"), **env}, stdin=subprocess.DEVNULL,
            capture_output=True, timeout=60, check=False, encoding="latin-1",
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        return done

    return call


ENCODINGS = [
    {"PYTHONIOENCODING": "latin-1"}, {"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONUTF8": "0"},
    {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
]  # fmt: skip


@pytest.mark.parametrize("env", ENCODINGS, ids=str)
@pytest.mark.slow
def test_a_terminal_that_cannot_show_everything_gets_escapes(shell: Run, tmp_path: Path, env: dict[str, str]) -> None:
    home = tmp_path / "Grüße → 顔"
    done = shell("config", FARM_HOME=str(home), **env)
    assert "store_dir" in done.stdout
    assert done.stderr == ""
    # → advises in the lines of doctor
    assert "model centerface" in shell("doctor", code=0, FARM_HOME=str(home), **env).stdout
    (tmp_path / "顔.mp4").write_bytes(b"no video")
    done = shell("submit '顔.mp4'", code=3, **env)
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")
    assert "UTF-8" not in done.stderr  # the name is


@pytest.mark.parametrize("words", ["list", "list --json", "--version", "submit --help"])
def test_a_full_standard_output_is_one_line(shell: Run, words: str) -> None:
    done = shell(f"{words} > /dev/full", code=74)
    assert done.stderr == "error: cannot write to standard output: No space left on device\n"


@pytest.mark.parametrize("words", ["list", "list --json", "--version", "submit --help"])
def test_a_closed_standard_output_is_no_error(shell: Run, words: str) -> None:
    assert shell(f"{words} >&-").stderr == ""


@pytest.mark.parametrize("where", ["2>&-", "2> /dev/full", ">&- 2>&-", "<&- >&- 2>&-"])
def test_without_standard_error_the_exit_code_tells(shell: Run, where: str) -> None:
    assert shell(f"submit none.mp4 {where}", code=3).stdout == ""
    shell(f"list {where}")
    assert shell(f"submit --nonsense {where}", code=2).stdout == ""


def test_no_file_is_opened_in_the_place_of_a_closed_stream(shell: Run, tmp_path: Path) -> None:
    """A database opened as file 1 would be written to by whatever prints there."""
    shell("list <&- >&- 2>&-")
    assert (tmp_path / "home" / "farm.db").read_bytes().startswith(b"SQLite format 3")
    shell("status <&- >&- 2>&-")


def test_a_reader_that_stops_early_is_no_error(shell: Run) -> None:
    assert shell("config | true; exit ${PIPESTATUS[0]}").stderr == ""
    assert shell("config --json | true; exit ${PIPESTATUS[0]}").stderr == ""


@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_only_its_user_can_read_the_home(shell: Run, tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        shell("list")
    finally:
        os.umask(before)
    made = [tmp_path / "home", *(tmp_path / "home").rglob("*")]
    assert tmp_path / "home" / "farm.db" in made
    assert {stat.S_IMODE(p.stat().st_mode) for p in made if p.is_file()} == {0o600}
    assert {stat.S_IMODE(p.stat().st_mode) for p in made if p.is_dir()} == {0o700}


def test_a_home_that_others_can_read_is_noted_and_not_changed(shell: Run, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    home.chmod(0o755)
    shell("list")
    assert stat.S_IMODE(home.stat().st_mode) == 0o755
    assert stat.S_IMODE((home / "farm.db").stat().st_mode) == 0o600
    assert f"note home: {home} can be read by other users" in shell("doctor").stdout
    subprocess.run(["bash", "-c", f"chmod 700 {home}"], check=True)
    assert f"ok   home: {home}" in shell("doctor").stdout


def test_a_folder_that_was_removed_is_no_error(tmp_path: Path) -> None:
    command = f"mkdir gone && cd gone && rmdir ../gone && exec {sys.executable} -m farm list"
    env = {**os.environ, "FARM_HOME": str(tmp_path / "home")}
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "no jobs yet\n", "")
