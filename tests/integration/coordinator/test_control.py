"""What people do with a job, at any moment: cancel, pause, resume, retry."""

from collections.abc import Callable
from pathlib import Path

import pytest

from farm.database.models import Attempt, Chunk, Job
from farm.domain.lifecycle import JobEvent
from farm.domain.manifest import Manifest
from farm.errors import IllegalTransition, NotFound, SourceError
from farm.jobs.control import control
from farm.jobs.queries import find_job, job_facts
from farm.messages import Order
from tests.integration.coordinator.conftest import Bench
from tests.integration.coordinator.test_outcomes import fail
from tests.integration.coordinator.test_stages import detected, redacted, step, write_output

AddJob = Callable[..., Manifest]


def test_cancel_takes_everything_back_and_retry_goes_on(bench: Bench, add_job: AddJob) -> None:
    add_job()
    bench.hello()
    orders = bench.orders()
    bench.detect(orders[0])
    bench.start(orders[1])
    control(bench.context, "job", JobEvent.CANCEL)
    bench.complete(orders[1])
    assert [bench.chunk(i).status for i in (0, 1)] == ["done", "cancelled"]
    assert bench.orders() == []
    control(bench.context, "jo", JobEvent.RETRY)
    assert [o.chunk for o in bench.orders()] == [1]


def test_pause_hands_out_no_more_and_resume_goes_on(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=3)
    bench.hello()
    orders = bench.orders()
    control(bench.context, "job", JobEvent.PAUSE)
    for order in orders:
        bench.detect(order)
    assert bench.orders() == []
    step(bench)
    assert bench.job().status == "paused"
    control(bench.context, "job", JobEvent.RESUME)
    assert [o.chunk for o in bench.orders()] == [2]


def test_retry_forgets_failures(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=1)
    bench.hello()
    fail(bench, bench.orders()[0].token, permanent=True)
    control(bench.context, "job", JobEvent.RETRY)
    bench.clock.pass_(1)
    fail(bench, bench.orders()[0].token)
    assert bench.job().status == "detecting"


def test_failures_before_a_retry_are_not_told_after_it(bench: Bench, add_job: AddJob) -> None:
    """Of whichever chunk: those that were done by then are not of this run either."""
    add_job()
    bench.hello()
    first, second = bench.orders()
    fail(bench, first.token)
    bench.clock.pass_(1)
    (again,) = bench.orders()
    bench.detect(again)
    fail(bench, second.token, permanent=True)
    assert job_facts(bench.context, "job").failures == 2
    control(bench.context, "job", JobEvent.RETRY)
    assert job_facts(bench.context, "job").failures == 0
    bench.clock.pass_(1)
    fail(bench, bench.orders()[0].token)
    assert job_facts(bench.context, "job").failures == 1


def test_what_cannot_be_done_is_said(bench: Bench, add_job: AddJob) -> None:
    add_job()
    with pytest.raises(IllegalTransition, match="cannot resume a job that is detecting"):
        control(bench.context, "job", JobEvent.RESUME)
    with pytest.raises(NotFound, match="no job 'x'"):
        control(bench.context, "x", JobEvent.CANCEL)


def test_a_pause_while_the_output_is_published_keeps_what_resume_needs(
    bench: Bench, add_job: AddJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    detected(bench, add_job)
    order = redacted(bench)
    output = write_output(bench, order)
    bench.complete(order, artefact=output)

    def pause(*_: object) -> None:
        control(bench.context, "job", JobEvent.PAUSE)

    with monkeypatch.context() as patch:
        patch.setattr("farm.coordinator.advance.publish_output", pause)
        step(bench)
    assert bench.job().status == "paused"
    assert bench.context.store.exists(output.key)
    control(bench.context, "job", JobEvent.RESUME)
    step(bench)
    assert (bench.job().status, bench.context.store.exists(output.key)) == ("done", False)


def test_an_output_that_is_damaged_before_it_is_published_is_made_again(bench: Bench, add_job: AddJob) -> None:
    detected(bench, add_job)
    order = redacted(bench)
    bench.complete(order, artefact=write_output(bench, order))
    stored = bench.context.settings.store_root / (bench.chunk(0, "compose").artefact or {})["key"]
    stored.write_bytes(b"the vide0")
    step(bench)
    assert (bench.job().status, bench.chunk(0, "compose").artefact) == ("composing", None)
    assert not Path(bench.job().output).exists()
    assert not stored.exists()
    (again,) = bench.orders()
    bench.complete(again, artefact=write_output(bench, again))
    step(bench)
    assert bench.job().status == "done"


def composing(bench: Bench, add_job: AddJob) -> None:
    """A job whose segments are in the store, and whose last stage waits for a worker."""
    detected(bench, add_job)
    step(bench)
    redact(bench)
    step(bench)
    assert bench.job().status == "composing"


def at_compose(bench: Bench, add_job: AddJob) -> Order:
    """As :func:`composing`; returns the order of the last stage."""
    composing(bench, add_job)
    (order,) = bench.orders()
    return order


def redact(bench: Bench) -> list[Order]:
    orders = bench.orders()
    for order in orders:
        bench.start(order)
        bench.complete(order, artefact=bench.made(order, b"a segment"))
    return orders


def finish(bench: Bench) -> list[tuple[str, int]]:
    """Work on the job until it is over; returns what was done, as stage and chunk."""
    done = []
    for _ in range(6):
        if bench.job().status == "detecting":
            for order in bench.orders():
                bench.detect(order)
                done.append(("detect", order.chunk))
        elif bench.job().status == "redacting":
            done += [("redact", order.chunk) for order in redact(bench)]
        elif bench.job().status == "composing":
            (order,) = bench.orders()
            bench.complete(order, artefact=write_output(bench, order))
            done.append(("compose", 0))
        step(bench)
    assert bench.job().status == "done", bench.job().reason
    return done


COMPOSE = ("compose", 0)


@pytest.mark.parametrize(
    ("gone", "done"),
    [
        ([], [COMPOSE]),
        (["detect 0"], [COMPOSE]),  # it has served
        (["detect 0", "link 0", "edit 0"], [COMPOSE]),
        (["redact 1"], [("redact", 1), COMPOSE]),
        (["redact 0", "edit 1"], [("redact", 0), COMPOSE]),
        (["redact 0", "edit 0"], [("redact", 0), COMPOSE]),  # the masks are as they were, and so is the other segment
        (["redact 0", "edit 0", "link 0"], [("redact", 0), COMPOSE]),
        (["redact 0", "edit 0", "link 0", "detect 1"], [("detect", 1), ("redact", 0), COMPOSE]),
        (["redact", "edit", "link", "detect"], [(s, n) for s in ("detect", "redact") for n in (0, 1)] + [COMPOSE]),
    ],
    ids=str,
)
def test_retry_makes_again_what_is_gone_and_needed(
    bench: Bench, add_job: AddJob, gone: list[str], done: list[tuple[str, int]]
) -> None:
    at_compose(bench, add_job)
    control(bench.context, "job", JobEvent.CANCEL)
    for name in gone:
        stage, _, index = name.partition(" ")
        for number in (index,) if index else (0, 1):
            bench.context.store.delete((bench.chunk(int(number), stage).artefact or {})["key"])
    control(bench.context, "job", JobEvent.RETRY)
    assert finish(bench) == done
    with bench.context.database.read() as session:
        assert session.query(Attempt).filter(Attempt.cause.is_not(None)).count() == 0


def test_retry_without_the_plan_and_without_the_source_is_one_line(bench: Bench, add_job: AddJob) -> None:
    add_job()
    control(bench.context, "job", JobEvent.CANCEL)
    bench.context.store.delete(bench.job().plan)
    Path(bench.job().source).unlink()
    with pytest.raises(SourceError, match=r"in\.mp4"):
        control(bench.context, "job", JobEvent.RETRY)
    assert bench.job().status == "cancelled"


def test_retry_without_its_source(bench: Bench, add_job: AddJob) -> None:
    order = at_compose(bench, add_job)
    control(bench.context, "job", JobEvent.CANCEL)
    Path(bench.job().source).unlink()
    with pytest.raises(SourceError, match=r"in\.mp4: No such file"):
        control(bench.context, "job", JobEvent.RETRY)
    assert (bench.job().status, bench.job().interrupted) == ("cancelled", "composing")
    with bench.context.database.write() as session:  # as if the output had been made before
        artefact = write_output(bench, order).model_dump(mode="json")
        session.query(Chunk).filter_by(stage="compose").update({"status": "done", "artefact": artefact})
        session.query(Job).update({"open_chunks": 0})
    control(bench.context, "job", JobEvent.RETRY)
    step(bench)
    assert bench.job().status == "done"


@pytest.mark.parametrize(
    ("status", "says"),
    [("done", "job job is done (to redo it, submit the video again with --overwrite)"),
     ("detecting", "job job has not failed: it is detecting (follow it: farm watch job)"),
     ("paused", "job job has not failed: it is paused (farm resume job)")],
)  # fmt: skip
def test_a_job_that_has_not_failed_is_not_retried(bench: Bench, add_job: AddJob, status: str, says: str) -> None:
    add_job()
    if status == "paused":
        control(bench.context, "job", JobEvent.PAUSE)
    with bench.context.database.write() as session:
        session.query(Job).update({"status": status})
    with pytest.raises(IllegalTransition) as refused:
        control(bench.context, "job", JobEvent.RETRY)
    assert str(refused.value) == says


def test_the_jobs_that_an_id_may_mean_are_listed(bench: Bench, add_job: AddJob) -> None:
    for number in range(7):
        add_job(f"job{number}", output=f"{number}.mp4")
    add_job("job")
    with bench.context.database.read() as session:
        assert find_job(session, "job").id == "job"
        assert find_job(session, "job3").id == "job3"
        with pytest.raises(NotFound, match="begins with 'jo': job, job0, job1, job2, job3, …"):
            find_job(session, "jo")
        with pytest.raises(NotFound, match="no job ''"):
            find_job(session, "")
