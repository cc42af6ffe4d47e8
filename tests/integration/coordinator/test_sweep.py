"""What Redis, workers and time take away comes back, and nobody pays for what was not their fault."""

from collections.abc import Callable

import pytest
import redis

from farm.broker import BROKER_ERRORS, Broker
from farm.coordinator.dispatch import dispatch, publish
from farm.coordinator.outcomes import Reply, accept
from farm.coordinator.sweep import Sweeper
from farm.database.models import Attempt, Outgoing, Worker
from farm.messages import Failed, Goodbye, Order, Progress, Started, queue_of
from farm.settings import Settings
from tests.integration.coordinator.conftest import AddJob, Bench, ends, later, send_out, tokens

pytestmark = pytest.mark.integration


@pytest.fixture
def patient(settings: Settings) -> None:
    """A worker may be silent for longer than a lease lasts."""
    object.__setattr__(settings, "worker_silence_seconds", 60)


@pytest.mark.usefixtures("patient")
def test_a_lease_that_ran_out_is_lost_and_handed_out_again(bench: Bench, sweeper: Sweeper, add_job: AddJob) -> None:
    add_job(chunks=1)
    bench.hello()
    order = bench.orders()[0]
    bench.start(order)
    later(bench, sweeper, 60, "w0")  # it runs on as long as its worker holds it
    later(bench, sweeper, 44)
    assert bench.chunk().status == "leased"
    later(bench, sweeper, 2)
    assert ends(bench) == [("lost", "infrastructure")]
    assert "no report from w0 for 45 s" in (bench.chunk().attempts[0].reason or "")
    bench.clock.pass_(1)
    bench.hello()
    assert [(o.chunk, o.attempt) for o in bench.orders()] == [(0, 2)]


def test_progress_without_a_new_frame_is_no_progress(bench: Bench, sweeper: Sweeper, add_job: AddJob) -> None:
    add_job(chunks=1)
    bench.hello()
    order = bench.orders()[0]
    bench.start(order)

    def seconds(count: int, frames: Callable[[int], int], *, idle: bool) -> None:
        for n in range(count // 10):
            bench.clock.pass_(10)
            bench.hello(idle=10 * n + 10 if idle else 0)
            accept(bench.context, Progress(token=order.token, worker="w0", frames=frames(n)))
            sweeper.sweep()

    seconds(180, lambda n: n + 1, idle=True)  # slow, but it moves
    assert bench.chunk().status == "leased"
    seconds(300, lambda _: 18, idle=False)  # a long step without frames, in which its process moves
    assert bench.chunk().status == "leased"
    seconds(150, lambda _: 18, idle=True)
    assert bench.chunk().status == "leased"  # its worker ends it after 120 s, and says so
    bench.clock.pass_(1)
    sweeper.sweep()
    assert ends(bench) == [("lost", "infrastructure")]
    assert "no progress of w0 for 151 s" in (bench.chunk().attempts[0].reason or "")


def test_a_silent_workers_attempts_are_lost_and_it_counts_no_more(
    bench: Bench, broker: Broker, sweeper: Sweeper, client: redis.Redis, add_job: AddJob
) -> None:
    add_job(chunks=4)
    bench.hello("w0")
    bench.hello("w1")
    dispatch(bench.context)
    publish(bench.context, broker)
    for index in (0, 1):
        attempt = bench.chunk(index).attempts[0]
        accept(bench.context, Started(token=attempt.token, worker=attempt.worker or ""))
    assert (client.llen(queue_of("w0")), client.llen(queue_of("w1"))) == (2, 2)
    later(bench, sweeper, 31, "w1")
    assert [bench.chunk(i).status for i in range(4)] == ["pending", "leased", "pending", "queued"]
    assert [ends(bench, i) for i in (0, 2)] == [[("lost", "infrastructure")], [("lost", None)]]
    assert (client.llen(queue_of("w0")), client.llen(queue_of("w1"))) == (0, 2)
    with bench.context.database.read() as session:
        assert {w.name: w.alive for w in session.query(Worker)} == {"w0": False, "w1": True}
    bench.clock.pass_(1)
    assert bench.orders() == []  # w1 has two
    bench.hello("w0")  # alive again
    assert [(o.chunk, bench.worker_of(o)) for o in bench.orders()] == [(2, "w0")]  # it lost the other one
    with bench.context.database.read() as session:
        done = session.query(Attempt).filter_by(worker="w1", status="leased").one().token
    accept(bench.context, Failed(token=done, worker="w1", reason="odd", permanent=False))
    bench.clock.pass_(1)
    assert [(o.chunk, bench.worker_of(o)) for o in bench.orders()] == [(0, "w1"), (1, "w0")]


@pytest.mark.parametrize("seconds_before", [1, 40], ids=["soon", "after the time a taken order is waited for"])
def test_an_emptied_redis_is_filled_again_once_and_nobody_is_to_blame(
    bench: Bench, broker: Broker, sweeper: Sweeper, client: redis.Redis, add_job: AddJob, seconds_before: float
) -> None:
    send_out(bench, broker, add_job, chunks=2)
    later(bench, sweeper, seconds_before, "w0")
    client.flushall()
    sweeper.sweep()
    assert [ends(bench, i) for i in (0, 1)] == [[("lost", None)]] * 2
    dispatch(bench.context)
    publish(bench.context, broker)
    again = {tokens(bench, i)[1] for i in (0, 1)}
    sweeper.sweep()
    dispatch(bench.context)
    assert publish(bench.context, broker) == 0
    assert {tokens(bench, i)[-1] for i in (0, 1)} == again
    assert broker.waiting(["w0"]) == again


def test_redis_may_be_emptied_more_often_than_a_chunk_may_be_lost(
    bench: Bench, broker: Broker, sweeper: Sweeper, client: redis.Redis, add_job: AddJob
) -> None:
    send_out(bench, broker, add_job)
    for _ in range(7):
        later(bench, sweeper, 40, "w0")
        client.flushall()
        sweeper.sweep()
        assert dispatch(bench.context) == 1
        publish(bench.context, broker)
    assert bench.job().status == "detecting"
    assert len(tokens(bench)) == 8


def test_what_a_worker_holds_survives_an_emptied_redis(
    bench: Bench, sweeper: Sweeper, client: redis.Redis, add_job: AddJob
) -> None:
    add_job(chunks=1)
    bench.hello()
    bench.start(bench.orders()[0])
    client.flushall()
    sweeper.sweep()
    assert bench.chunk().status == "leased"


def test_what_was_not_published_yet_is_not_handed_out_twice(
    bench: Bench, sweeper: Sweeper, client: redis.Redis, add_job: AddJob
) -> None:
    add_job(chunks=1)
    bench.hello()
    dispatch(bench.context)
    client.flushall()
    later(bench, sweeper, 31, "w0")
    assert ends(bench) == [("queued", None)]


def test_one_order_that_vanished_is_found_and_one_that_waits_is_left_alone(
    bench: Bench, broker: Broker, sweeper: Sweeper, client: redis.Redis, add_job: AddJob
) -> None:
    send_out(bench, broker, add_job, chunks=2)
    (gone,) = tokens(bench, 0)
    for message in client.lrange(queue_of("w0"), 0, -1):
        assert isinstance(message, bytes)
        if gone.encode() in message:
            client.lrem(queue_of("w0"), 1, message)  # type: ignore[arg-type]  # bytes are what it holds
    sweeper.sweep()
    later(bench, sweeper, 30, "w0")
    assert ends(bench, 0) == [("queued", None)]
    later(bench, sweeper, 1, "w0")
    assert ends(bench, 0) == [("lost", "farm")]
    assert ends(bench, 1) == [("queued", None)]


def test_an_order_that_was_just_taken_after_a_long_wait_is_not_lost(
    bench: Bench, broker: Broker, sweeper: Sweeper, client: redis.Redis, add_job: AddJob
) -> None:
    """The worker took its message, and what it says of that is still on its way."""
    send_out(bench, broker, add_job)
    later(bench, sweeper, 100, "w0")
    client.delete(queue_of("w0"))
    bench.clock.pass_(1)
    sweeper.sweep()
    assert ends(bench) == [("queued", None)]


def test_an_order_that_nobody_takes_is_not_waited_for_without_end(
    bench: Bench, broker: Broker, sweeper: Sweeper, add_job: AddJob
) -> None:
    send_out(bench, broker, add_job)
    later(bench, sweeper, 599, "w0")
    assert ends(bench) == [("queued", None)]
    later(bench, sweeper, 2, "w0")
    assert "no worker took it for 600 s" in (bench.chunk().attempts[0].reason or "")


def test_an_order_waits_as_long_as_its_worker_works_on_the_one_before(
    bench: Bench, broker: Broker, sweeper: Sweeper, add_job: AddJob
) -> None:
    send_out(bench, broker, add_job, chunks=2)
    (token,) = tokens(bench, 0)
    accept(bench.context, Started(token=token, worker="w0"))
    for frames in range(70):  # 700 seconds
        bench.clock.pass_(10)
        bench.hello()
        accept(bench.context, Progress(token=token, worker="w0", frames=frames))
        sweeper.sweep()
    assert [ends(bench, i) for i in (0, 1)] == [[("leased", None)], [("queued", None)]]
    for seconds in range(10, 180, 10):  # it moves no more
        bench.clock.pass_(10)
        bench.hello(idle=seconds)
        sweeper.sweep()
    assert [status for status, _ in (*ends(bench, 0), *ends(bench, 1))] == ["lost", "lost"]


@pytest.mark.parametrize("worker", [None, "w9"], ids=["of a farm with a queue per stage", "never heard of"])
def test_an_order_in_a_queue_that_nobody_consumes_is_assigned_anew(
    bench: Bench, broker: Broker, sweeper: Sweeper, add_job: AddJob, worker: str | None
) -> None:
    send_out(bench, broker, add_job)
    with bench.context.database.write() as session:
        session.query(Attempt).update({"worker": worker})
    sweeper.sweep()
    assert ends(bench) == [("lost", None)]
    assert [bench.worker_of(o) for o in bench.orders()] == ["w0"]


@pytest.mark.parametrize("how", ["new incarnation", "goodbye"])
def test_what_waits_for_a_worker_that_goes_is_released_and_never_sent(
    bench: Bench, broker: Broker, client: redis.Redis, add_job: AddJob, how: str
) -> None:
    send_out(bench, broker, add_job)
    add_job("next", chunks=1, output="next.mp4")
    assert dispatch(bench.context) == 1  # in the outbox, not yet sent
    if how == "goodbye":
        reply = accept(bench.context, Goodbye(worker="w0", incarnation="a"))
    else:
        reply = bench.hello(incarnation="b")
    assert reply == Reply(gone="w0")
    assert ends(bench) == [("lost", None)]
    assert bench.chunk(job="next").status == "pending"
    client.delete(queue_of("w0"))
    assert publish(bench.context, broker) == 0
    assert (outbox(bench), client.llen(queue_of("w0"))) == (0, 0)
    bench.hello(incarnation="b")
    assert dispatch(bench.context) == publish(bench.context, broker) == client.llen(queue_of("w0")) == 2


def outbox(bench: Bench) -> int:
    with bench.context.database.read() as session:
        return session.query(Outgoing).count()


def test_after_a_broker_error_the_rest_is_sent_later(
    bench: Bench, broker: Broker, client: redis.Redis, add_job: AddJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_job(chunks=3)
    for worker in ("w0", "w1"):
        bench.hello(worker)
    dispatch(bench.context)
    sent: list[int] = []

    def break_at_the_second(order: Order, queue: str) -> None:
        if len(sent) == 1:
            raise redis.ConnectionError("gone")
        sent.append(order.chunk)
        Broker.publish(broker, order, queue)

    with monkeypatch.context() as patch:
        patch.setattr(broker, "publish", break_at_the_second)
        with pytest.raises(BROKER_ERRORS):
            publish(bench.context, broker)
    assert outbox(bench) == 2
    assert publish(bench.context, broker) == 2
    assert outbox(bench) == 0
    assert client.llen(queue_of("w0")) + client.llen(queue_of("w1")) == 3
