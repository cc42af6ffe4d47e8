"""Every outcome is harmless twice, late, or from the wrong worker; attempts are counted in SQL."""

from collections.abc import Callable

from farm.coordinator.outcomes import accept, give_all_back
from farm.domain.manifest import Manifest
from farm.jobs.queries import job_facts
from farm.messages import Artefact, Completed, Failed, GivenBack, Goodbye, Progress
from tests.integration.coordinator.conftest import Bench

AddJob = Callable[..., Manifest]


def fail(bench: Bench, token: str, worker: str = "w0", **more: object) -> None:
    accept(bench.context, Failed(token=token, worker=worker, reason="broken", **more))


def test_nothing_is_handed_out_without_a_worker(bench: Bench, add_job: AddJob) -> None:
    add_job()
    assert bench.orders() == []


def test_two_messages_a_live_worker_in_order(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=5)
    bench.hello()
    first = bench.orders()
    assert [o.chunk for o in first] == [0, 1]
    assert bench.orders() == []
    bench.detect(first[0])
    assert [o.chunk for o in bench.orders()] == [2]


def test_older_job_first(bench: Bench, add_job: AddJob) -> None:
    add_job("young", chunks=1, output="a.mp4")
    bench.clock.pass_(-10)
    add_job("old", chunks=1, output="b.mp4")
    bench.hello()
    assert [o.job for o in bench.orders()] == ["old", "young"]


def test_second_worker_that_starts_the_same_attempt_is_told_to_stop(bench: Bench, add_job: AddJob) -> None:
    add_job()
    bench.hello()
    order = bench.orders()[0]
    assert bench.start(order, "w0") == []
    assert bench.start(order, "w1") == [(order.token, "w1")]
    assert bench.start(order, "w0") == []  # the same message delivered twice to the same worker
    progress = Progress(token=order.token, worker="w1", frames=3)
    assert accept(bench.context, progress) == [(order.token, "w1")]


def test_only_the_first_completion_counts(bench: Bench, add_job: AddJob) -> None:
    add_job()
    bench.hello()
    order = bench.orders()[0]
    bench.detect(order)
    artefact = bench.chunk().artefact
    bench.complete(order, "w1")
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
    assert "reported 4 frames, planned were 5" in (bench.chunk().attempts[0].reason or "")


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


def test_being_given_back_counts_as_no_failure(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=1)
    bench.hello()
    for _ in range(8):
        order = bench.orders()[0]
        accept(bench.context, GivenBack(token=order.token, worker="w0", reason="told to stop"))
        bench.clock.pass_(1)
        bench.hello()
    assert bench.job().status == "detecting"


def test_a_worker_that_failed_a_chunk_is_to_avoid_it_while_another_lives(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=1)
    bench.hello("w0")
    bench.hello("w1")
    order = bench.orders()[0]
    bench.start(order, "w0")
    fail(bench, order.token)
    bench.clock.pass_(1)
    assert bench.orders()[0].avoid == ("w0",)


def test_alone_it_may_try_again(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=1)
    bench.hello("w0")
    order = bench.orders()[0]
    fail(bench, order.token)
    bench.clock.pass_(1)
    assert bench.orders()[0].avoid == ()


def test_three_failures_block_a_worker_for_the_job(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=6)
    bench.hello("w0")
    bench.hello("w1")
    for order in bench.orders()[:3]:
        bench.start(order, "w0")
        fail(bench, order.token)
    fresh = [o for o in bench.orders() if o.attempt == 1]
    assert fresh
    assert all(o.avoid == ("w0",) for o in fresh)


def test_goodbye_gives_up_what_the_worker_held(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=1)
    bench.hello()
    bench.start(bench.orders()[0])
    accept(bench.context, Goodbye(worker="w0", incarnation="a"))
    assert bench.chunk().status == "pending"


def test_stopping_the_farm_blames_nobody(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=2)
    bench.hello()
    bench.start(bench.orders()[0])
    give_all_back(bench.context, "the farm was stopped")
    assert [bench.chunk(i).status for i in (0, 1)] == ["pending", "pending"]
    assert [bench.chunk(i).attempts[0].cause for i in (0, 1)] == [None, None]


def test_an_unknown_token_is_told_to_stop(bench: Bench) -> None:
    assert accept(bench.context, Progress(token="nothing", worker="w0", frames=1)) == [("nothing", "w0")]


def test_notes_of_a_result_reach_the_job_once(bench: Bench, add_job: AddJob) -> None:
    add_job()
    bench.hello()
    orders = bench.orders()

    def complete(order: int, *notes: str) -> None:
        artefact = Artefact(key="none/at-all", size=1, sha256="0" * 64, frames=5)
        accept(bench.context, Completed(token=orders[order].token, worker="w0", artefact=artefact, notes=notes))

    complete(0, "stream 2 was left out", "another")
    complete(0, "late")
    complete(1, "stream 2 was left out")
    assert job_facts(bench.context, "job").notes == ("stream 2 was left out", "another")
