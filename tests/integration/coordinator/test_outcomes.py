"""Every outcome is harmless twice, late, or from the wrong worker; attempts are counted in SQL."""

from collections.abc import Callable

import pytest

from farm.coordinator.losses import give_all_back
from farm.coordinator.outcomes import Reply, accept
from farm.domain.manifest import Manifest
from farm.jobs.queries import job_facts
from farm.messages import Artefact, Completed, Failed, GivenBack, Goodbye, Outcome, Progress
from tests.integration.coordinator.conftest import Bench, ends

AddJob = Callable[..., Manifest]
ARTEFACT = Artefact(key="none/at-all", size=1, sha256="0" * 64, frames=5)


def fail(bench: Bench, token: str, worker: str = "w0", **more: object) -> None:
    accept(bench.context, Failed(token=token, worker=worker, reason="broken", **more))


def test_a_worker_that_starts_anothers_attempt_is_told_to_stop(bench: Bench, add_job: AddJob) -> None:
    add_job()
    bench.hello()
    order = bench.orders()[0]
    stop = Reply(stop=((order.token, "w1"),))
    assert bench.start(order, "w1") == stop  # before the assigned worker, too
    assert bench.chunk().status == "queued"
    assert bench.start(order, "w0") == Reply()
    assert bench.start(order, "w1") == stop
    assert bench.start(order, "w0") == Reply()  # the same message delivered twice to the same worker
    assert accept(bench.context, Progress(token=order.token, worker="w1", frames=3)) == stop
    assert bench.chunk().attempts[0].frames == 0


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize(
    "outcome",
    [
        lambda token: Completed(token=token, worker="w1", artefact=ARTEFACT),
        lambda token: Failed(token=token, worker="w1", reason="broken", permanent=True),
        lambda token: GivenBack(token=token, worker="w1", reason="told to stop"),
    ],
    ids=["completed", "failed", "given back"],
)
def test_an_outcome_of_another_worker_is_obsolete(
    bench: Bench, add_job: AddJob, outcome: Callable[[str], Outcome], started: bool
) -> None:
    add_job(chunks=1)
    bench.hello("w0")
    bench.hello("w1")
    order = bench.orders()[0]
    assert bench.worker_of(order) == "w0"
    if started:
        bench.start(order)
    before = bench.chunk().status
    assert accept(bench.context, outcome(order.token)) == Reply(stop=((order.token, "w1"),))
    assert bench.chunk().status == before
    assert [(a.status, a.worker) for a in bench.chunk().attempts] == [(before, "w0")]


def test_only_the_first_completion_counts(bench: Bench, add_job: AddJob) -> None:
    add_job()
    bench.hello()
    order = bench.orders()[0]
    bench.detect(order)
    artefact = bench.chunk().artefact
    for worker in ("w0", "w1"):
        bench.complete(order, worker)
    assert bench.chunk().artefact == artefact
    assert [a.status for a in bench.chunk().attempts] == ["done"]


def test_completion_of_a_lost_attempt_changes_nothing(bench: Bench, add_job: AddJob) -> None:
    add_job()
    bench.hello()
    late = bench.orders()[0]
    bench.start(late)
    bench.hello(incarnation="b")
    bench.clock.pass_(1)
    again = next(o for o in bench.orders() if o.chunk == late.chunk)
    bench.complete(late)
    assert bench.chunk().status == "queued"
    assert again.token != late.token
    assert again.attempt == 2


def test_completion_without_start_counts(bench: Bench, add_job: AddJob) -> None:
    add_job()
    bench.hello()
    order = bench.orders()[0]
    bench.complete(order)
    assert bench.chunk().status == "done"


def test_wrong_number_of_frames_is_a_failure_not_a_result(bench: Bench, add_job: AddJob) -> None:
    add_job()
    bench.hello()
    order = bench.orders()[0]
    bench.complete(order, frames=4)
    assert bench.chunk().status == "pending"
    assert "reported 4 frames, 5 were planned" in (bench.chunk().attempts[0].reason or "")


def test_three_task_errors_fail_the_job_with_its_reason(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=1)
    bench.hello()
    for _ in range(3):
        order = bench.orders()[0]
        bench.start(order)
        fail(bench, order.token)
        bench.clock.pass_(1)
        bench.hello()
    assert bench.chunk().status == "failed"
    assert bench.job().status == "failed"
    assert bench.job().reason == "detect, chunk 1: broken"
    assert bench.orders() == []


def test_permanent_error_fails_at_once(bench: Bench, add_job: AddJob) -> None:
    add_job()
    bench.hello()
    orders = bench.orders()
    fail(bench, orders[0].token, permanent=True)
    assert bench.job().status == "failed"
    assert [bench.chunk(i).status for i in (0, 1)] == ["failed", "cancelled"]


def test_five_infrastructure_losses_fail_the_job(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=1)
    for n in range(5):
        assert bench.job().status == "detecting"
        bench.hello(incarnation=str(n))
        bench.start(bench.orders()[0])
        bench.hello(incarnation=f"{n}'")
        bench.clock.pass_(1)
    assert bench.job().status == "failed"


def test_what_is_lost_with_the_farm_of_a_host_counts_separately(bench: Bench, add_job: AddJob) -> None:
    """Its supervisor was killed too, or it was switched off; but a chunk that does that each time has to end."""
    add_job(chunks=1)
    bench.hello(incarnation="1-0/01")
    for n in range(2, 22):
        assert bench.job().status == "detecting"
        bench.start(bench.orders()[0])
        bench.hello(incarnation=f"{n}-0/{n:02}")
        bench.clock.pass_(1)
    assert bench.job().status == "failed"
    assert ends(bench) == [("lost", "farm")] * 20


def test_a_restart_by_the_same_supervisor_counts_against_the_chunk(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=1)
    bench.hello(incarnation="1-0/1")
    bench.start(bench.orders()[0])
    bench.hello(incarnation="1-0/2")
    assert ends(bench) == [("lost", "infrastructure")]


def test_a_late_hello_of_an_earlier_incarnation_changes_nothing(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=1)
    bench.hello(incarnation="1-0/1")
    bench.hello(incarnation="1-0/2")
    bench.start(bench.orders()[0])
    assert bench.hello(incarnation="1-0/1", holds=("other",)) == Reply()
    assert bench.hello(incarnation="1-0/2") == Reply()
    assert ends(bench) == [("leased", None)]


def test_a_worker_whose_clock_was_put_back_is_heard_once_its_former_self_is_silent(bench: Bench) -> None:
    bench.hello(incarnation="1-0/2")
    accept(bench.context, Goodbye(worker="w0", incarnation="1-0/2"))
    assert bench.hello(incarnation="2-0/1") == Reply(gone="w0")


def test_an_attempt_that_its_worker_no_longer_holds_is_lost_unless_its_end_may_be_on_its_way(
    bench: Bench, add_job: AddJob
) -> None:
    add_job(chunks=1)
    bench.hello()
    bench.start(bench.orders()[0])
    bench.clock.pass_(10)
    bench.hello(holds=())
    assert ends(bench) == [("leased", None)]
    bench.clock.pass_(1)
    bench.hello(holds=())
    assert ends(bench) == [("lost", "farm")]


def test_a_worker_that_holds_what_it_should_not_is_told_to_stop(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=1)
    bench.hello()
    order = bench.orders()[0]
    bench.start(order)
    bench.hello(incarnation="b")
    assert bench.hello(incarnation="b", holds=(order.token, "nothing")) == Reply(
        stop=((order.token, "w0"), ("nothing", "w0"))
    )


def test_an_order_that_is_taken_and_not_begun_is_left_alone(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=1)
    bench.hello()
    order = bench.orders()[0]
    bench.clock.pass_(60)
    for holds in ((), (order.token,)):
        assert bench.hello(holds=holds) == Reply()
    assert ends(bench) == [("queued", None)]


def test_progress_begins_an_attempt_whose_start_was_lost(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=1)
    bench.hello()
    order = bench.orders()[0]
    assert accept(bench.context, Progress(token=order.token, worker="w0", frames=3)) == Reply()
    assert (bench.chunk().status, bench.chunk().attempts[0].frames) == ("leased", 3)


def test_being_given_back_counts_as_no_failure(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=1)
    bench.hello()
    for _ in range(8):
        order = bench.orders()[0]
        accept(bench.context, GivenBack(token=order.token, worker="w0", reason="told to stop"))
        bench.clock.pass_(1)
        bench.hello()
    assert bench.job().status == "detecting"


def test_goodbye_gives_up_what_the_worker_held(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=1)
    bench.hello()
    bench.start(bench.orders()[0])
    assert accept(bench.context, Goodbye(worker="w0", incarnation="b")) == Reply()  # of another incarnation
    assert bench.chunk().status == "leased"
    assert accept(bench.context, Goodbye(worker="w0", incarnation="a")) == Reply(gone="w0")
    assert bench.chunk().status == "pending"


def test_stopping_the_farm_blames_nobody(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=2)
    bench.hello()
    bench.start(bench.orders()[0])
    give_all_back(bench.context, "the farm was stopped")
    assert [bench.chunk(i).status for i in (0, 1)] == ["pending", "pending"]
    assert [bench.chunk(i).attempts[0].cause for i in (0, 1)] == [None, None]


def test_an_unknown_token_is_told_to_stop(bench: Bench) -> None:
    assert accept(bench.context, Progress(token="nothing", worker="w0", frames=1)) == Reply(stop=(("nothing", "w0"),))


def test_notes_of_a_result_reach_the_job_once(bench: Bench, add_job: AddJob) -> None:
    add_job()
    bench.hello()
    orders = bench.orders()

    def complete(order: int, *notes: str) -> None:
        artefact = bench.made(orders[order], b"1")
        accept(bench.context, Completed(token=orders[order].token, worker="w0", artefact=artefact, notes=notes))

    complete(0, "stream 2 was left out", "another")
    complete(0, "late")
    complete(1, "stream 2 was left out")
    assert job_facts(bench.context, "job").notes == ("stream 2 was left out", "another")
