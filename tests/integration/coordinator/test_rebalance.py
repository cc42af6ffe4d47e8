"""At the end of a stage, an order that waits behind a slow one goes to a worker that has nothing to do."""

import threading
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from sqlalchemy import select

from farm.broker import Broker
from farm.coordinator.dispatch import dispatch, publish, rebalance
from farm.coordinator.outcomes import accept
from farm.coordinator.service import Coordinator
from farm.coordinator.sweep import Sweeper
from farm.database.models import Attempt, Chunk
from farm.domain.artefacts import key_of
from farm.domain.lifecycle import JobEvent
from farm.domain.manifest import Manifest
from farm.jobs.control import control
from farm.local.redis import EmbeddedRedis
from farm.messages import Artefact, Completed, Started
from tests.integration.coordinator.conftest import Bench, ends, later, tokens, wait_until
from tests.integration.coordinator.test_dispatch import redacting

pytestmark = pytest.mark.integration
AddJob = Callable[..., Manifest]


@pytest.fixture
def broker(bench: Bench, server: EmbeddedRedis) -> Iterator[Broker]:
    with closing(Broker(bench.context.settings)) as broker:
        Sweeper(bench.context, broker).sweep()
        yield broker


def send(bench: Bench, broker: Broker) -> None:
    dispatch(bench.context)
    publish(bench.context, broker)


def taken(bench: Bench, broker: Broker, index: int, stage: str = "detect") -> None:
    """The worker takes the order of a chunk from its queue, and says so."""
    attempt = bench.chunk(index, stage).attempts[-1]
    assert broker.take_back(attempt.worker or "", attempt.token)
    accept(bench.context, Started(token=attempt.token, worker=attempt.worker or ""))


def finish(bench: Bench, index: int) -> None:
    attempt = bench.chunk(index).attempts[-1]
    artefact = Artefact(key=key_of(bench.chunk(index).name, "0" * 64), size=1, sha256="0" * 64, frames=5)
    accept(bench.context, Completed(token=attempt.token, worker=attempt.worker or "", artefact=artefact))


def queued(bench: Bench) -> dict[str, list[int]]:
    """The chunks that wait for each worker."""
    found: dict[str, list[int]] = {}
    with bench.context.database.read() as session:
        rows = select(Attempt.worker, Chunk.index).join(Chunk).where(Attempt.status == "queued").order_by(Chunk.index)
        for worker, index in session.execute(rows):
            found.setdefault(worker or "", []).append(index)
    return found


def end_of_a_stage(bench: Bench, broker: Broker, add_job: AddJob) -> None:
    """w0 works on chunk 0 and has chunk 2 to do; w1 has done 1 and 3."""
    add_job(chunks=4)
    for worker in ("w0", "w1"):
        bench.hello(worker)
    send(bench, broker)
    taken(bench, broker, 0)
    for index in (1, 3):
        taken(bench, broker, index)
        finish(bench, index)


def test_an_order_behind_a_slow_one_goes_to_an_idle_worker_once(bench: Bench, broker: Broker, add_job: AddJob) -> None:
    end_of_a_stage(bench, broker, add_job)
    assert queued(bench) == {"w0": [2]}
    for _ in range(3):
        rebalance(bench.context, broker)
        send(bench, broker)
        assert queued(bench) == {"w1": [2]}
    assert broker.waiting(["w0"]) == set()
    assert broker.waiting(["w1"]) == {tokens(bench, 2)[1]}
    assert ends(bench, 2) == [("lost", None), ("queued", None)]  # nobody's loss
    taken(bench, broker, 2)
    finish(bench, 0)
    rebalance(bench.context, broker)
    assert bench.chunk(2).status == "leased"


def test_an_order_that_its_worker_has_just_taken_stays(bench: Bench, broker: Broker, add_job: AddJob) -> None:
    end_of_a_stage(bench, broker, add_job)
    assert broker.take_back("w0", tokens(bench, 2)[0])  # its `started` is on the way
    rebalance(bench.context, broker)
    assert ends(bench, 2) == [("queued", None)]


def test_an_order_that_its_worker_does_not_take_goes_to_an_idle_worker(
    bench: Bench, broker: Broker, add_job: AddJob
) -> None:
    """The worker says that it is alive, but takes no orders."""
    add_job(chunks=1)
    bench.hello("w0")
    send(bench, broker)
    bench.hello("w1")
    for seconds, holder in ((14, "w0"), (2, "w1")):
        bench.clock.pass_(seconds)
        rebalance(bench.context, broker)
        send(bench, broker)
        assert queued(bench) == {holder: [0]}
    assert ends(bench) == [("lost", None), ("queued", None)]


@pytest.mark.parametrize("why", ["not busy", "paused", "failed it", "blocked", "gone"])
def test_an_order_stays_where_it_is(bench: Bench, broker: Broker, add_job: AddJob, why: str) -> None:
    end_of_a_stage(bench, broker, add_job)
    with bench.context.database.write() as session:
        if why == "not busy":
            session.query(Attempt).filter_by(token=tokens(bench, 0)[0]).update({"status": "lost"})
        elif why in ("failed it", "blocked"):
            chunk = bench.chunk(2 if why == "failed it" else 1)
            for number in range(1 if why == "failed it" else 3):
                session.add(
                    Attempt(chunk_id=chunk.id, number=9, token=str(number), status="failed", worker="w1", cause="task",
                            created_at=0, moved_at=0, lease_until=0)
                )  # fmt: skip
    if why == "paused":
        control(bench.context, "job", JobEvent.PAUSE)
    elif why == "gone":
        sweeper = Sweeper(bench.context, broker)
        sweeper.sweep()
        later(bench, sweeper, 31, "w0")
        assert broker.waiting(["w1"]) == set()
    rebalance(bench.context, broker)
    send(bench, broker)
    assert queued(bench) == {"w0": [2]}
    assert bench.chunk(2).attempts[-1].reason is None


def test_an_order_goes_only_to_an_idle_worker_with_the_encoder(bench: Bench, broker: Broker, add_job: AddJob) -> None:
    redacting(bench, add_job, "h264_nvenc", chunks=2)
    bench.hello("w0", encoders=("h264_nvenc",))
    send(bench, broker)
    taken(bench, broker, 0, "redact")
    bench.hello("w1", encoders=("libx264",))
    rebalance(bench.context, broker)
    send(bench, broker)
    assert queued(bench) == {"w0": [1]}
    bench.hello("w2", encoders=("h264_nvenc",))
    rebalance(bench.context, broker)
    send(bench, broker)
    assert queued(bench) == {"w2": [1]}
    assert bench.job().status == "redacting"


def test_two_idle_workers_get_one_order_each(bench: Bench, broker: Broker, add_job: AddJob) -> None:
    add_job(chunks=4)
    for worker in ("w0", "w1"):
        bench.hello(worker)
    send(bench, broker)
    for index in (0, 1):
        taken(bench, broker, index)
    for worker in ("w2", "w3"):
        bench.hello(worker)
    rebalance(bench.context, broker)
    send(bench, broker)
    assert queued(bench) == {"w2": [2], "w3": [3]}


def test_the_loop_does_so(bench: Bench, broker: Broker, add_job: AddJob) -> None:
    end_of_a_stage(bench, broker, add_job)
    stop, coordinator = threading.Event(), Coordinator(bench.context, sole=True)
    loop = threading.Thread(target=coordinator.run, args=[stop])
    loop.start()
    try:
        wait_until(lambda: broker.waiting(["w1"]))
    finally:
        stop.set()
        loop.join()
    assert queued(bench) == {"w1": [2]}
