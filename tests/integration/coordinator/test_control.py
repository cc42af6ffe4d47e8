"""What people do with a job, at any moment: cancel, pause, resume, retry."""

from collections.abc import Callable

import pytest

from farm.database.models import Chunk
from farm.domain.lifecycle import JobEvent
from farm.domain.manifest import Manifest
from farm.errors import IllegalTransition, NotFound, StorageError
from farm.jobs.control import control, intact
from farm.jobs.queries import job_facts
from tests.integration.coordinator.conftest import Bench
from tests.integration.coordinator.test_outcomes import fail
from tests.integration.coordinator.test_stages import detected, redacted, step, write_output

AddJob = Callable[..., Manifest]


def test_a_job_is_intact_while_what_its_newest_stage_reads_and_wrote_is_there(bench: Bench, add_job: AddJob) -> None:
    detected(bench, add_job)
    store = bench.context.store
    detection = (bench.chunk().artefact or {})["key"]
    assert intact(bench.context, "job")
    step(bench)
    store.delete(detection)
    assert intact(bench.context, "job")  # it has served
    store.delete(bench.chunk(1, "redact").inputs[0]["key"])
    assert not intact(bench.context, "job")


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
    bench.complete(order, frames=10, key=output)

    def pause(*_: object) -> None:
        control(bench.context, "job", JobEvent.PAUSE)

    with monkeypatch.context() as patch:
        patch.setattr("farm.coordinator.advance.publish_output", pause)
        step(bench)
    assert bench.job().status == "paused"
    assert bench.context.store.exists(output)
    control(bench.context, "job", JobEvent.RESUME)
    step(bench)
    assert (bench.job().status, bench.context.store.exists(output)) == ("done", False)


def test_a_failed_job_whose_artefact_is_damaged_is_not_tried_again_with_it(bench: Bench, add_job: AddJob) -> None:
    detected(bench, add_job)
    order = redacted(bench)
    bench.complete(order, frames=10, key=write_output(bench, order))
    with bench.context.database.write() as session:
        session.query(Chunk).filter_by(stage="compose").update({"inputs": []})
    stored = bench.context.settings.store_root / (bench.chunk(0, "compose").artefact or {})["key"]
    stored.write_bytes(b"the vide0")
    step(bench)
    assert "is not what was verified" in (bench.job().reason or "")
    with pytest.raises(StorageError, match="are gone from the store"):
        control(bench.context, "job", JobEvent.RETRY)
    stored.write_bytes(b"the video")
    control(bench.context, "job", JobEvent.RETRY)
    step(bench)
    assert bench.job().status == "done"
