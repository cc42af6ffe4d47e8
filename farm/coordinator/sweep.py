"""Finds what is overdue: leases, silent workers, workers that stand still, messages that Redis lost."""

from collections.abc import Iterable, Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from farm.broker import Broker
from farm.coordinator.outcomes import fail_attempt, lose_worker
from farm.database.models import Attempt, Outgoing, Worker
from farm.database.statuses import end_attempt, move_chunk, record_event
from farm.domain.lifecycle import OPEN_ATTEMPTS, AttemptStatus, ChunkEvent
from farm.jobs.context import Context

#: An order that is not in Redis any more was taken; its worker says so within this time, or the message was lost.
#: However long the order had waited: the worker's word may be on its way when the order is first missed.
_TAKEN_SECONDS = 30


def sweep(context: Context, broker: Broker) -> None:
    """Declare lost what is lost, so that it is handed out again. Raises one of broker.BROKER_ERRORS."""
    emptied = broker.emptied()
    waiting = broker.waiting()
    now = context.clock()
    with context.database.read() as session:  # most calls end here, without the write lock
        _note_absent(session, broker.absent, now, waiting)
        if not emptied and not _silent(session, context, now) and not any(_overdue(session, context, now, broker)):
            return
    with context.database.write() as session:
        if emptied:  # first: what is missing now is missing for that reason, and counts as no loss
            _hand_out_again(session, now, waiting)
        for worker in _silent(session, context, now):
            lose_worker(session, context, worker, now, "fell silent")
        for attempt, why in list(_overdue(session, context, now, broker)):
            fail_attempt(session, context, attempt, AttemptStatus.LOST, "infrastructure", why, now)


def _silent(session: Session, context: Context, now: float) -> list[Worker]:
    before = now - context.settings.worker_silence_seconds
    return list(session.scalars(select(Worker).where(Worker.alive, Worker.seen_at < before)))


def _note_absent(session: Session, absent: dict[str, float], now: float, waiting: bytes) -> None:
    """Keep since when each order that was sent and not taken has not been in Redis."""
    unsent = set(session.scalars(select(Outgoing.token)))
    queued = session.scalars(select(Attempt.token).where(Attempt.status == AttemptStatus.QUEUED.value))
    missing = {token for token in queued if token not in unsent and token.encode() not in waiting}
    for token in absent.keys() - missing:
        del absent[token]
    for token in missing:
        absent.setdefault(token, now)


def _overdue(session: Session, context: Context, now: float, broker: Broker) -> Iterator[tuple[Attempt, str]]:
    settings = context.settings
    unsent = set(session.scalars(select(Outgoing.token)))
    open_attempts: Iterable[Attempt] = session.scalars(select(Attempt).where(Attempt.status.in_(OPEN_ATTEMPTS)))
    for attempt in open_attempts:
        if attempt.status == AttemptStatus.LEASED:
            if now > attempt.lease_until:
                yield attempt, f"no word from {attempt.worker} for {settings.lease_seconds:.0f} s"
            elif now - attempt.moved_at > settings.stall_seconds:
                yield attempt, f"no new frame from {attempt.worker} for {settings.stall_seconds:.0f} s"
        elif attempt.token not in unsent:
            if now > attempt.lease_until:
                yield attempt, f"no worker took it for {settings.queue_seconds:.0f} s"
            elif now - broker.absent.get(attempt.token, now) > _TAKEN_SECONDS:
                yield attempt, "its message was lost"


def _hand_out_again(session: Session, now: float, waiting: bytes) -> None:
    """Redis was emptied: what was queued is not there any more. Not the chunk's fault, so it counts as no loss."""
    unsent = set(session.scalars(select(Outgoing.token)))
    again = 0
    for attempt in session.scalars(select(Attempt).where(Attempt.status == AttemptStatus.QUEUED.value)):
        if attempt.token in unsent or attempt.token.encode() in waiting:
            continue
        if end_attempt(session, attempt, AttemptStatus.LOST, now, reason="Redis was emptied"):
            again += move_chunk(session, attempt.chunk, ChunkEvent.RELEASE)
    if again:
        record_event(session, now, f"Redis was emptied: {again} queued chunks are handed out again")
