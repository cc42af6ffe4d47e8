"""Tables fit the terminal, and in a pipe a job is a line."""

import time
from typing import Any

import pytest
from rich.cells import cell_len

from farm.cli.tables import Row, cut, job_details, job_lines, middle, result_lines, row_of
from farm.jobs.queries import JobFacts
from farm.jobs.stage_facts import StageFacts
from tests.unit.cli.conftest import facts_of

EVIL = "/v/evil\x1b]0;owned\x07\nname\t\u202e東京.mp4"
LONG = "/srv/recordings/2026/entrance hall/camera three/morning-of-the-second-of-march.mp4"


@pytest.fixture(autouse=True)
def _in_new_york(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def job(**more: Any) -> JobFacts:
    stages = (StageFacts("detect", 1, 0, 0, 50, 40, {}), StageFacts("redact", 1, 0, 0, 50, 10, {}))
    row = {"id": "0123abcd", "status": "redacting", "source": EVIL, "output": LONG, "created_at": 1772463600.0,
           "finished_at": None, "notes": ("one\ntwo",), "stages": stages}  # fmt: skip
    return facts_of(**{**row, **more})


@pytest.mark.parametrize("text", [LONG, EVIL, "会議の録画" * 20, "short", ""])
@pytest.mark.parametrize("width", [1, 2, 7, 20, 33])
def test_what_is_left_out_is_the_middle(text: str, width: int) -> None:
    for fitted in (middle(text, width), cut(text, width)):
        assert cell_len(fitted) <= width
        assert fitted.isprintable()
    assert middle(LONG, 30) == "/srv/reco…-second-of-march.mp4"
    assert middle("short", 33) == "short"


@pytest.mark.parametrize("width", [40, 80, 100, 140])
def test_a_list_fits_the_terminal(width: int) -> None:
    lines = list(job_lines([job(), job(source=LONG)], width))
    assert len(lines) == (5 if width == 40 else 3)
    assert all(cell_len(line) <= width and line.isprintable() for line in lines)
    assert lines[0].startswith("job       status      done  submitted")
    when = "03-02 10:00" if width == 40 else "2026-03-02 10:00"
    assert lines[1].startswith(f"0123abcd  redacting   50 %  {when}")
    assert lines[-1].endswith("arch.mp4")
    assert ("output" in lines[0]) == (width == 140)


def test_in_a_pipe_a_job_is_a_line_with_whole_paths() -> None:
    evil, long = job_lines([job(), job(source=LONG, status="done")], None)
    where = r"/v/evil\x1b]0;owned\x07\nname\t\u202e東京.mp4"
    assert evil.split("\t") == ["0123abcd", "redacting", "50", "2026-03-02T10:00:00-05:00", "50", where, LONG]
    assert long.split("\t")[2] == "100"


def test_one_job_is_shown_in_full() -> None:
    lines = list(job_details(job(status="failed", reason="no\nspace", finished_at=1772463660.0)))
    assert all(line.isprintable() for line in lines)
    assert "  submitted: 2026-03-02 10:00" in lines
    assert "  ended:     2026-03-02 10:01" in lines
    assert f"  output:    {LONG}" in lines
    assert r"  reason:    no\nspace" in lines
    assert r"  one\ntwo" in lines


ROWS = [
    Row("bad.mp4", "failed", line="is no video", kind="x"),
    row_of("a.mp4", job(status="done", faces=39, notes=("kept", LONG))),
    Row(LONG, "failed", line="bad\x1b[2J news " * 9, kind="y"),
    row_of(EVIL, job(status="done", faces=0)),
    Row("worse.mp4", "failed", line="is no video", kind="x"),
]


@pytest.mark.parametrize("width", [40, 80])
def test_failed_videos_come_last_with_their_line(width: int) -> None:
    lines = list(result_lines(ROWS, width))
    assert all(cell_len(line) <= width and line.isprintable() for line in lines)
    text = "\n".join(lines)
    order = [
        text.index(word) for word in ("file ", "a.mp4 ", "none", "bad.mp4", "worse.mp4", "is no video", "march.mp4")
    ]
    assert order == sorted(order)
    assert text.count("is no video") == 1  # two videos, one line
    assert text.count("news") == 9  # a line is wrapped, never cut
    assert "done          39" in text


def test_results_in_a_pipe_are_a_line_each() -> None:
    rows = [line.split("\t") for line in result_lines(ROWS, None)]
    assert [row[:3] for row in rows] == [
        ["a.mp4", "done", "39"],
        [r"/v/evil\x1b]0;owned\x07\nname\t\u202e東京.mp4", "done", "none"],
        ["bad.mp4", "failed", ""],
        ["worse.mp4", "failed", ""],
        [LONG, "failed", ""],
    ]
    assert rows[0][3] == f"kept; {LONG}"
    assert rows[3][3] == "is no video"
