"""How a job ends before it is done: it fails, and what is out is withdrawn."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from farm.database.models import Chunk, Job
from farm.database.statuses import end_attempt, move_chunk, move_job
from farm.domain.lifecycle import OPEN_CHUNKS, AttemptStatus, ChunkEvent, JobEvent, JobStatus


def fail_job(session: Session, job: Job, now: float, reason: str) -> None:
    """The job fails with a reason; nothing more of it is handed out."""
    if JobStatus(job.status).over:
        return
    move_job(session, job, JobEvent.FAIL, now, reason)
    withdraw(session, job, now)


def withdraw(session: Session, job: Job, now: float) -> None:
    """Take back everything of a job that is out. Workers learn of it from the answer to their next progress."""
    for chunk in session.scalars(select(Chunk).where(Chunk.job_id == job.id, Chunk.status.in_(OPEN_CHUNKS))):
        for attempt in chunk.attempts:
            end_attempt(session, attempt, AttemptStatus.CANCELLED, now)
        move_chunk(session, chunk, ChunkEvent.CANCEL)
