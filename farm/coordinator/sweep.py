"""Finds what is overdue: leases, silent and stalled workers, orders that Redis lost or that no worker can get."""

from collections.abc import Iterator
from math import inf

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from farm.broker import Broker
from farm.coordinator.losses import Loss, fail_attempt, lose_worker, release
from farm.database.events import record_event
from farm.database.models import Attempt, Outgoing, Worker
from farm.domain.lifecycle import AttemptStatus
from farm.jobs.context import Context

#: An order that is not in Redis any more was taken by its worker, which reports that within this time, or was lost.
#: Counted from when the order is first missed, however long it had waited: the report may be on its way.
_TAKEN_SECONDS = 30
#: Longer between two sweeps, and the coordinator was not there to hear anybody: it was stopped, its host was
#: suspended, Redis or the database was away, or it has just begun to lead.
_UNWATCHED_SECONDS = 15
#: A worker ends a process that makes no progress, and says so, before the coordinator gives it up.
_WORKERS_TURN_SECONDS = 30


class Sweeper:
    """The sweeps of one leader, and what it has to remember between two of them."""

    def __init__(self, context: Context, broker: Broker) -> None:
        self._context, self._broker = context, broker
        self._swept = -inf  # by the clock of the context, as all times here
        self._disturbed = -inf  # what workers said before may have been lost
        self._emptied = False  # until the transaction that acts on it is committed
        self._absent: dict[str, float] = {}  # by token: since when an order is neither in Redis nor reported as started

    def sweep(self) -> None:
        """Reclaim lost attempts, so that their chunks are assigned again.

        Raises one of broker.BROKER_ERRORS, or DatabaseError: the next call goes on from there.
        """
        self._emptied = self._broker.emptied() or self._emptied
        now = self._context.clock()
        if not 0 <= now - self._swept < _UNWATCHED_SECONDS:
            self._begin_watch(now)
        if self._emptied:
            self._disturbed = now
        with self._context.database.read() as session:
            published = list(session.scalars(_published()))
        present = self._broker.waiting({attempt.worker for attempt in published if attempt.worker})
        missing = {attempt.token for attempt in published} - present
        self._absent = {token: self._absent.get(token, now) for token in missing}
        self._reclaim(missing, now)
        self._emptied = False
        self._swept = now

    def _begin_watch(self, now: float) -> None:
        """Give everybody the whole time again: nobody could be heard."""
        settings = self._context.settings
        ends = {AttemptStatus.LEASED: settings.lease_seconds, AttemptStatus.QUEUED: settings.queue_seconds}
        with self._context.database.write() as session:
            session.execute(update(Worker).where(Worker.alive).values(seen_at=now))
            for status, seconds in ends.items():
                mine = update(Attempt).where(Attempt.status == status.value)
                session.execute(mine.values(lease_until=now + seconds, moved_at=now))
        self._absent, self._disturbed = {}, now

    def _reclaim(self, missing: set[str], now: float) -> None:
        context = self._context
        with context.database.read() as session:  # most calls end here, without the write lock
            if not (
                (self._emptied and missing)
                or _silent(session, context, now)
                or _stranded(session)
                or any(self._overdue(session, now))
            ):
                return
        with context.database.write() as session:
            if self._emptied:  # first: this explains the missing orders, which therefore count as no loss
                gone = session.scalars(_published().where(Attempt.token.in_(missing)))
                if again := release(session, gone, now, "Redis was emptied"):
                    record_event(session, now, f"Redis was emptied: {again} queued chunks are assigned again")
            silent = _silent(session, context, now)
            for worker in silent:
                lose_worker(session, context, worker, now, "stopped sending heartbeats", "infrastructure")
            stranded = _stranded(session)
            release(session, stranded, now, "its worker is gone")
            for attempt, cause, why in list(self._overdue(session, now)):
                fail_attempt(session, context, attempt, cause, why, now)
        for name in {w.name for w in silent} | {a.worker for a in stranded if a.worker}:
            self._broker.delete_queue(name)

    def _overdue(self, session: Session, now: float) -> Iterator[tuple[Attempt, Loss, str]]:
        settings = self._context.settings
        leased = session.scalars(select(Attempt).where(Attempt.status == AttemptStatus.LEASED.value)).all()
        for attempt in leased:
            if now > attempt.lease_until:
                heard = attempt.lease_until - settings.lease_seconds
                cause: Loss = "farm" if heard <= self._disturbed else "infrastructure"
                yield attempt, cause, f"no report from {attempt.worker} for {settings.lease_seconds:.0f} s"
            elif now - attempt.moved_at > settings.stall_seconds + _WORKERS_TURN_SECONDS:
                why = f"no progress of {attempt.worker} for {now - attempt.moved_at:.0f} s"
                yield attempt, "infrastructure", why
        busy = {attempt.worker for attempt in leased}
        for attempt in session.scalars(_published()).all():
            if now - self._absent.get(attempt.token, now) > _TAKEN_SECONDS:
                yield attempt, "farm", "its message was lost"
            elif now > attempt.lease_until and attempt.worker not in busy:  # a busy one takes it later
                yield attempt, "farm", f"no worker took it for {settings.queue_seconds:.0f} s"


def _published() -> Select[Attempt]:
    """Attempts whose order was sent and that no worker reported as started."""
    unsent = select(Outgoing.id).where(Outgoing.token == Attempt.token).exists()
    return select(Attempt).where(Attempt.status == AttemptStatus.QUEUED.value, ~unsent)


def _silent(session: Session, context: Context, now: float) -> list[Worker]:
    before = now - context.settings.worker_silence_seconds
    return list(session.scalars(select(Worker).where(Worker.alive, Worker.seen_at < before)))


def _stranded(session: Session) -> list[Attempt]:
    """Attempts in the queue of a worker that is not alive."""
    query = (
        select(Attempt)
        .outerjoin(Worker, Worker.name == Attempt.worker)
        .where(Attempt.status == AttemptStatus.QUEUED.value, Worker.alive.is_not(True))
    )
    return list(session.scalars(query))
