"""``jobs.open_chunks`` is what a count would find, and a stage begins once, on SQLite and PostgreSQL alike."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import func, select

from farm.coordinator.advance import advance, ready
from farm.coordinator.dispatch import _queue, dispatch
from farm.coordinator.outcomes import accept
from farm.database.events import add_note
from farm.database.models import Attempt, Chunk, Event, Job
from farm.database.statuses import end_attempt, locked_job, move_chunk, move_job
from farm.domain.lifecycle import AttemptStatus, ChunkEvent, JobEvent
from farm.domain.manifest import Manifest
from farm.domain.stages import JobStatus, stage_at
from farm.jobs.beginning import begin_stage
from farm.jobs.control import control
from farm.jobs.queries import job_facts
from farm.messages import Artefact, GivenBack, Order
from farm.settings import Settings, load_settings
from tests.integration.coordinator.conftest import Bench
from tests.integration.coordinator.test_outcomes import fail

pytestmark = pytest.mark.integration
AddJob = Callable[..., Manifest]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    url = None if request.param == "sqlite" else request.getfixturevalue("fresh_postgres")
    return load_settings(home=tmp_path / "home", database_url=url)


def counted(bench: Bench) -> int:
    """Chunks of the current stage that are not done; the job's counter must say the same."""
    job = bench.job()
    stage = stage_at(JobStatus(job.interrupted or job.status))
    assert stage is not None
    with bench.context.database.read() as session:
        mine = (Chunk.job_id == job.id, Chunk.stage == stage.name)
        assert session.scalar(select(func.count()).where(*mine))
        left = session.scalar(select(func.count()).where(*mine, Chunk.status != "done"))
        elsewhere = (Chunk.job_id == job.id, Chunk.stage != stage.name, Chunk.status != "done")
        assert session.scalar(select(func.count()).where(*elsewhere)) == 0
    assert job.open_chunks == left
    return job.open_chunks


def test_the_counter_is_a_count_after_every_transition(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=4)
    assert counted(bench) == 4
    bench.hello()
    bench.hello("w1")
    first, second, third, fourth = bench.orders()
    assert counted(bench) == 4
    bench.detect(first)
    assert counted(bench) == 3
    bench.complete(first)
    bench.complete(first, "w1")
    assert counted(bench) == 3
    fail(bench, second.token, bench.worker_of(second))
    accept(bench.context, GivenBack(token=third.token, worker=bench.worker_of(third), reason="told to stop"))
    assert counted(bench) == 3
    control(bench.context, "job", JobEvent.PAUSE)
    bench.detect(fourth)
    assert counted(bench) == 2
    control(bench.context, "job", JobEvent.RESUME)
    assert counted(bench) == 2
    bench.clock.pass_(1)
    second, third = bench.orders()
    bench.detect(second)
    control(bench.context, "job", JobEvent.CANCEL)
    bench.complete(third)  # too late
    assert counted(bench) == 1
    control(bench.context, "job", JobEvent.RETRY)
    assert counted(bench) == 1
    (third,) = bench.orders()
    fail(bench, third.token, bench.worker_of(third), permanent=True)
    assert bench.job().status == "failed"
    assert counted(bench) == 1
    control(bench.context, "job", JobEvent.RETRY)
    bench.clock.pass_(1)
    (third,) = bench.orders()
    assert ready(bench.context) == []
    bench.detect(third)
    assert counted(bench) == 0
    assert ready(bench.context) == ["job"]


def test_a_stage_that_begins_sets_the_counter(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=3)
    bench.hello()
    bench.hello("w1")
    for order in bench.orders():
        bench.detect(order)
    advance(bench.context, "job")
    assert (bench.job().status, counted(bench)) == ("redacting", 3)
    assert [bench.chunk(i, "link").status for i in range(3)] == ["done"] * 3
    for order in bench.orders():
        bench.complete(order)
    assert ready(bench.context) == ["job"]
    advance(bench.context, "job")
    assert (bench.job().status, counted(bench)) == ("composing", 1)
    assert ready(bench.context) == []


def test_a_job_that_is_cancelled_while_it_is_linked_links_again_at_retry(
    bench: Bench, add_job: AddJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_job()
    bench.hello()
    for order in bench.orders():
        bench.detect(order)

    def cancelling(*_: object) -> tuple[list[Artefact], list[str]]:
        control(bench.context, "job", JobEvent.CANCEL)
        artefact = Artefact(key="none/at-all", size=1, sha256="0" * 64, frames=5)
        return [artefact, artefact], ["nobody wants to know"]

    with monkeypatch.context() as patch:
        patch.setattr("farm.coordinator.linking.run", cancelling)
        advance(bench.context, "job")
    assert (bench.job().status, bench.job().interrupted, counted(bench)) == ("cancelled", "linking", 2)
    assert job_facts(bench.context, "job").notes == ()
    assert ready(bench.context) == []
    control(bench.context, "job", JobEvent.RETRY)
    assert ready(bench.context) == ["job"]
    assert bench.orders() == []  # rows of the coordinator are not for workers
    advance(bench.context, "job")
    assert (bench.job().status, counted(bench)) == ("redacting", 2)
    facts = job_facts(bench.context, "job")
    assert (facts.notes, facts.faces, facts.frames_with_faces) == ((), 1, 10)


def test_two_coordinators_and_many_workers_begin_each_stage_once(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=8)
    for worker in "abcd":
        bench.hello(worker)
    orders = bench.orders()
    assert len(orders) == 8

    def work(order: Order) -> None:
        bench.detect(order)
        bench.complete(order)

    def coordinate() -> None:
        until = time.monotonic() + 60
        while bench.job().status in ("detecting", "linking", "reviewing"):
            assert time.monotonic() < until
            for job in ready(bench.context):
                advance(bench.context, job)

    with ThreadPoolExecutor(10) as pool:
        running = [pool.submit(coordinate) for _ in range(2)] + [pool.submit(work, order) for order in orders]
        for each in running:
            each.result()
    assert counted(bench) == 8
    with bench.context.database.read() as session:
        assert session.scalar(select(func.count()).where(Chunk.job_id == "job", Chunk.stage == "redact")) == 8
        texts = list(session.scalars(select(Event.text).order_by(Event.id)))
    for step in ("planning → detecting", "detecting → linking", "linking → reviewing", "reviewing → redacting"):
        assert texts.count(step) == 1
    facts = job_facts(bench.context, "job")
    assert (facts.notes, facts.faces, facts.frames_with_faces) == ((), 1, 40)


def test_a_cancel_and_a_completion_do_not_wait_for_each_other(bench: Bench, add_job: AddJob) -> None:
    add_job()
    bench.hello()
    bench.start(bench.orders()[0])
    with ThreadPoolExecutor(1) as pool:
        with bench.context.database.write() as session:
            attempt = session.scalars(select(Attempt).where(Attempt.status == "leased")).one()
            assert end_attempt(session, attempt, AttemptStatus.DONE, 0.0)
            cancel = pool.submit(control, bench.context, "job", JobEvent.CANCEL)
            threading.Event().wait(0.3)  # by now it waits for a lock
            assert not cancel.done()
            assert move_chunk(session, attempt.chunk, ChunkEvent.COMPLETE, 1.0, artefact={})
        cancel.result(30)
    assert [bench.chunk(i).status for i in (0, 1)] == ["done", "cancelled"]
    assert counted(bench) == 1


def test_the_same_note_at_once_is_one_note(bench: Bench, add_job: AddJob) -> None:
    add_job()

    def note(_: int) -> bool:
        with bench.context.database.write() as session:
            return add_note(session, "job", "stream 2 was left out")

    with ThreadPoolExecutor(6) as pool:
        assert sorted(pool.map(note, range(6))) == [False] * 5 + [True]
    assert job_facts(bench.context, "job").notes == ("stream 2 was left out",)


@pytest.mark.parametrize("event", [JobEvent.CANCEL, JobEvent.PAUSE])
def test_what_a_person_asks_while_a_stage_begins_is_done_to_the_next_stage(
    bench: Bench, add_job: AddJob, event: JobEvent
) -> None:
    manifest = add_job()
    bench.hello()
    for order in bench.orders():
        bench.detect(order)
    with ThreadPoolExecutor(1) as pool:
        with bench.context.database.write() as session:
            assert begin_stage(session, bench.context.store, session.get_one(Job, "job"), manifest, 0.0)
            asked = pool.submit(control, bench.context, "job", event)
            threading.Event().wait(0.3)  # by now it waits for a lock
            assert not asked.done()
        asked.result(30)
    status = "paused" if event is JobEvent.PAUSE else "cancelled"
    assert (bench.job().status, bench.job().interrupted, counted(bench)) == (status, "linking", 2)
    assert {bench.chunk(i, "link").status for i in (0, 1)} == {"pending" if status == "paused" else "cancelled"}


@pytest.mark.parametrize("event", [JobEvent.CANCEL, JobEvent.PAUSE])
def test_no_order_leaves_after_what_a_person_asked(bench: Bench, add_job: AddJob, event: JobEvent) -> None:
    add_job()
    bench.hello()
    with ThreadPoolExecutor(1) as pool:
        with bench.context.database.write() as session:
            job = locked_job(session, "job")
            assigning = pool.submit(dispatch, bench.context)
            threading.Event().wait(0.3)  # by now it waits for a lock
            move_job(session, job, event, 0.0)
        assigning.result(30)
    with bench.context.database.read() as session:
        assert session.scalars(select(Attempt.status)).all() == []


def test_a_cancel_while_chunks_are_assigned_takes_their_orders_back(bench: Bench, add_job: AddJob) -> None:
    add_job()
    bench.hello()
    with ThreadPoolExecutor(1) as pool:
        with bench.context.database.write() as session:
            chunk = session.scalars(select(Chunk).order_by(Chunk.id).limit(1)).one()
            _queue(session, bench.context, chunk, "w0", bench.clock())
            session.flush()
            cancel = pool.submit(control, bench.context, "job", JobEvent.CANCEL)
            threading.Event().wait(0.3)  # by now it waits for a lock
            assert not cancel.done()
        cancel.result(30)
    assert [a.status for a in bench.chunk().attempts] == ["cancelled"]
