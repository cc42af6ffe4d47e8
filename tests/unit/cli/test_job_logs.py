"""``farm logs``: what it prints, and what it refuses."""

import json
from pathlib import Path

import pytest

from farm.database.models import Chunk, Job
from farm.database.statuses import move_chunk
from farm.domain.lifecycle import ChunkEvent
from farm.jobs.context import open_context
from farm.settings import load_settings
from tests.unit.cli.conftest import Run, the_line


@pytest.fixture
def job(tmp_path: Path) -> str:
    """A job of two chunks; the second one was handed out."""
    context = open_context(load_settings(home=tmp_path / "home"))
    with context.database.write() as session:
        session.add(
            Job(id="abc1", fingerprint="", status="detecting", source="a", output="b", container="", options={},
                plan="", model_sha256="", frames=2, seconds=1.0, created_at=1.0)
        )  # fmt: skip
        session.flush()
        chunks = [Chunk(job_id="abc1", stage="detect", index=i, frames=1, fingerprint="") for i in (0, 1)]
        session.add_all(chunks)
        session.flush()
        move_chunk(session, chunks[1], ChunkEvent.DISPATCH, 1.0, reason="for\nw0")
    context.database.close()
    return "abc1"


def test_a_job_and_a_chunk(run: Run, job: str) -> None:
    (line,) = run("logs", "abc").stdout.splitlines()
    assert line.endswith(r".000  detect chunk 2: chunk pending → queued: for\nw0")
    assert run("logs", job, "2").stdout.splitlines() == [line]
    assert run("logs", job, "1").stdout == ""
    (row,) = json.loads(run("logs", job, "2", "--json").stdout)
    assert (row["at"], row["chunk"], row["after"]) == ("1970-01-01T00:00:01.000+00:00", 2, "queued")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["x"], "error: no job 'x' (`farm list` shows all jobs)"),
        (["abc", "3"], "error: job abc1 has no chunk 3 (they are counted from 1 to 2)"),
        (["abc", "x"], "error: [CHUNK]: not valid; use a whole number"),
    ],
)
def test_what_there_is_not(run: Run, job: str, words: list[str], says: str) -> None:
    assert the_line(run("logs", *words, code=2)) == says
