"""What people do with an existing job: cancel, pause, resume, retry."""

from contextlib import suppress

from sqlalchemy.orm import Session

from farm.database.models import Job
from farm.database.statuses import locked_job, move_job
from farm.domain.lifecycle import JobEvent
from farm.domain.stages import JobStatus
from farm.errors import IllegalTransition
from farm.jobs.companions import group_of, refuse_companion
from farm.jobs.context import Context
from farm.jobs.ending import withdraw
from farm.jobs.queries import find_job
from farm.jobs.retrying import damaged_artefacts, retry_job


def control(context: Context, job_id: str, event: JobEvent) -> tuple[str, JobStatus]:
    """Apply cancel, pause, resume or retry, to its companions too. Returns the job's id and new status.

    Raises NotFound, IllegalTransition, and what :func:`farm.jobs.retrying.retry_job` raises.
    """
    with context.database.read() as session:
        found = find_job(session, job_id)
        refuse_companion(found)
        job_id, *companions = group_of(session, found.id)
    retried = [job_id, *companions] if event is JobEvent.RETRY else []
    damaged = {each: damaged_artefacts(context, each) for each in retried}
    with context.database.write() as session:
        job = locked_job(session, job_id)
        _apply(session, context, job, event, damaged.get(job_id, frozenset()))
        for each in companions:
            with suppress(IllegalTransition):  # one may be done already, or not have failed
                _apply(session, context, locked_job(session, each), event, damaged.get(each, frozenset()))
        return job.id, JobStatus(job.status)


def _apply(session: Session, context: Context, job: Job, event: JobEvent, damaged: frozenset[str]) -> None:
    now = context.clock()
    if event is JobEvent.RETRY:
        retry_job(session, context.store, job, now, damaged)
        return
    move_job(session, job, event, now)
    if event is JobEvent.CANCEL:
        withdraw(session, job, now)
