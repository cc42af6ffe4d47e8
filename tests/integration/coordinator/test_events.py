"""Every change of a status is an event, with its reason, in the transaction that changes it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import event, func, select

from farm.coordinator.advance import advance
from farm.coordinator.outcomes import accept
from farm.database.events import record_event
from farm.database.models import Event, Job
from farm.domain.lifecycle import JobEvent
from farm.domain.manifest import Manifest
from farm.jobs.control import control
from farm.jobs.queries import job_events
from farm.jobs.retention import clean
from farm.messages import GivenBack, Goodbye
from tests.integration.coordinator.conftest import Bench
from tests.integration.coordinator.test_outcomes import fail

AddJob = Callable[..., Manifest]


def events(bench: Bench, **where: Any) -> list[Event]:
    with bench.context.database.read() as session:
        return session.query(Event).filter_by(**where).order_by(Event.id).all()


def story(bench: Bench, chunk: int = 0, stage: str = "detect") -> list[tuple[object, ...]]:
    rows = events(bench, job_id="job", stage=stage, chunk=chunk)
    return [(e.kind, e.attempt, e.before, e.after, e.text) for e in rows]


def test_a_chunk_that_fails_and_is_given_back_and_done(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=1)
    bench.hello()
    (order,) = bench.orders()
    bench.start(order)
    fail(bench, order.token)
    bench.clock.pass_(1)
    (order,) = bench.orders()
    bench.start(order)
    accept(bench.context, GivenBack(token=order.token, worker="w0", reason="told to"))
    bench.clock.pass_(1)
    (order,) = bench.orders()
    bench.detect(order)
    bench.complete(order)  # once more
    (reason,) = {e.text for e in events(bench, kind="attempt", after="failed")}
    assert reason
    assert story(bench) == [
        ("chunk", None, "pending", "queued", "for w0"),
        ("attempt", 1, None, "queued", ""),
        ("attempt", 1, "queued", "leased", ""),
        ("chunk", 1, "queued", "leased", ""),
        ("attempt", 1, "leased", "failed", reason),
        ("chunk", 1, "leased", "pending", reason),
        ("chunk", None, "pending", "queued", "for w0"),
        ("attempt", 2, None, "queued", ""),
        ("attempt", 2, "queued", "leased", ""),
        ("chunk", 2, "queued", "leased", ""),
        ("attempt", 2, "leased", "given_back", "told to"),
        ("chunk", 2, "leased", "pending", "told to"),
        ("chunk", None, "pending", "queued", "for w0"),
        ("attempt", 3, None, "queued", ""),
        ("attempt", 3, "queued", "leased", ""),
        ("chunk", 3, "queued", "leased", ""),
        ("attempt", 3, "leased", "done", ""),
        ("chunk", 3, "leased", "done", ""),
    ]
    assert {e.worker for e in events(bench, kind="attempt")} == {"w0"}
    assert [text for _, text in job_events(bench.context, "job")] == [
        "planning → detecting",
        f"detect, chunk 1, attempt 1 on w0: {reason}",
    ]


def test_each_change_follows_the_one_before(bench: Bench, add_job: AddJob) -> None:
    """Cancelled and retried, and linked by the coordinator: the events of a thing lead to the status that it has."""
    add_job(chunks=3)
    bench.hello()
    first, second = bench.orders()
    bench.start(first)
    control(bench.context, "job", JobEvent.CANCEL)
    bench.complete(second)
    control(bench.context, "job", JobEvent.RETRY)
    for _ in range(2):
        for order in bench.orders():
            bench.detect(order)
    advance(bench.context, "job")
    assert bench.job().status == "redacting"
    for stage in ("detect", "link"):
        for index in range(3):
            chunk = bench.chunk(index, stage)
            moves = [(e.before, e.after) for e in events(bench, kind="chunk", stage=stage, chunk=index)]
            assert [b for b, _ in moves] == ["pending", *(a for _, a in moves[:-1])]
            assert moves[-1][1] == chunk.status == "done"
            for attempt in chunk.attempts:
                mine = events(bench, kind="attempt", stage=stage, chunk=index, attempt=attempt.number)
                assert [e.before for e in mine] == [None, *(e.after for e in mine[:-1])]
                assert mine[-1].after == attempt.status
    moves = [(e.before, e.after) for e in events(bench, kind="job", job_id="job")]
    assert [b for b, _ in moves] == ["planning", *(a for _, a in moves[:-1])]
    cancelled = events(bench, after="cancelled")
    assert {e.kind for e in cancelled} == {"job", "chunk", "attempt"}
    assert {e.text for e in cancelled if e.kind != "job"} == {"the job is cancelled"}


def test_a_worker_comes_goes_and_comes_back(bench: Bench) -> None:
    bench.hello(incarnation="a/1")
    bench.hello(incarnation="a/1")
    bench.hello(incarnation="a/2")
    accept(bench.context, Goodbye(worker="w0", incarnation="a/2"))
    bench.hello(incarnation="a/2")
    assert [(e.before, e.after, e.text) for e in events(bench, kind="worker", worker="w0")] == [
        ("gone", "alive", "worker w0 is up (cpu0, pid 1)"),
        ("alive", "gone", "worker w0 restarted"),
        ("gone", "alive", "worker w0 is up (cpu0, pid 1)"),
        ("alive", "gone", "worker w0 stopped"),
        ("gone", "alive", "worker w0 is heard again (cpu0, pid 1)"),
    ]


def test_a_transaction_that_is_rolled_back_leaves_no_event(bench: Bench) -> None:
    class Undone(Exception):
        pass

    def undone() -> None:
        with bench.context.database.write() as session:
            record_event(session, 1.0, "never")
            raise Undone

    with pytest.raises(Undone):
        undone()
    with bench.context.database.write() as session:
        record_event(session, 1.0, "once")
    assert [e.text for e in events(bench)] == ["once"]


@contextmanager
def counting(bench: Bench) -> Iterator[list[str]]:
    """The statements that are executed meanwhile."""
    seen: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(bench.context.database.engine, "before_cursor_execute", note)
    yield seen
    event.remove(bench.context.database.engine, "before_cursor_execute", note)


def per_chunk(bench: Bench, add_job: AddJob, chunks: int) -> tuple[float, float, float]:
    """Statements, those of them that insert events, and events for each chunk of a job that is detected."""
    job = f"job{chunks}"
    add_job(job, chunks, output=f"{chunks}.mp4")
    with counting(bench) as seen:
        while orders := bench.orders():
            for order in orders:
                bench.detect(order)
    with bench.context.database.read() as session:
        rows = session.scalar(select(func.count()).where(Event.job_id == job, Event.chunk.is_not(None)))
    inserts = sum("INSERT INTO events" in statement for statement in seen)
    return len(seen) / chunks, inserts / chunks, (rows or 0) / chunks


def test_what_events_cost_does_not_grow(bench: Bench, add_job: AddJob) -> None:
    for number in range(5):
        bench.hello(f"w{number}")
    few, many = per_chunk(bench, add_job, 10), per_chunk(bench, add_job, 100)
    assert many[0] <= few[0]
    assert many[1] == pytest.approx(2.1)  # a started, a completed, and a tenth of a dispatch
    assert many[2] == few[2] == 6


def test_the_events_of_a_forgotten_job_are_forgotten(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=1)
    bench.hello()
    bench.detect(bench.orders()[0])
    control(bench.context, "job", JobEvent.CANCEL)
    assert events(bench, job_id="job")
    bench.clock.pass_(100 * 86400)
    clean(bench.context, 0)
    with bench.context.database.read() as session:
        assert session.query(Job).count() == session.query(Event).count() == 0
