"""``farm workers``: what is listed, and what people ask of a worker."""

import json
import re
from pathlib import Path

import pytest

from farm.cli.workers import worker_lines
from farm.database.models import Worker
from farm.jobs.context import open_context
from farm.jobs.workers import WorkerFacts
from farm.settings import load_settings
from tests.unit.cli.conftest import Run, the_line


@pytest.fixture
def worker(tmp_path: Path) -> str:
    """A worker that has reported."""
    context = open_context(load_settings(home=tmp_path / "home"))
    with context.database.write() as session:
        session.add(
            Worker(
                name="cuda:0@gpu1", incarnation="a", host="gpu1", device="cuda:0", pid=7, started_at=0.0, seen_at=0.0
            )
        )
    context.database.close()
    return "cuda:0@gpu1"


def test_without_workers(run: Run) -> None:
    assert run("workers").stdout.startswith("no worker has reported yet")
    assert json.loads(run("workers", "--json").stdout) == []


def test_block_and_unblock(run: Run, worker: str) -> None:
    assert run("workers", "block", worker, "--reason", "fan\nbroken").stdout == f"worker {worker} is blocked\n"
    (row,) = json.loads(run("workers", "--json").stdout)
    assert (row["name"], row["state"], row["held"], row["held_why"]) == (worker, "blocked", "block", "fan\nbroken")
    assert re.fullmatch(r".+@.+", row["held_by"])
    fields = run("workers").stdout.removesuffix("\n").split("\t")
    assert [fields[i] for i in (0, 1, 2, 3, -1)] == [worker, "blocked", "cuda:0", "gpu1", r"fan\nbroken"]
    assert run("workers", "drain", worker).stdout == f"worker {worker} gets no more chunks\n"
    assert json.loads(run("workers", "unblock", worker, "--json").stdout)["held"] is None
    assert json.loads(run("workers", "--json").stdout)[0]["state"] == "idle"


@pytest.mark.parametrize("verb", ["drain", "block", "unblock"])
def test_an_unknown_name(run: Run, worker: str, verb: str) -> None:
    line = the_line(run("workers", verb, "cuda:1@gpu1", code=2))
    assert line == f"error: no worker 'cuda:1@gpu1' (did you mean {worker}?)"


def test_the_table_of_a_terminal() -> None:
    facts = [
        WorkerFacts("cpu0@desk", "cpu0", "desk", 1, True, 0.0, "busy", 12.34, "abc", "detect", 3),
        WorkerFacts(
            "cpu1@desk", "cpu1", "desk", 1, True, 0.0, "blocked", None,
            held="block", held_by="ann@desk", held_at=0.0, held_why="hot",
        ),
    ]  # fmt: skip
    head, busy, blocked, why = worker_lines(facts, 100)
    assert head.split() == ["worker", "state", "frames/s", "last", "seen", "works", "on"]
    assert re.fullmatch(r"cpu0@desk  busy +12\.3  [-:\d ]{19}  detect, chunk 3 of job abc", busy)
    assert re.fullmatch(r"cpu1@desk  blocked +[-:\d ]{19}", blocked)
    assert re.fullmatch(r"  blocked by ann@desk, [-:\d ]+: hot", why)
    assert all(len(line) <= 50 for line in worker_lines(facts, 50))
