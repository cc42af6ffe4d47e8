"""The state machine and the coordinator's SQL against a model: random steps, messages and faults, in any order.

The product's functions run over a real database and a store in memory; Redis and the workers are simulated, so that
each message can be late, lost, doubled or out of order. ``make model`` takes many more steps than the tests do.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from sqlalchemy import delete

from farm.database.models import Base, Identity, Job
from farm.database.session import Database
from farm.domain.lifecycle import JobEvent
from farm.domain.manifest import Manifest
from farm.errors import IllegalTransition
from farm.jobs.context import Context
from farm.jobs.control import control
from farm.jobs.edits import approve
from farm.settings import load_settings
from tests.integration.coordinator.checked import DEATHS, FAILURES, WORKS, CheckedFarm
from tests.integration.coordinator.conftest import Bench, Clock
from tests.integration.coordinator.rules import OVER, WISHES, check_events
from tests.memory_store import MemoryStorage

T = TypeVar("T")

pytestmark = pytest.mark.integration
EXAMPLES = int(os.environ.get("FARM_MODEL_EXAMPLES", "0"))
STEPS = int(os.environ.get("FARM_MODEL_STEPS", "40"))
WORKERS = ("w0", "w1", "w2")
JOBS, CHUNKS = 6, st.integers(1, 4)
PARTS = ("begin_to_lead", "receive", "advance", "dispatch", "publish", "sweep", "rebalance", "stop_the_farm")
FAILS = ("", "before", "after")
#: Turns of two seconds, in which every job has to end once nothing fails any more: well below ``queue_seconds``.
BOUND = 120


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    url = None if request.param == "sqlite" else str(request.getfixturevalue("fresh_postgres"))
    made = load_settings(home=tmp_path / "home", database_url=url)
    made.home.mkdir()
    (tmp_path / "scratch").mkdir()
    clock, database = Clock(), Database(made.sql_url)
    database.migrate()
    yield Bench(Context(made, database, MemoryStorage(tmp_path / "scratch"), clock), clock)
    database.close()


class Model(RuleBasedStateMachine):
    """One farm. What a process does in several transactions can end after each of them."""

    bench: Bench
    add_job: Callable[..., Manifest]

    @initialize(
        limits=st.sampled_from([(2, 2, 3, 2), (3, 5, 20, 3)]), up=st.integers(0, 3), chunks=st.lists(CHUNKS, max_size=2)
    )
    def begin(self, limits: tuple[int, int, int, int], up: int, chunks: list[int]) -> None:
        names = ("task_errors", "infrastructure_losses", "farm_losses", "worker_failures")
        bench = self.bench
        with bench.context.database.write() as session:
            for table in reversed(Base.metadata.sorted_tables):
                if table is not Identity.__table__:
                    session.execute(delete(table))
        bench.context.store.content.clear()  # type: ignore[attr-defined]  # of the store in memory
        for path in bench.context.settings.home.parent.glob("*.mp4"):
            path.unlink()
        limited = bench.context.settings.model_copy(update=dict(zip(names, limits, strict=True)))
        self.farm = CheckedFarm(replace(bench.context, settings=limited), bench.clock, WORKERS)
        self.jobs = 0
        for name in WORKERS[:up]:
            self.farm.begin(name)
        for number in chunks:
            self.submit(number)

    # people

    @precondition(lambda self: self.jobs < JOBS)
    @rule(chunks=CHUNKS, review=st.booleans())
    def submit(self, chunks: int, review: bool = False) -> None:
        self.jobs += 1
        with self.farm.step("submit"):
            job_id = f"job{self.jobs}"
            self.add_job(job_id=job_id, chunks=chunks, output=f"out{self.jobs}.mp4")
            with self.farm.context.database.write() as session:
                session.get_one(Job, job_id).review = review

    @precondition(lambda self: self.jobs)
    @rule(which=st.integers(1, JOBS))
    def approve(self, which: int) -> None:
        job_id = _one(list(self.farm.now.jobs), which)
        job = self.farm.now.jobs[job_id]
        with self.farm.step("approve"):
            if job.status == "reviewing" and job.review:
                approve(self.farm.context, job_id, "somebody", "")
            else:
                with pytest.raises(IllegalTransition):
                    approve(self.farm.context, job_id, "somebody", "")

    @precondition(lambda self: self.jobs)
    @rule(which=st.integers(1, JOBS), wish=st.sampled_from(sorted(WISHES)))
    def wish(self, which: int, wish: str) -> None:
        not_done = [job_id for job_id, job in self.farm.now.jobs.items() if job.status != "done"]
        job_id = _one(not_done or list(self.farm.now.jobs), which)
        job = self.farm.now.jobs[job_id]
        possible, status = WISHES[wish]
        with self.farm.step(wish):
            if job.status in possible:
                control(self.farm.context, job_id, JobEvent(wish))
            else:
                with pytest.raises(IllegalTransition):
                    control(self.farm.context, job_id, JobEvent(wish))
        expected = (status or job.interrupted) if job.status in possible else job.status
        assert self.farm.now.jobs[job_id].status == expected

    # the coordinator, part by part

    @rule(parts=st.lists(st.sampled_from(PARTS), min_size=1, max_size=6), fails=st.sampled_from(FAILS))
    def coordinator(self, parts: list[str], fails: str) -> None:
        """``fails``: how Redis fails once. ``after``: as if the process ended between a call and what follows it."""
        self.farm.redis.fails = fails
        for part in parts:
            getattr(self.farm, part)()
        self.farm.redis.fails = ""

    @precondition(lambda self: self.farm.redis.outcomes)
    @rule(where=st.integers(0, 50), copy=st.booleans())
    def deliver(self, where: int, copy: bool) -> None:
        """Any of the messages on their way, and perhaps not for the last time."""
        outcome = _one(self.farm.redis.outcomes, where)
        if not copy:
            self.farm.redis.outcomes.remove(outcome)
        self.farm.accept_one(outcome)

    # Redis and time

    @rule(what=st.sampled_from(["emptied", "outcome lost", "order lost", "order doubled"]), which=st.integers(0, 20))
    def redis_fails(self, what: str, which: int) -> None:
        if what.startswith("order"):  # there have to be some
            self.farm.dispatch()
            self.farm.publish()
        queues = [queue for queue in self.farm.redis.orders.values() if queue]
        if what == "emptied":
            self.farm.redis.empty()
        elif what == "outcome lost" and self.farm.redis.outcomes:
            self.farm.redis.outcomes.remove(_one(self.farm.redis.outcomes, which))
        elif what == "order lost" and queues:
            _one(queues, which).pop()
        elif what == "order doubled" and queues:
            _one(queues, which).insert(0, _one(queues, which)[0])

    @rule(seconds=st.sampled_from([0.5, 6, 20, 50, 130, 700, 4000]))
    def time_jumps(self, seconds: float) -> None:
        self.farm.clock.pass_(seconds)

    @rule(turns=st.sampled_from([2, 5, 13]), awake=st.sets(st.sampled_from(WORKERS)))
    def time_passes(self, turns: int, awake: set[str]) -> None:
        """The coordinator watches; some workers hang with what they have, the others are not heard of."""
        for _ in range(turns):
            self.farm.clock.pass_(10)
            for worker in self.farm.up():
                if worker.name in awake:
                    self.farm.work(worker, "hangs")
            self.farm.receive()
            self.farm.sweep()

    # workers

    @rule(name=st.sampled_from(WORKERS), host_restarted=st.booleans())
    def worker_begins(self, name: str, host_restarted: bool) -> None:
        """Also in place of one that was killed."""
        self.farm.begin(name, host_restarted=host_restarted)

    @rule(name=st.sampled_from(WORKERS), how=st.sampled_from([*WORKS, *FAILURES, *DEATHS]))
    def worker_works(self, name: str, how: str) -> None:
        if self.farm.workers[name].up:
            self.farm.work(self.farm.workers[name], how)

    @rule(turns=st.integers(1, 6), how=st.sampled_from([*WORKS, *FAILURES, *DEATHS]))
    def farm_works(self, turns: int, how: str) -> None:
        """All workers do the same for some turns."""
        for _ in range(turns):
            self.farm.turn(how)

    @rule(turns=st.integers(2, 6), how=st.sampled_from([*FAILURES, *DEATHS]))
    def farm_fails(self, turns: int, how: str) -> None:
        """So often that limits are reached."""
        self.farm_works(turns, how)

    def teardown(self) -> None:
        """No more faults: every job that is not paused comes to its end, whatever happened before."""
        if not hasattr(self, "farm"):
            return
        for name in ("w0", "w1"):
            if not self.farm.workers[name].up:
                self.farm.begin(name)
        turns = 0
        for job_id, job in self.farm.now.jobs.items():
            if job.review and job.status != "paused":
                with self.farm.context.database.write() as session:
                    session.get_one(Job, job_id).review = False
        while waiting := [j for j in self.farm.now.jobs.values() if j.status not in (*OVER, "paused")]:
            assert turns < BOUND, waiting
            self.farm.turn("completes")
            turns += 1
        with self.farm.context.database.read() as session:
            check_events(session)


def _one(found: Sequence[T], which: int) -> T:
    return found[which % len(found)]


def test_model(bench: Bench, add_job: Callable[..., Manifest]) -> None:
    class Here(Model):
        pass

    Here.bench, Here.add_job = bench, staticmethod(add_job)
    long = EXAMPLES > 0
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=EXAMPLES or 8, stateful_step_count=STEPS, deadline=None, derandomize=not long, database=None,
            print_blob=long, report_multiple_bugs=False, suppress_health_check=list(HealthCheck),
            phases=[Phase.generate, Phase.shrink],
        ),
    )  # fmt: skip
