"""How a job ends early: it fails, and its open chunks are withdrawn."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from farm.database.models import Chunk, Job
from farm.database.statuses import end_attempt, move_chunk, move_job
from farm.domain.lifecycle import OPEN_CHUNKS, AttemptStatus, ChunkEvent, JobEvent
from farm.domain.stages import JobStatus


def fail_job(session: Session, job: Job, now: float, reason: str, *, permanent: bool = False) -> None:
    """Fail a job with a reason; no more of its chunks are handed out. Does nothing to a job that is over.

    ``permanent``: ``farm retry`` would fail in the same way.
    """
    if JobStatus(job.status).over:
        return
    move_job(session, job, JobEvent.FAIL, now, reason, permanent=permanent)
    withdraw(session, job, now)


def withdraw(session: Session, job: Job, now: float) -> None:
    """Cancel a job's open chunks and attempts. Workers learn of it from the answer to their next progress.

    The caller has changed, and so locked, the job's row.
    """
    still_open = select(Chunk).where(Chunk.job_id == job.id, Chunk.status.in_(OPEN_CHUNKS)).order_by(Chunk.id)
    reason = f"the job is {job.status}"
    for chunk in session.scalars(still_open):
        for attempt in chunk.attempts:
            end_attempt(session, attempt, AttemptStatus.CANCELLED, now, reason=reason)
        move_chunk(session, chunk, ChunkEvent.CANCEL, now, reason=reason)
