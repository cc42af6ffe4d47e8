"""What a coordinator that takes the lead makes of rows that contradict each other: no job waits for ever."""

from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import delete, update

from farm.coordinator.advance import advance, ready
from farm.coordinator.repair import repair
from farm.database.models import Attempt, Chunk, Job, Outgoing
from farm.domain.lifecycle import JobEvent
from farm.domain.manifest import Manifest
from farm.jobs.control import control
from farm.jobs.queries import job_events
from tests.integration.coordinator.conftest import Bench

pytestmark = pytest.mark.integration
AddJob = Callable[..., Manifest]


def change(bench: Bench, table: type[Job | Chunk | Attempt], *conditions: object, **values: object) -> None:
    with bench.context.database.write() as session:
        session.execute(update(table).where(*conditions).values(**values))  # type: ignore[arg-type]  # SQL expressions


def repaired(bench: Bench, *texts: str) -> None:
    """Repair, and check what is said of it; the next repair finds nothing."""
    lines = repair(bench.context)
    assert [line.removeprefix("job job: ") for line in lines] == list(texts)
    assert repair(bench.context) == []
    events = [text for _, text in job_events(bench.context, "job")]
    assert [text for text in events if text.startswith("repaired: ")] == [f"repaired: {text}" for text in texts]


def finish(bench: Bench) -> None:
    """Detect what is left: the job goes on to its next worker stage."""
    bench.hello(encoders=("libx264",))
    for _ in range(4):
        for order in bench.orders():
            assert order.stage in ("detect", "redact")
            if order.stage == "redact":
                return
            bench.detect(order)
        bench.clock.pass_(1)
        for job in ready(bench.context):
            advance(bench.context, job)
    pytest.fail(f"{bench.job().status}: {bench.job().reason}")


def test_nothing_is_repaired_in_healthy_jobs(bench: Bench, add_job: AddJob) -> None:
    add_job("one", output="1.mp4")
    add_job("two", output="2.mp4")
    assert repair(bench.context) == []
    bench.hello()
    bench.start(bench.orders()[0])
    assert repair(bench.context) == []
    control(bench.context, "one", JobEvent.PAUSE)
    control(bench.context, "two", JobEvent.CANCEL)
    assert repair(bench.context) == []


def test_a_job_whose_first_stage_never_began_begins(bench: Bench, add_job: AddJob) -> None:
    add_job()
    with bench.context.database.write() as session:
        session.execute(delete(Chunk))
    change(bench, Job, status="planning", open_chunks=0)
    repaired(bench, "its first stage had not begun")
    assert bench.job().open_chunks == 2
    finish(bench)


@pytest.mark.parametrize("lost", [1, 2])
def test_rows_that_are_missing_are_inserted(bench: Bench, add_job: AddJob, lost: int) -> None:
    add_job()
    with bench.context.database.write() as session:
        session.execute(delete(Chunk).where(Chunk.index >= 2 - lost))
    repaired(bench, f"{lost} chunk{'s' if lost > 1 else ''} of its stage had no row")
    finish(bench)


def test_a_chunk_that_is_handed_out_without_an_attempt_is_handed_out_again(bench: Bench, add_job: AddJob) -> None:
    add_job()
    change(bench, Chunk, Chunk.index == 0, status="leased")
    change(bench, Chunk, Chunk.index == 1, status="queued")
    text = "was handed out without an attempt"
    repaired(bench, f"detect, chunk 1 {text}", f"detect, chunk 2 {text}")
    finish(bench)


@pytest.mark.parametrize("count", [0, 1, 7, -1])
def test_a_wrong_count_of_open_chunks_is_corrected(bench: Bench, add_job: AddJob, count: int) -> None:
    """With too high a count a job waits for ever, with too low a one its stage ends too early."""
    add_job()
    change(bench, Job, open_chunks=count)
    repaired(bench, f"its count of open chunks was {count}, and is 2")
    finish(bench)


def test_open_attempts_of_a_job_that_is_over_are_closed(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=1)
    bench.hello()
    bench.start(bench.orders()[0])
    change(bench, Job, status="failed", finished_at=1.0, interrupted="detecting")
    repaired(
        bench,
        "attempt 1 of detect, chunk 1 was open, and nothing waited for it",
        "detect, chunk 1 was handed out without an attempt",
    )
    assert (bench.chunk().status, bench.chunk().attempts[0].status) == ("cancelled", "cancelled")
    control(bench.context, "job", JobEvent.RETRY)
    bench.clock.pass_(1)
    finish(bench)


def test_of_two_open_attempts_the_newest_stays(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=1)
    bench.hello()
    (order,) = bench.orders()
    with bench.context.database.write() as session:
        first = session.query(Attempt).one()
        session.add(
            Attempt(chunk_id=first.chunk_id, number=2, token="second", status="queued", worker="w0",
                    created_at=first.created_at, moved_at=first.moved_at, lease_until=first.lease_until)
        )  # fmt: skip
    repaired(bench, "attempt 1 of detect, chunk 1 was open, and nothing waited for it")
    assert [attempt.status for attempt in bench.chunk().attempts] == ["cancelled", "queued"]
    assert bench.start(order).stop  # its worker is told


@pytest.mark.parametrize("status", ["failed", "cancelled", "melted"])
def test_a_chunk_that_ended_in_a_job_that_goes_on_is_done_again(bench: Bench, add_job: AddJob, status: str) -> None:
    add_job()
    change(bench, Chunk, Chunk.index == 1, status=status)
    why = "had a status that this version does not know" if status == "melted" else "had ended in a job that goes on"
    repaired(bench, f"detect, chunk 2 {why}")
    finish(bench)


def test_a_chunk_that_is_done_without_an_artefact_is_done_again(bench: Bench, add_job: AddJob) -> None:
    add_job()
    change(bench, Chunk, Chunk.index == 0, status="done")
    repaired(bench, "detect, chunk 1 was done without an artefact")
    finish(bench)


def test_an_attempt_of_an_unknown_status_is_lost(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=1)
    bench.hello()
    bench.orders()
    change(bench, Attempt, status="melted")
    repaired(
        bench,
        'attempt 1 of detect, chunk 1 had the status "melted"',
        "detect, chunk 1 was handed out without an attempt",
    )
    finish(bench)


def test_a_job_in_an_unknown_status_fails_and_can_be_retried(bench: Bench, add_job: AddJob) -> None:
    add_job()
    change(bench, Job, status="melting")
    repaired(
        bench,
        'its status was "melting", which this version does not know',
        "the stage that it resumes at was missing",
    )
    job = bench.job()
    assert (job.status, job.interrupted) == ("failed", "detecting")
    assert job.reason == 'its status was "melting"; farm retry job resumes it'
    control(bench.context, "job", JobEvent.RETRY)
    finish(bench)


@pytest.mark.parametrize(("status", "event"), [("paused", JobEvent.RESUME), ("cancelled", JobEvent.RETRY)])
def test_an_interrupted_job_knows_where_it_resumes(bench: Bench, add_job: AddJob, status: str, event: JobEvent) -> None:
    add_job()
    change(bench, Job, status=status, interrupted=None, finished_at=None if status == "paused" else 1.0)
    repaired(bench, "the stage that it resumes at was missing")
    control(bench.context, "job", event)
    finish(bench)


def test_a_job_that_ended_at_no_time_gets_one(bench: Bench, add_job: AddJob) -> None:
    """Else it would be listed, and its artefacts kept, for ever."""
    add_job()
    change(bench, Job, status="done", open_chunks=0)
    repaired(bench, "the time of its end was missing")
    assert bench.job().finished_at == bench.clock()


def test_an_order_that_cannot_be_read_holds_up_nobody(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=1)
    bench.hello()
    with bench.context.database.write() as session:
        session.add(Outgoing(token="none", queue="somebody", body={"nonsense": 1}))
    assert repair(bench.context) == ["an order for somebody could not be read"]
    (order,) = bench.orders()
    with bench.context.database.write() as session:
        session.add(Outgoing(token=order.token, queue="w0", body={"nonsense": 1}))
    assert repair(bench.context) == ["an order for w0 could not be read"]
    assert (bench.chunk().status, bench.chunk().attempts[0].status) == ("pending", "lost")
    finish(bench)


def test_rows_that_cannot_be_inserted_fail_their_job_only(bench: Bench, add_job: AddJob) -> None:
    add_job()
    add_job("other", output="other.mp4")
    bench.hello(encoders=("libx264",))
    change(bench, Job, Job.id == "job", status="redacting", open_chunks=2)
    (line,) = repair(bench.context)
    assert line.startswith("job job: its rows contradict each other, and it failed: ")
    job = bench.job()
    assert (job.status, job.permanent) == ("failed", True)
    assert job.reason is not None
    assert job.reason.startswith("its record is damaged: ")
    assert job.reason.endswith("; submit the video again")
    assert repair(bench.context) == []
    assert {order.job for order in bench.orders()} == {"other"}


def test_without_its_plan_a_job_is_not_failed_here(bench: Bench, add_job: AddJob) -> None:
    """The store may be on a disk that is mounted a moment later."""
    add_job()
    store = bench.context.store.root  # type: ignore[attr-defined]  # a folder
    store.rename(store.with_name("away"))
    change(bench, Job, open_chunks=5)
    assert repair(bench.context) == ["job job: its count of open chunks was 5, and is 2"]
    store.with_name("away").rename(store)
    finish(bench)


def test_unfinished_outputs_of_jobs_that_have_ended_are_removed(bench: Bench, add_job: AddJob, tmp_path: Path) -> None:
    add_job("one", output="1.mp4")
    add_job("two", output="2.mp4")
    names = [f".blurfarm-{job}-0123.part" for job in ("one", "two", "elses")]
    for name in names:
        (tmp_path / name).write_bytes(b"half")
    (tmp_path / ".blurfarm-one-4567.part").mkdir()
    control(bench.context, "one", JobEvent.CANCEL)
    repair(bench.context)
    assert [path.name for path in sorted(tmp_path.glob(".blurfarm-*"))] == sorted(names[1:])
