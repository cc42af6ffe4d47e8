"""What a chunk costs the coordinator does not depend on how many chunks a job has."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine, event

from farm.coordinator.advance import advance, ready
from farm.coordinator.dispatch import dispatch, publish, rebalance
from farm.coordinator.outcomes import accept
from farm.coordinator.sweep import Sweeper
from farm.messages import Outcome, queue_of
from tests.integration.coordinator.conftest import AddJob, Bench
from tests.integration.coordinator.simulated import QueuesInMemory, SimulatedWorker

pytestmark = pytest.mark.integration


@contextmanager
def counted(engine: Engine) -> Iterator[Counter[str]]:
    """Counts the statements on an engine, and the transactions that may write."""
    counts: Counter[str] = Counter()

    @event.listens_for(engine, "before_cursor_execute")
    def _statement(*_: object) -> None:
        counts["statements"] += 1

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        counts["writes"] += bool(connection.get_execution_options().get("blurfarm_write"))

    yield counts
    event.remove(engine, "before_cursor_execute", _statement)
    event.remove(engine, "begin", _begin)


def drive(bench: Bench, job: str, workers: int = 8) -> int:
    """Do a job as the coordinator does, with workers that answer at once; returns the length of its longest order."""
    longest = 0
    context, redis = bench.context, QueuesInMemory()
    sweeper, them = Sweeper(context, redis), [SimulatedWorker(f"w{n:02}") for n in range(workers)]
    for worker in them:
        accept(context, worker.begin(bench.clock.now, host_restarted=False))
    while bench.job(job).status != "done":
        bench.clock.pass_(1)
        for worker in them:
            for outcome in _answers(bench, redis, worker):
                accept(context, outcome)
        for ready_job in ready(context):
            advance(context, ready_job)
        dispatch(context)
        while publish(context, redis):
            pass
        sizes = [len(order.model_dump_json()) for queue in redis.orders.values() for order in queue]
        longest = max([longest, *sizes])
        sweeper.sweep()
        rebalance(context, redis)
    return longest


def _answers(bench: Bench, redis: QueuesInMemory, worker: SimulatedWorker) -> Iterator[Outcome]:
    while orders := redis.orders[queue_of(worker.name)]:
        yield worker.take(orders.pop(0))
        yield worker.progress()
        yield worker.complete(bench.context.store)


def test_statements_per_chunk_and_orders_do_not_grow(bench: Bench, add_job: AddJob) -> None:
    per_chunk = {}
    for chunks in (50, 200):
        add_job(job_id=f"job{chunks}", chunks=chunks, output=f"{chunks}.mp4")
        with counted(bench.context.database.engine) as counts:
            assert drive(bench, f"job{chunks}") < 2100
        per_chunk[chunks] = {name: count / chunks for name, count in counts.items()}
    for name, before in per_chunk[50].items():
        assert per_chunk[200][name] <= 1.1 * before
