"""Finds what is overdue: leases, silent and stalled workers, orders that Redis lost or that no worker can get."""

from collections.abc import Iterator

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from farm.broker import Broker
from farm.coordinator.outcomes import fail_attempt, lose_worker, release
from farm.database.models import Attempt, Outgoing, Worker
from farm.database.statuses import record_event
from farm.domain.lifecycle import AttemptStatus
from farm.jobs.context import Context

#: An order that is not in Redis any more was taken by its worker, which reports that within this time, or was lost.
#: Counted from when the order is first missed, however long it had waited: the report may be on its way.
_TAKEN_SECONDS = 30


def sweep(context: Context, broker: Broker) -> None:
    """Reclaim lost attempts, so that their chunks are assigned again. Raises one of broker.BROKER_ERRORS."""
    emptied = broker.emptied()
    with context.database.read() as session:
        published = list(session.scalars(_published()))
    present = broker.waiting({attempt.worker for attempt in published if attempt.worker})
    missing = {attempt.token for attempt in published} - present
    now = context.clock()
    broker.absent = {token: broker.absent.get(token, now) for token in missing}
    with context.database.read() as session:  # most calls end here, without the write lock
        if not (
            (emptied and missing)
            or _silent(session, context, now)
            or _stranded(session)
            or any(_overdue(session, context, now, broker.absent))
        ):
            return
    with context.database.write() as session:
        if emptied:  # first: this explains the missing orders, which therefore count as no loss
            gone = session.scalars(_published().where(Attempt.token.in_(missing)))
            if again := release(session, gone, now, "Redis was emptied"):
                record_event(session, now, f"Redis was emptied: {again} queued chunks are handed out again")
        silent = _silent(session, context, now)
        for worker in silent:
            lose_worker(session, context, worker, now, "fell silent")
        stranded = _stranded(session)
        release(session, stranded, now, "its worker is gone")
        for attempt, why in list(_overdue(session, context, now, broker.absent)):
            fail_attempt(session, context, attempt, "infrastructure", why, now)
    for name in {w.name for w in silent} | {a.worker for a in stranded if a.worker}:
        broker.delete_queue(name)


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


def _overdue(session: Session, context: Context, now: float, absent: dict[str, float]) -> Iterator[tuple[Attempt, str]]:
    settings = context.settings
    leased = session.scalars(select(Attempt).where(Attempt.status == AttemptStatus.LEASED.value)).all()
    for attempt in leased:
        if now > attempt.lease_until:
            yield attempt, f"no word from {attempt.worker} for {settings.lease_seconds:.0f} s"
        elif now - attempt.moved_at > settings.stall_seconds:
            yield attempt, f"no new frame from {attempt.worker} for {settings.stall_seconds:.0f} s"
    busy = {attempt.worker for attempt in leased}
    for attempt in session.scalars(_published()).all():
        if now - absent.get(attempt.token, now) > _TAKEN_SECONDS:
            yield attempt, "its message was lost"
        elif now > attempt.lease_until and attempt.worker not in busy:  # a busy worker takes it after its current order
            yield attempt, f"no worker took it for {settings.queue_seconds:.0f} s"
