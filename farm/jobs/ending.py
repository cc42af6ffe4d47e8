"""How a job ends early: it fails, and its open chunks are withdrawn."""

from sqlalchemy.orm import Session

from farm.database.models import Job
from farm.database.statuses import cancel_attempts, move_chunks, move_job
from farm.domain.lifecycle import ChunkEvent, JobEvent
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
    reason = f"the job is {job.status}"
    cancel_attempts(session, job.id, now, reason)
    move_chunks(session, job.id, ChunkEvent.CANCEL, now, reason)
