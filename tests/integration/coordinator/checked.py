"""A farm whose parts are called one by one, and after each call SQL is compared with the rules."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from farm.coordinator.advance import advance, ready
from farm.coordinator.dispatch import dispatch, publish, rebalance
from farm.coordinator.leading import Leadership, LeadLost
from farm.coordinator.losses import give_all_back
from farm.coordinator.outcomes import accept
from farm.coordinator.sweep import Sweeper
from farm.jobs.context import Context
from farm.messages import AttemptOutcome, Order, Outcome, queue_of
from farm.storage.base import is_whole
from farm.storage.inputs import with_inputs
from tests.integration.coordinator.conftest import Clock
from tests.integration.coordinator.rules import (
    Snapshot,
    applied,
    check_dispatch,
    check_invariants,
    check_step,
    check_sweep,
    snapshot,
)
from tests.integration.coordinator.simulated import QueuesInMemory, SimulatedWorker

#: What a worker does, how it fails, and how it ends.
WORKS = ("completes", "completes", "short", "reports", "hangs")
FAILURES = ("task", "task", "infrastructure", "infrastructure", "task, permanent")
DEATHS = ("stops", "dies", "restarts", "host restarts")


class CheckedFarm:
    """One coordinator's functions over a real database, with queues in memory and simulated workers.

    ``now``: what SQL says.
    """

    def __init__(self, context: Context, clock: Clock, workers: tuple[str, ...]) -> None:
        self.context, self.clock, self.settings = context, clock, context.settings
        self.redis = QueuesInMemory()
        self.workers = {name: SimulatedWorker(name) for name in workers}
        self.leading: Leadership | None = None
        self.now = self._read()
        self.begin_to_lead()

    def _read(self) -> Snapshot:
        with self.context.database.read() as session:
            return snapshot(session)

    @contextmanager
    def step(self, by: str) -> Iterator[Snapshot]:
        """Whatever was done, all invariants hold afterwards. Yields the state before."""
        before = self.now
        with suppress(ConnectionError):
            yield before
        self.now = self._read()
        check_step(before, self.now, by)
        check_invariants(self.now, self.settings)

    def begin_to_lead(self) -> None:
        """A coordinator begins to lead, and remembers nothing of the former one."""
        former, self.leading = self.leading, Leadership(self.context.database, sole=True, monotonic=self.clock)
        assert self.leading.take()
        if former is not None:
            self.clock.pass_(3)
            with pytest.raises(LeadLost):
                former.keep()
        self.sweeper = Sweeper(self.context, self.redis)
        self._missed: dict[str, float] = {}
        self._swept = self.clock.now

    def receive(self) -> None:
        """All outcomes, in order; now and then another worker has sent the same before."""
        waiting, self.redis.outcomes = self.redis.outcomes, []
        for number, outcome in enumerate(waiting):
            if isinstance(outcome, AttemptOutcome) and number % 3 == 1:
                self.accept_one(outcome.model_copy(update={"worker": "another"}))
            self.accept_one(outcome)

    def accept_one(self, outcome: Outcome) -> None:
        """The coordinator receives an outcome."""
        with self.step("accept") as before:
            reply = accept(self.context, outcome)
            for token, worker in reply.stop:
                self.redis.stop(token, worker)
            if reply.gone is not None:
                self.redis.delete_queue(reply.gone)
                assert not any(a.worker == reply.gone and a.open for a in self._read().attempts.values())
        if isinstance(outcome, AttemptOutcome):
            assert self.now.statuses() == applied(before, outcome, self.settings).statuses()

    def advance(self) -> None:
        """All jobs that are ready."""
        for job in ready(self.context):
            with self.step("advance"):
                advance(self.context, job)

    def dispatch(self) -> None:
        """Chunks get their workers."""
        with self.step("dispatch") as before:
            dispatch(self.context)
        check_dispatch(before, self.now, self.settings)

    def publish(self) -> None:
        """The outbox is sent, and nothing that is not wanted any more."""
        sent, calm = {queue: len(orders) for queue, orders in self.redis.orders.items()}, not self.redis.fails
        with self.step("publish"):
            publish(self.context, self.redis)
        assert not (calm and self.now.outbox)
        for queue, orders in self.redis.orders.items():
            for order in orders[sent.get(queue, 0) :]:
                assert self.now.attempts[order.token].status == "queued"
                assert queue == queue_of(self.now.attempts[order.token].worker or "")

    def sweep(self) -> None:
        """What is overdue is reclaimed."""
        emptied = self.sweeper._emptied or not self.redis.known
        here = {order.token for orders in self.redis.orders.values() for order in orders}
        whole = False
        with self.step("sweep") as before:
            self.sweeper.sweep()
            whole = True
        if whole:
            self._check_missing(here)
            check_sweep(before, self.now, self.clock.now, self.settings, here.__contains__, emptied=emptied)

    def _check_missing(self, here: set[str]) -> None:
        """An order that is neither in Redis nor reported as started is missed for 30 s at most."""
        now, queued = self.clock.now, {t for t, a in self.now.attempts.items() if a.status == "queued"}
        if now - self._swept >= 15:  # nobody watched
            self._missed = {}
        self._missed = {t: self._missed.get(t, now) for t in queued - here - set(self.now.outbox)}
        assert all(now - since <= 30 for since in self._missed.values())
        self._swept = now

    def rebalance(self) -> None:
        """Orders are taken back for idle workers."""
        with self.step("rebalance"):
            rebalance(self.context, self.redis)

    def stop_the_farm(self) -> None:
        """Ctrl-C: the workers end first."""
        for worker in self.workers.values():
            worker.up, worker.held = False, None
        with self.step("stop"):
            give_all_back(self.context, "the farm was stopped")
        assert not self.now.workers

    def begin(self, name: str, *, host_restarted: bool = False) -> None:
        """A worker begins, also in place of one that was killed."""
        self.clock.pass_(0.01)
        self.redis.outcomes.append(self.workers[name].begin(self.clock.now, host_restarted=host_restarted))

    def up(self) -> list[SimulatedWorker]:
        """The workers that run."""
        return [worker for worker in self.workers.values() if worker.up]

    def work(self, worker: SimulatedWorker, how: str) -> None:
        """What a worker does with its order, or with the next one. ``short``: it reports too few frames."""
        out = self.redis.outcomes
        if not worker.held and (orders := self.redis.orders[queue_of(worker.name)]):
            out.append(worker.take(orders.pop(0)))
        if how == "hangs" or worker.held is None:
            out.append(worker.hello())
        elif (worker.held.token, worker.name) in self.redis.stops:
            out.append(worker.give_back())
        elif how == "reports":
            out.append(worker.progress())
        elif how in ("completes", "short"):
            self._inputs_are_there(worker.held)
            done = worker.complete(self.context.store)
            if how == "short":
                done = done.model_copy(update={"artefact": done.artefact.model_copy(update={"frames": 1})})
            out.append(done)
        elif how in FAILURES:
            cause, _, permanent = how.partition(", ")
            out.append(worker.fail(cause, permanent=bool(permanent)))
        else:
            if how == "stops":
                out.extend([worker.give_back(), worker.goodbye()])
            worker.up, worker.held = False, None
            if how.endswith("restarts"):
                self.begin(worker.name, host_restarted=how.startswith("host"))

    def _inputs_are_there(self, order: Order) -> None:
        """What an order reads is in the store for as long as its attempt is open."""
        attempt = self.now.attempts.get(order.token)
        if attempt is not None and attempt.status in ("queued", "leased"):
            for artefact in with_inputs(order, self.context.store).inputs:
                assert is_whole(self.context.store, artefact.key)

    def turn(self, how: str) -> None:
        """Every worker does the same with what it has, and the coordinator takes one of its turns."""
        self.clock.pass_(2)
        for worker in self.up():
            self.redis.outcomes.append(worker.hello())
            self.work(worker, how)
        for part in (self.receive, self.advance, self.dispatch, self.publish, self.sweep, self.rebalance):
            part()
