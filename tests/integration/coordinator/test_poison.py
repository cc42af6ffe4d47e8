"""What a chunk's deaths, and a job's errors, lead to: another worker, or an end with the place and the reason."""

import pytest

from farm.coordinator.outcomes import accept
from farm.domain.lifecycle import DeathKind
from farm.messages import Failed, Held, Hello, Order
from tests.integration.coordinator.conftest import AddJob, Bench, ends
from tests.integration.coordinator.test_outcomes import fail

pytestmark = pytest.mark.integration


def die(bench: Bench, order: Order, frames: int, kind: str = "killed", reason: str = "killed: signal 9") -> None:
    bench.start(order)
    death, worker = DeathKind(kind), bench.worker_of(order)
    accept(
        bench.context,
        Failed(token=order.token, worker=worker, cause="infrastructure", reason=reason, death=death, frames=frames),
    )


def again(bench: Bench, *workers: str, index: int = 0) -> Order:
    """The next order of a chunk, some seconds later."""
    bench.clock.pass_(1)
    for worker in workers:
        bench.hello(worker)
    (order,) = [order for order in bench.orders() if order.chunk == index]
    return order


def test_three_deaths_at_a_frame_end_the_job_with_the_chunks_place_and_the_reason(
    bench: Bench, add_job: AddJob
) -> None:
    add_job(chunks=2)
    for frames in (2, 2, 2):
        die(bench, again(bench, "w0", index=1) if bench.chunk(1).attempts else first(bench)[1], frames)
    assert bench.job().status == "failed"
    assert bench.job().reason == (
        "detect, chunk 2 (frames 6–10, 0.200–0.400 s, pts 5–9): killed: signal 9; 3 attempts ended like this"
    )
    assert not bench.job().permanent
    assert [(a.status, a.cause, a.death, a.frames) for a in bench.chunk(1).attempts] == [
        ("lost", "infrastructure", "killed", 2)
    ] * 3


def first(bench: Bench, *workers: str) -> list[Order]:
    for worker in workers or ("w0",):
        bench.hello(worker)
    return bench.orders()


def test_deaths_at_other_frames_are_losses_of_which_five_end_the_job(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=1)
    die(bench, first(bench)[0], 0)
    for frames in (100, 200, 300):
        die(bench, again(bench, "w0"), frames)
        assert bench.job().status == "detecting"
    die(bench, again(bench, "w0"), 400)
    assert bench.job().status == "failed"
    assert "ended like this" not in (bench.job().reason or "")


def test_losses_that_are_no_deaths_do_not_make_a_poison_chunk(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=1)
    order = first(bench)[0]
    for _ in range(2):
        die(bench, order, 3)
        order = again(bench, "w0")
    bench.start(order)
    lost = Failed(token=order.token, worker="w0", cause="infrastructure", reason="disk full")
    accept(bench.context, lost)
    assert bench.job().status == "detecting"
    assert ends(bench) == [("lost", "infrastructure")] * 3


def test_a_chunk_that_killed_a_worker_goes_to_another_one(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=1)
    order = first(bench, "w0", "w1", "w2")[0]
    tried = []
    for frames in (0, 100, 200):
        tried.append(bench.worker_of(order))
        die(bench, order, frames)
        order = again(bench, "w0", "w1", "w2")
    assert sorted(tried) == ["w0", "w1", "w2"]
    assert bench.worker_of(order) in tried  # no other one is alive


def test_a_worker_whose_process_died_three_times_is_blocked_for_the_job(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=8)
    bench.hello("w0")
    for n in range(3):
        die(bench, bench.orders()[0], 100 * n)
        bench.clock.pass_(1)
    for order in bench.orders():
        fail(bench, order.token)
    bench.hello("w0")
    bench.hello("w1")
    bench.clock.pass_(1)
    assert {bench.worker_of(order) for order in bench.orders()} == {"w1"}


def test_a_job_has_a_bound_of_errors_over_all_its_chunks(bench: Bench, add_job: AddJob) -> None:
    object.__setattr__(bench.context.settings, "job_errors", 7)
    add_job(chunks=20)
    bench.hello("w0")
    failed = 0
    while bench.job().status == "detecting":
        for order in bench.orders():  # a chunk that has just failed is not due yet
            if failed % 2:
                fail(bench, order.token, bench.worker_of(order))
            elif bench.job().status == "detecting":
                die(bench, order, 0)
            failed += 1
    assert failed == 8  # the eighth was under way
    assert len([attempt for attempt in range(20) if ends(bench, attempt)]) == 8
    assert (bench.job().reason or "").endswith("; that was error 7 of this job, the most that it may have")


def test_a_heartbeat_carries_the_frames_and_keeps_the_lease(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=1)
    order = first(bench)[0]
    bench.start(order)
    before = bench.chunk().attempts[0]
    bench.clock.pass_(20)
    held = (Held(token=order.token, frames=4, idle=8),)
    accept(bench.context, Hello(worker="w0", incarnation="a", host="h", device="cpu0", pid=1, holds=held))
    after = bench.chunk().attempts[0]
    assert (after.frames, after.moved_at) == (4, before.moved_at + 12)
    assert after.lease_until == before.lease_until + 20
