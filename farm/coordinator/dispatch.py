"""Hands pending chunks out: an attempt and its order in one transaction, published only after the commit."""

import secrets

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from farm.broker import Broker
from farm.database.models import Attempt, Chunk, Job, Outgoing, Worker
from farm.database.statuses import move_chunk
from farm.domain.lifecycle import CHUNKS_OUT, AttemptStatus, ChunkEvent, ChunkStatus
from farm.domain.stages import WORKER_STAGES
from farm.jobs.context import Context
from farm.messages import Artefact, Order
from farm.settings import Settings

_WORKING = tuple(stage.status.value for stage in WORKER_STAGES)


def dispatch(context: Context) -> int:
    """Queue as many pending chunks as live workers have room for, oldest job first; how many."""
    now = context.clock()
    with context.database.read() as session:  # most calls end here, without the write lock
        if not _room(session, context.settings) or not _due(session, now, 1):
            return 0
    with context.database.write() as session:
        chunks = _due(session, now, _room(session, context.settings))
        alive = set(session.scalars(select(Worker.name).where(Worker.alive)))
        for chunk in chunks:
            _queue(session, context.settings, chunk, alive, now)
        return len(chunks)


def under_way(context: Context) -> bool:
    """Whether workers have anything to do: then their outcomes tell when to look again."""
    with context.database.read() as session:
        return _out(session) > 0


def _out(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(Chunk).where(Chunk.status.in_(CHUNKS_OUT))) or 0


def _room(session: Session, settings: Settings) -> int:
    workers = session.scalar(select(func.count()).select_from(Worker).where(Worker.alive)) or 0
    return max(0, workers * settings.messages_per_worker - _out(session))


def _due(session: Session, now: float, room: int) -> list[Chunk]:
    query = (
        select(Chunk)
        .join(Job)
        .where(Chunk.status == ChunkStatus.PENDING.value, Chunk.not_before <= now, Job.status.in_(_WORKING))
        .order_by(Job.created_at, Chunk.id)
        .limit(room)
    )
    return list(session.scalars(query))


def _queue(session: Session, settings: Settings, chunk: Chunk, alive: set[str], now: float) -> None:
    if not move_chunk(session, chunk, ChunkEvent.DISPATCH):
        return
    number = 1 + (session.scalar(select(func.count()).where(Attempt.chunk_id == chunk.id)) or 0)
    attempt = Attempt(
        chunk_id=chunk.id,
        number=number,
        token=secrets.token_hex(12),
        status=AttemptStatus.QUEUED.value,
        created_at=now,
        moved_at=now,
        lease_until=now + settings.queue_seconds,
    )
    avoid = _avoided(session, settings, chunk)
    if avoid >= alive:
        avoid = set()
    order = _order(session, chunk, attempt, sorted(avoid))
    session.add(attempt)
    session.add(Outgoing(token=attempt.token, queue=order.stage, body=order.model_dump(mode="json")))


def _avoided(session: Session, settings: Settings, chunk: Chunk) -> set[str]:
    """Workers that failed this chunk, and those that failed too often in this job."""
    failed = (Attempt.cause == "task", Attempt.worker.is_not(None), ~Attempt.reset)
    here = session.scalars(select(Attempt.worker).where(Attempt.chunk_id == chunk.id, *failed))
    blocked = session.scalars(
        select(Attempt.worker)
        .join(Chunk)
        .where(Chunk.job_id == chunk.job_id, *failed)
        .group_by(Attempt.worker)
        .having(func.count() >= settings.worker_failures)
    )
    return {name for name in (*here, *blocked) if name}


def _order(session: Session, chunk: Chunk, attempt: Attempt, avoid: list[str]) -> Order:
    job = chunk.job
    chunks = session.scalar(select(func.count()).where(Chunk.job_id == job.id, Chunk.stage == chunk.stage)) or 1
    return Order.model_validate(
        {
            "job": job.id,
            "stage": chunk.stage,
            "chunk": chunk.index,
            "chunks": chunks,
            "attempt": attempt.number,
            "token": attempt.token,
            "fingerprint": chunk.fingerprint,
            "plan": job.plan,
            "source": job.source,
            "inputs": [Artefact.model_validate(row) for row in chunk.inputs],
            "options": job.options,
            "container": job.container,
            "avoid": avoid,
        }
    )


def publish(context: Context, broker: Broker) -> int:
    """Send what the outbox holds; how many. Raises one of broker.BROKER_ERRORS: the rest is sent at the next call."""
    with context.database.read() as session:
        waiting = [(row.id, row.body) for row in session.scalars(select(Outgoing).order_by(Outgoing.id).limit(100))]
    for row_id, body in waiting:
        broker.publish(Order.model_validate(body))
        # a crash between the two sends it again, which is harmless; the other order would lose it
        with context.database.write() as session:
            session.execute(delete(Outgoing).where(Outgoing.id == row_id))
    return len(waiting)
