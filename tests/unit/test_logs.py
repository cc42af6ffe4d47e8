"""Logs of the farm and its workers: a record is one line, whatever names and metadata its message quotes."""

import subprocess
import sys
from pathlib import Path

LOGGED = r"""
import logging, sys
from pathlib import Path
from farm.processes import begin_log
begin_log(Path(sys.argv[1]) if sys.argv[1:] else None)
name = "a\n2026-01-01 00:00:00,000 INFO farm: forged\x1b[2J\udcff.mp4"
logging.getLogger("one").info("opened %s", name)
try:
    raise ValueError(name)
except ValueError:
    logging.getLogger("two").exception("a defect in %s", name)
"""


def lines_of(*words: object) -> tuple[str, ...]:
    command = [sys.executable, "-c", LOGGED, *map(str, words)]
    done = subprocess.run(command, capture_output=True, timeout=60, check=True)
    assert done.stdout == b""
    return tuple(done.stderr.decode().splitlines())


def check(lines: tuple[str, ...]) -> None:
    first, second, *traceback = lines
    assert r"INFO one: opened a\n2026-01-01" in first
    assert r"forged\x1b[2J\xff.mp4" in first
    assert r"ERROR two: a defect in a\n2026" in second
    assert traceback[0] == "  Traceback (most recent call last):"
    assert all(line.startswith("  ") and line.isprintable() for line in traceback)


def test_a_message_cannot_forge_a_line_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "one.log"
    assert lines_of(log) == ()
    check(tuple(log.read_text().splitlines()))


def test_a_message_cannot_forge_a_line_of_standard_error() -> None:
    check(lines_of())
