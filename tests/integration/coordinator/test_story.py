"""``farm logs``: what happened to a job or a chunk, from the database and the logs of this host."""

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from farm.cli.logs import story_lines
from farm.domain.manifest import Manifest
from farm.errors import NotFound
from farm.jobs.story import story
from farm.messages import Order
from tests.integration.coordinator.conftest import Bench
from tests.integration.coordinator.test_outcomes import fail
from tests.integration.coordinator.test_stages import step

AddJob = Callable[..., Manifest]


def logged(bench: Bench, message: str, order: Order | None = None, **more: object) -> None:
    """A record of a worker's child, now."""
    about = {} if order is None else {"job": order.job, "stage": order.stage, "chunk": order.chunk + 1}
    about |= {} if order is None else {"attempt": order.token}
    time = datetime.fromtimestamp(bench.clock.now, UTC).isoformat(timespec="milliseconds")
    row = {"time": time, "level": "INFO", "process": "worker child", "worker": "w0", "message": message, **about}
    bench.context.settings.logs.mkdir(exist_ok=True)
    with (bench.context.settings.logs / "worker-cpu0.log").open("a") as log:
        log.write(json.dumps(row | more) + "\nprinted by a library\n")


@pytest.fixture
def failed_once(bench: Bench, add_job: AddJob) -> Bench:
    """A job of two chunks, the first of which failed once."""
    add_job(chunks=2)
    bench.hello()
    first, second = bench.orders()
    bench.start(first)
    bench.clock.pass_(1)
    logged(bench, "no\nsuch picture", first, level="ERROR", traceback="Traceback:\n  a\x1b line")
    logged(bench, "of the other chunk", second)
    logged(bench, f"Task detect[{first.token}] received")
    logged(bench, "about no job")
    bench.clock.pass_(1)
    fail(bench, first.token)
    bench.detect(second)
    bench.clock.pass_(1)
    bench.detect(bench.orders()[0])
    step(bench)
    return bench


def test_a_chunk_attempt_by_attempt(failed_once: Bench) -> None:
    entries = story(failed_once.context, "jo", 1)
    assert [e.at for e in entries] == sorted(e.at for e in entries)
    assert {e.chunk for e in entries} == {1}
    texts = [line.split("  ", 1)[1] for line in story_lines(entries)]
    reason = next(e.text for e in entries if e.after == "failed")
    assert texts == [
        "detect chunk 1: chunk pending → queued: for w0",
        "detect chunk 1 attempt 1 on w0: queued",
        "detect chunk 1 attempt 1 on w0: queued → leased",
        "detect chunk 1 attempt 1 on w0: chunk queued → leased",
        r"detect chunk 1 attempt 1 on w0: [worker child, error]: no\nsuch picture",
        "  Traceback:",
        r"    a\x1b line",
        next(t for t in texts if "Task detect[" in t),
        f"detect chunk 1 attempt 1 on w0: leased → failed: {reason}",
        f"detect chunk 1 attempt 1 on w0: chunk leased → pending: {reason}",
        "detect chunk 1: chunk pending → queued: for w0",
        "detect chunk 1 attempt 2 on w0: queued",
        "detect chunk 1 attempt 2 on w0: queued → leased",
        "detect chunk 1 attempt 2 on w0: chunk queued → leased",
        "detect chunk 1 attempt 2 on w0: leased → done",
        "detect chunk 1 attempt 2 on w0: chunk leased → done",
        "link chunk 1: chunk pending → done",
        "edit chunk 1: chunk pending → done",
    ]


def test_a_whole_job(failed_once: Bench) -> None:
    entries = story(failed_once.context, "job")
    texts = list(story_lines(entries))
    assert sum("[worker child" in text for text in texts) == 3
    assert not any("about no job" in text for text in texts)
    moves = [f"{e.before} → {e.after}" for e in entries if e.kind == "job"]
    assert moves == [
        "planning → detecting", "detecting → linking", "linking → reviewing", "reviewing → redacting",
    ]  # fmt: skip
    assert {e.chunk for e in entries} == {None, 1, 2}
    (row,) = [e.row() for e in entries if e.traceback]
    assert (row["stage"], row["chunk"], row["attempt"], row["kind"]) == ("detect", 1, 1, "error")
    json.dumps([e.row() for e in entries])


def test_what_there_is_not(failed_once: Bench) -> None:
    for number in (0, -1, 3):
        with pytest.raises(NotFound, match=f"job job has no chunk {number} .they are counted from 1 to 2"):
            story(failed_once.context, "job", number)
    with pytest.raises(NotFound, match="no job 'x'"):
        story(failed_once.context, "x")
