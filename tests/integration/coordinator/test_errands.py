"""Errands: work beside a job's stages, which no status waits for and no failure of which fails the job."""

import pytest

from farm.coordinator.outcomes import accept
from farm.coordinator.repair import repair
from farm.database.models import Chunk
from farm.database.statuses import locked_job
from farm.domain.carrying import Carry
from farm.domain.edits import KeyFrame
from farm.domain.geometry import Box
from farm.domain.lifecycle import JobEvent
from farm.errors import IllegalTransition, JobFailed
from farm.jobs.abilities import waiting_for
from farm.jobs.context import Context
from farm.jobs.control import control
from farm.jobs.ending import fail_job
from farm.jobs.errands import done_errand, errand_row, run_errand
from farm.jobs.plans import job_manifest
from farm.jobs.workers import hold_worker
from farm.messages import Artefact, Failed, Order
from tests.integration.coordinator.conftest import AddJob, Bench
from tests.integration.coordinator.test_editing import published

REQUEST = Carry(KeyFrame(3, Box(1, 2, 10, 12)), 0, 10).request()


def ask(context: Context, job_id: str = "job", index: int = 1) -> int:
    with context.database.write() as session:
        row = errand_row(locked_job(session, job_id), job_manifest(session, job_id), "carry", index, REQUEST)
        session.add(row)
        session.flush()
        return row.id


def result(bench: Bench, number: int) -> Artefact | None:
    with bench.context.database.read() as session:
        return done_errand(session, session.get(Chunk, number))


def order_of(orders: list[Order]) -> Order:
    (order,) = (order for order in orders if order.stage == "carry")
    return order


def done(bench: Bench, order: Order) -> Artefact:
    made = bench.made(order, b"{}", frames=0)
    bench.start(order)
    bench.complete(order, artefact=made)
    return made


def test_an_errand_is_done_beside_the_stages(bench: Bench, add_job: AddJob) -> None:
    add_job()
    bench.hello()
    number, before = ask(bench.context), bench.job()
    assert result(bench, number) is None
    order = order_of(bench.orders())
    assert order.request == REQUEST
    made = done(bench, order)
    assert result(bench, number) == made
    after = bench.job()
    assert (after.status, after.open_chunks) == (before.status, before.open_chunks) == ("detecting", 2)


def test_an_errand_of_a_job_that_is_done(bench: Bench, add_job: AddJob) -> None:
    published(bench, add_job)
    number = ask(bench.context)
    order = order_of(bench.orders())
    assert repair(bench.context) == []  # a coordinator that begins leaves it alone
    made = done(bench, order)
    assert (result(bench, number), bench.job().status) == (made, "done")


def test_an_errand_that_fails_fails_no_job(bench: Bench, add_job: AddJob) -> None:
    add_job()
    bench.hello()
    number = ask(bench.context)
    order = order_of(bench.orders())
    bench.start(order)
    failed = Failed(token=order.token, worker=bench.worker_of(order), reason="in.mp4: changed", permanent=True)
    accept(bench.context, failed)
    with pytest.raises(JobFailed, match=r"in\.mp4: changed"):
        result(bench, number)
    assert bench.job().status == "detecting"


def test_an_errand_waits_while_its_job_is_paused(bench: Bench, add_job: AddJob) -> None:
    add_job()
    bench.hello()
    ask(bench.context)
    control(bench.context, "job", JobEvent.PAUSE)
    assert bench.orders() == []
    with pytest.raises(IllegalTransition, match="is paused"):
        run_errand(bench.context, "job", "carry", REQUEST, lambda: None)
    control(bench.context, "job", JobEvent.RESUME)
    assert order_of(bench.orders()).chunk == 1


def test_an_errand_is_withdrawn_with_its_job(bench: Bench, add_job: AddJob) -> None:
    add_job()
    number = ask(bench.context)
    with bench.context.database.write() as session:
        fail_job(session, locked_job(session, "job"), bench.clock(), "because")
    with pytest.raises(JobFailed, match="withdrawn"):
        result(bench, number)


def test_who_asks_waits_and_leaves_no_row(bench: Bench, add_job: AddJob) -> None:
    add_job()
    bench.hello()
    made: list[Artefact] = []

    def tend() -> None:
        if not made:
            made.append(done(bench, order_of(bench.orders())))

    assert [run_errand(bench.context, "job", "carry", REQUEST, tend)] == made
    with bench.context.database.read() as session:
        assert session.query(Chunk).filter_by(stage="carry").count() == 0

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_errand(bench.context, "job", "carry", REQUEST, interrupt)
    with bench.context.database.read() as session:
        assert session.query(Chunk).filter_by(stage="carry").count() == 0


def test_other_requests_have_other_names(bench: Bench, add_job: AddJob) -> None:
    add_job()
    with bench.context.database.read() as session:
        job, manifest = locked_job(session, "job"), job_manifest(session, "job")
        names = {errand_row(job, manifest, "carry", n, REQUEST | {"to": n}).name for n in (1, 1, 2)}
    assert len(names) == 2


def test_what_an_errand_waits_for_is_said(bench: Bench, add_job: AddJob) -> None:
    published(bench, add_job)  # its status waits for nobody
    assert waiting_for(bench.context, "job") is None
    assert waiting_for(bench.context, "job", "carry") is None
    hold_worker(bench.context, "w0", "drain", "somebody", None)
    line = waiting_for(bench.context, "job", "carry")
    assert line is not None
    assert line.startswith("a worker that takes orders: w0 is draining")
