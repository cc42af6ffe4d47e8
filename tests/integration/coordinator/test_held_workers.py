"""Workers that drain or are blocked: they get no orders, and others do what they had."""

from collections.abc import Callable

import pytest
from sqlalchemy import update

from farm.broker import Broker
from farm.coordinator.dispatch import dispatch, publish, rebalance, stop_cancelled, take_back_held
from farm.coordinator.outcomes import accept
from farm.database.models import Worker
from farm.domain.lifecycle import JobEvent
from farm.domain.manifest import Manifest
from farm.errors import NotFound
from farm.jobs.abilities import waiting_for
from farm.jobs.control import control
from farm.jobs.queries import job_events, job_facts
from farm.jobs.retention import clean
from farm.jobs.workers import Hold, WorkerFacts, hold_worker, list_workers
from farm.messages import Held, Hello, Progress, stop_key
from tests.integration.coordinator.conftest import Bench, ends

pytestmark = pytest.mark.integration
AddJob = Callable[..., Manifest]


def hold(bench: Bench, name: str, what: Hold | None, why: str | None = None) -> WorkerFacts:
    return hold_worker(bench.context, name, what, "ann@desk", why)


def states(bench: Bench) -> dict[str, str]:
    return {worker.name: worker.state for worker in list_workers(bench.context)}


@pytest.mark.parametrize("what", ["drain", "block"])
def test_the_orders_of_a_held_worker_go_to_another(bench: Bench, broker: Broker, add_job: AddJob, what: Hold) -> None:
    add_job(chunks=2)
    bench.hello("w0")
    (running, queued) = bench.orders()
    dispatch(bench.context)
    bench.start(running)
    broker.publish(queued, "worker:w0")
    bench.hello("w1")
    hold(bench, "w0", what, "noisy fan")
    assert bench.orders() == []  # all are with w0, for now
    take_back_held(bench.context, broker)
    assert broker.waiting(["w0"]) == set()
    blocked = what == "block"
    assert broker._redis.exists(stop_key(running.token, "w0")) == blocked
    again = bench.orders()
    assert [o.chunk for o in again] == ([0, 1] if blocked else [1])
    assert {bench.worker_of(o) for o in again} == {"w1"}
    assert ends(bench, 0)[0] == (("given_back" if blocked else "leased"), None)
    assert ends(bench, 1)[0] == ("given_back", None)
    bench.detect(running)
    assert bench.chunk(0).status == ("queued" if blocked else "done")
    assert job_facts(bench.context, "job").failures == 0
    take_back_held(bench.context, broker)  # nothing is left to take back
    rebalance(bench.context, broker)
    assert bench.orders() == []


def test_it_outlives_a_restart_of_the_worker_until_it_is_unblocked(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=1)
    bench.hello("w0")
    hold(bench, "w0", "block", "on fire")
    bench.hello("w0", "another start")
    (facts,) = list_workers(bench.context)
    assert (facts.state, facts.held, facts.held_by, facts.held_why) == ("blocked", "block", "ann@desk", "on fire")
    assert facts.held_at == bench.clock.now
    assert bench.orders() == []
    with bench.context.database.write() as session:
        session.execute(update(Worker).values(alive=False))
    bench.clock.pass_(100 * 86400)
    clean(bench.context, 0)
    bench.hello("w0", "and another")
    assert (states(bench), bench.orders()) == ({"w0": "blocked"}, [])
    assert hold(bench, "w0", None).held_by is None
    assert [bench.worker_of(o) for o in bench.orders()] == ["w0"]
    assert states(bench) == {"w0": "idle"}


def test_a_job_says_that_all_its_workers_are_held(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=1)
    for name in ("w0", "w1"):
        bench.hello(name)
    bench.hello("w2", runtimes=("onnxruntime-f32",))
    hold(bench, "w0", "drain")
    assert waiting_for(bench.context, "job") is None
    hold(bench, "w1", "block")
    hold(bench, "w2", "block")
    for _ in range(3):
        assert bench.orders() == []
    said = "w0 is draining, w1 is blocked, w2 is blocked"
    texts = [text for _, text in job_events(bench.context, "job")]
    assert texts.count(f"detect: waiting for a worker that takes orders: {said}") == 1
    assert (waiting_for(bench.context, "job") or "").startswith(f"a worker that takes orders: {said}")


def test_a_worker_that_stops_says_so_and_gets_nothing_more(bench: Bench, broker: Broker, add_job: AddJob) -> None:
    add_job(chunks=2)
    bench.hello("w0")
    running, _ = bench.orders()
    bench.start(running)
    hello = Hello(
        worker="w0", incarnation="a", host="h", device="cpu0", pid=1, holds=(Held(token=running.token),),
        runtimes=("openvino-f32",), draining=True,
    )  # fmt: skip
    accept(bench.context, hello)
    take_back_held(bench.context, broker)
    assert (states(bench), ends(bench, 1)) == ({"w0": "draining"}, [("given_back", None)])
    assert bench.orders() == []
    bench.detect(running)
    bench.hello("w0", "b")  # the next start
    assert [o.chunk for o in bench.orders()] == [1]


def test_workers_are_told_at_once_of_what_is_cancelled(bench: Bench, broker: Broker, add_job: AddJob) -> None:
    add_job(chunks=2)
    bench.hello("w0")
    running, queued = bench.orders()
    bench.start(running)
    stop_cancelled(bench.context, broker)
    assert not broker._redis.exists(stop_key(running.token, "w0"))
    control(bench.context, "job", JobEvent.CANCEL)
    stop_cancelled(bench.context, broker)
    assert broker._redis.exists(stop_key(running.token, "w0"))
    assert not broker._redis.exists(stop_key(queued.token, "w0"))  # refused when it begins


def test_an_unknown_name_is_answered_with_those_like_it(bench: Bench) -> None:
    bench.hello("cpu0@desk")
    with pytest.raises(NotFound, match=r"no worker 'cpu@desk' \(did you mean cpu0@desk\?\)"):
        hold(bench, "cpu@desk", "drain")
    with pytest.raises(NotFound, match="`farm workers` lists them"):
        hold(bench, "x", None)


def test_what_a_worker_does_and_how_fast(bench: Bench, broker: Broker, add_job: AddJob) -> None:
    add_job(chunks=2)
    bench.hello("w0")
    first, second = bench.orders()
    publish(bench.context, broker)
    assert list_workers(bench.context)[0].state == "idle"
    bench.start(first)
    (facts,) = list_workers(bench.context)
    assert (facts.state, facts.job, facts.stage, facts.chunk) == ("busy", "job", "detect", 1)
    assert facts.frames_per_second is None
    bench.clock.pass_(2)
    accept(bench.context, Progress(token=first.token, worker="w0", frames=3))
    assert list_workers(bench.context)[0].frames_per_second == 1.5
    bench.clock.pass_(2)
    bench.complete(first)  # 5 frames in 4 s
    bench.clock.pass_(60)
    (facts,) = list_workers(bench.context)
    assert (facts.state, facts.job, facts.frames_per_second) == ("idle", None, 1.25)
    bench.start(second)
    assert list_workers(bench.context)[0].frames_per_second == 1.25  # until it reports frames of this one
