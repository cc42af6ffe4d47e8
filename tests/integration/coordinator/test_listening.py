"""No lease runs while the coordinator hears nobody, and what Redis took with it counts against no chunk."""

from dataclasses import replace

import pytest
import redis

from farm.broker import Broker
from farm.coordinator.sweep import Sweeper
from farm.errors import DatabaseError
from tests.integration.coordinator.conftest import AddJob, Bench, ends, later, send_out, tokens

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("seconds", [100, -100], ids=["it was away", "the clock was put back"])
def test_what_happened_while_nobody_listened_is_no_silence(
    bench: Bench, sweeper: Sweeper, add_job: AddJob, seconds: float
) -> None:
    add_job(chunks=2)
    bench.hello()
    orders = bench.orders()
    bench.start(orders[0])
    bench.clock.pass_(seconds)
    sweeper.sweep()
    later(bench, sweeper, 29)
    assert [ends(bench, index) for index in (0, 1)] == [[("leased", None)], [("queued", None)]]
    later(bench, sweeper, 2)
    assert [ends(bench, index) for index in (0, 1)] == [[("lost", "infrastructure")], [("lost", None)]]


def test_a_new_leader_lets_everybody_say_something_first(bench: Bench, broker: Broker, add_job: AddJob) -> None:
    add_job(chunks=1)
    bench.hello()
    bench.start(bench.orders()[0])
    bench.clock.pass_(1000)
    Sweeper(bench.context, broker).sweep()
    assert ends(bench) == [("leased", None)]


def test_a_database_that_fails_right_after_redis_was_emptied_costs_nothing(
    bench: Bench,
    broker: Broker,
    sweeper: Sweeper,
    client: redis.Redis,
    add_job: AddJob,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    send_out(bench, broker, add_job)
    client.flushall()

    def fail() -> None:
        raise DatabaseError("disk I/O error")

    with monkeypatch.context() as patch:
        patch.setattr(type(bench.context.database), "write", lambda self: fail())
        with pytest.raises(DatabaseError):
            sweeper.sweep()
    sweeper.sweep()
    assert ends(bench) == [("lost", None)]


@pytest.mark.parametrize("emptied", [True, False])
def test_silence_on_an_attempt_may_be_due_to_an_emptied_redis(
    bench: Bench, broker: Broker, client: redis.Redis, add_job: AddJob, emptied: bool
) -> None:
    """What the worker reported may have been in it. Here, a worker may be silent for longer than a lease lasts."""
    settings = bench.context.settings.model_copy(update={"worker_silence_seconds": 100})
    sweeper = Sweeper(replace(bench.context, settings=settings), broker)
    sweeper.sweep()
    add_job(chunks=1)
    bench.hello()
    bench.start(bench.orders()[0])
    later(bench, sweeper, 5, "w0")
    if emptied:
        client.flushall()
    later(bench, sweeper, 46)
    assert ends(bench) == [("lost", "farm" if emptied else "infrastructure")]


def test_an_order_that_was_taken_back_and_not_recorded_is_no_loss_of_its_chunk(
    bench: Bench, broker: Broker, sweeper: Sweeper, add_job: AddJob
) -> None:
    """A coordinator was killed between Redis and the database."""
    send_out(bench, broker, add_job)
    assert broker.take_back("w0", tokens(bench)[0])
    later(bench, sweeper, 36, "w0")
    assert ends(bench) == [("lost", "farm")]
