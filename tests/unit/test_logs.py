"""Logs of the farm and its workers: a record is one line, whatever names and metadata its message quotes."""

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from farm.errors import SettingsError
from farm.logs import begin_log, lines_about

LOGGED = r"""
import farm.logs, logging, sys
from pathlib import Path
from farm.logs import begin_log
if sys.argv[1].startswith("/"):
    begin_log("one", Path(sys.argv[1]), worker="w")
else:
    begin_log("one", console=sys.argv[1])
subject = farm.logs.about(job="j", chunk=3)
subject.__enter__()
name = "a\n2026-01-01 00:00:00,000 INFO farm: forged\x1b[2J\udcff.mp4"
logging.getLogger("one").info("opened %s", name)
try:
    raise ValueError(name)
except ValueError:
    logging.getLogger("two").exception("a defect in %s", name, extra={"attempt": "t"})
logging.getLogger("three").info("at %s and %s", "redis://user:p@ss:w/rd@host:1/0", "x://h/?password=secret&a=1")
"""


def lines_of(*words: object) -> tuple[str, ...]:
    command = [sys.executable, "-c", LOGGED, *map(str, words)]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    assert done.stdout == b""
    return tuple(done.stderr.decode().splitlines())


def check_rows(lines: tuple[str, ...]) -> None:
    first, second, third = map(json.loads, lines)
    assert all(line.isascii() and line.isprintable() for line in lines)
    assert first["message"].startswith("opened a\n2026-01-01")
    assert {k: first.get(k) for k in ("level", "process", "logger", "job", "chunk", "attempt", "stage")} == {
        "level": "INFO", "process": "one", "logger": "one", "job": "j", "chunk": 3, "attempt": None, "stage": None,
    }  # fmt: skip
    assert isinstance(first["pid"], int)
    assert datetime.fromisoformat(first["time"]).tzinfo is not None
    assert (second["level"], second["attempt"]) == ("ERROR", "t")
    assert second["traceback"].startswith("Traceback (most recent call last):\n")
    assert third["message"] == "at redis://user:***@host:1/0 and x://h/?password=***&a=1"


def test_a_log_is_one_object_a_line(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "one.log"
    assert lines_of(log) == ()
    lines = tuple(log.read_text("ascii").splitlines())
    check_rows(lines)
    assert {json.loads(line)["worker"] for line in lines} == {"w"}


@pytest.mark.parametrize("console", ["auto", "json"])
def test_standard_error_that_is_no_terminal_gets_objects(console: str) -> None:
    check_rows(lines_of(console))


def test_a_message_cannot_forge_a_line_of_text() -> None:
    first, second, *traceback, third = lines_of("text")
    assert r"INFO one: opened a\n2026-01-01" in first
    assert r"forged\x1b[2J\xff.mp4" in first
    assert r"ERROR two: a defect in a\n2026" in second
    assert traceback[0] == "  Traceback (most recent call last):"
    assert all(line.startswith("  ") and line.isprintable() for line in traceback)
    assert "redis://user:***@host:1/0 and x://h/?password=***&a=1" in third


def test_what_ends_a_process_or_a_thread_is_logged(tmp_path: Path) -> None:
    log = tmp_path / "one.log"
    program = (
        "import sys, threading; from pathlib import Path; from farm.logs import begin_log;"
        "begin_log('one', Path(sys.argv[1])); t = threading.Thread(target=lambda: 1 / 0); t.start(); t.join(); [][1]"
    )
    done = subprocess.run([sys.executable, "-c", program, log], capture_output=True, timeout=60, check=False)
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(row["level"], row["message"]) for row in rows] == [
        ("CRITICAL", "a defect: ZeroDivisionError"), ("CRITICAL", "a defect: IndexError"),
    ]  # fmt: skip
    assert "division by zero" in rows[0]["traceback"]
    assert done.returncode == 1
    assert done.stderr.decode().endswith("IndexError: list index out of range\n")


def test_a_log_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("no folder")
    with pytest.raises(SettingsError, match=r"cannot write the log .*one\.log: (File exists|Not a directory)"):
        begin_log("one", tmp_path / "logs" / "one.log")


def test_what_is_no_record_is_skipped(tmp_path: Path) -> None:
    row = {"time": "2026-01-01T00:00:00.000+00:00", "message": "m", "job": "abc"}
    other = {**row, "job": "abd", "message": "Task detect[" + "0" * 24 + "] received"}
    (tmp_path / "a.log").write_text(
        "\n".join(["abc printed", "{abc", json.dumps([1, "abc"]), json.dumps({**row, "time": "abc"}), json.dumps(row),
                   json.dumps(other), json.dumps({**row, "job": None, "message": "abc"}), json.dumps(row)[:-9]])
    )  # fmt: skip
    (tmp_path / "a.log.1").write_text(json.dumps({**row, "message": "older"}) + "\n")
    assert sorted(found["message"] for found in lines_about(tmp_path, "abc")) == ["m", "older"]
    assert [found["job"] for found in lines_about(tmp_path, "?", ["0" * 24])] == ["abd"]
    assert list(lines_about(tmp_path / "none", "abc")) == []
