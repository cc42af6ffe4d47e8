"""The only module that writes statuses, with what belongs in the same transaction: counters, events and notes.

``domain.lifecycle`` says which status follows, a conditional UPDATE applies it. Transactions lock a job's row before
its attempts and chunks, so that no two of them wait for each other.
"""

from importlib import import_module
from typing import cast

from sqlalchemy import CursorResult, Insert, Update, select, update
from sqlalchemy.orm import Session

from farm.database.models import Attempt, Chunk, Event, Job, Note
from farm.domain.lifecycle import (
    OPEN_ATTEMPTS,
    AttemptStatus,
    ChunkEvent,
    JobEvent,
    chunk_after,
    chunk_before,
    job_after,
)
from farm.domain.stages import JobStatus


def _changed(session: Session, statement: Insert | Update) -> bool:
    return cast("CursorResult[object]", session.execute(statement)).rowcount == 1


def locked_job(session: Session, job_id: str) -> Job:
    """A job's row as it is now, locked until the transaction ends. Raises NoResultFound."""
    row = select(Job).where(Job.id == job_id).with_for_update(key_share=True)
    return session.scalars(row, execution_options={"populate_existing": True}).one()


def move_job(
    session: Session, job: Job, event: JobEvent, now: float, reason: str | None = None, open_chunks: int = 0
) -> bool:
    """Apply an event to a job; False if another transaction was first. Raises IllegalTransition.

    ``open_chunks``: how many chunks the stage has that begins with STAGE_DONE. Chunks of the current stage that are
    not done make STAGE_DONE impossible.
    """
    before = JobStatus(job.status)
    interrupted = JobStatus(job.interrupted) if job.interrupted else None
    after = job_after(before, event, interrupted)
    values: dict[str, object] = {"status": after.value, "reason": reason}
    if event in (JobEvent.PAUSE, JobEvent.FAIL, JobEvent.CANCEL):
        values["interrupted"] = job.interrupted if before is JobStatus.PAUSED else before.value
    else:
        values["interrupted"] = None
    values["finished_at"] = now if after.over else None
    conditions = [Job.id == job.id, Job.status == before.value]
    if event is JobEvent.STAGE_DONE:
        conditions.append(Job.open_chunks == 0)
        values["open_chunks"] = open_chunks
    moved = _changed(session, update(Job).where(*conditions).values(**values))
    if moved:
        session.refresh(job)
        record_event(session, now, f"{before.value} → {after.value}" + (f": {reason}" if reason else ""), job.id)
    return moved


def move_chunk(session: Session, chunk: Chunk, event: ChunkEvent, **values: object) -> bool:
    """Apply an event to a chunk; False if its status no longer allows it. Keeps the job's count of open chunks."""
    sources = [s.value for s in chunk_before(event)]
    after = chunk_after(chunk_before(event)[0], event)
    done = _changed(
        session,
        update(Chunk).where(Chunk.id == chunk.id, Chunk.status.in_(sources)).values(status=after.value, **values),
    )
    if done:
        session.refresh(chunk)
        if event is ChunkEvent.COMPLETE:
            session.execute(update(Job).where(Job.id == chunk.job_id).values(open_chunks=Job.open_chunks - 1))
    return done


def end_attempt(session: Session, attempt: Attempt, status: AttemptStatus, now: float, **values: object) -> bool:
    """Close an open attempt; False if it was closed before. This condition makes a repeated outcome harmless."""
    locked_job(session, attempt.chunk.job_id)  # what follows changes the chunk, and often the job
    done = _changed(
        session,
        update(Attempt)
        .where(Attempt.id == attempt.id, Attempt.status.in_(OPEN_ATTEMPTS))
        .values(status=status.value, finished_at=now, **values),
    )
    if done:
        session.refresh(attempt)
    return done


def lease_attempt(session: Session, attempt: Attempt, worker: str, now: float, lease_until: float) -> bool:
    """Give a queued attempt to the first worker that starts it; False for a second one."""
    done = _changed(
        session,
        update(Attempt)
        .where(Attempt.id == attempt.id, Attempt.status == AttemptStatus.QUEUED.value)
        .values(status=AttemptStatus.LEASED.value, worker=worker, lease_until=lease_until, moved_at=now),
    )
    if done:
        session.refresh(attempt)
    return done


def record_event(session: Session, now: float, text: str, job: str | None = None) -> None:
    """Add an event to the record of what happened."""
    session.add(Event(job_id=job, at=now, text=text))


def add_note(session: Session, job_id: str, text: str) -> bool:
    """Add a note to a job; False if the job has it already. The job's row must have been flushed."""
    # SQLite's and PostgreSQL's inserts share no base; importing both takes 0.08 s of each command
    insert = import_module(f"sqlalchemy.dialects.{session.get_bind().dialect.name}").insert
    statement = insert(Note).values(job_id=job_id, text=text).on_conflict_do_nothing()
    return _changed(session, statement.execution_options(preserve_rowcount=True))
