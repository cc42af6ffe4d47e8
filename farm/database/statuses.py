"""The one place that writes a status: ``domain.lifecycle`` says what follows, a conditional UPDATE makes it so."""

from typing import Any, cast

from sqlalchemy import CursorResult, update
from sqlalchemy.orm import Session

from farm.database.models import Attempt, Chunk, Event, Job
from farm.domain.lifecycle import (
    OPEN_ATTEMPTS,
    AttemptStatus,
    ChunkEvent,
    JobEvent,
    JobStatus,
    chunk_after,
    chunk_before,
    job_after,
)


def _changed(session: Session, statement: Any) -> bool:  # noqa: ANN401 - any UPDATE
    return cast("CursorResult[Any]", session.execute(statement)).rowcount == 1


def move_job(session: Session, job: Job, event: JobEvent, now: float, reason: str | None = None) -> bool:
    """Apply an event to a job; False if somebody else was first. Raises IllegalTransition."""
    before = JobStatus(job.status)
    interrupted = JobStatus(job.interrupted) if job.interrupted else None
    after = job_after(before, event, interrupted)
    values: dict[str, object] = {"status": after.value, "reason": reason}
    if event in (JobEvent.PAUSE, JobEvent.FAIL, JobEvent.CANCEL):
        values["interrupted"] = job.interrupted if before is JobStatus.PAUSED else before.value
    else:
        values["interrupted"] = None
    values["finished_at"] = now if after.over else None
    moved = _changed(session, update(Job).where(Job.id == job.id, Job.status == before.value).values(**values))
    if moved:
        session.refresh(job)
        note(session, now, f"{before.value} → {after.value}" + (f": {reason}" if reason else ""), job.id)
    return moved


def move_chunk(session: Session, chunk: Chunk, event: ChunkEvent, **values: object) -> bool:
    """Apply an event to a chunk if its status allows it; False if it does not any more."""
    sources = [s.value for s in chunk_before(event)]
    after = chunk_after(chunk_before(event)[0], event)
    done = _changed(
        session,
        update(Chunk).where(Chunk.id == chunk.id, Chunk.status.in_(sources)).values(status=after.value, **values),
    )
    if done:
        session.refresh(chunk)
    return done


def end_attempt(session: Session, attempt: Attempt, status: AttemptStatus, now: float, **values: object) -> bool:
    """Close an open attempt; False if it was closed before. The condition that makes every outcome harmless twice."""
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


def note(session: Session, now: float, text: str, job: str | None = None) -> None:
    """Write an event into the record."""
    session.add(Event(job_id=job, at=now, text=text))
