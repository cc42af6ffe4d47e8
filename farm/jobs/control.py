"""What people do with an existing job: cancel, pause, resume, retry."""

from farm.database.statuses import locked_job, move_job
from farm.domain.lifecycle import JobEvent
from farm.domain.stages import JobStatus
from farm.jobs.context import Context
from farm.jobs.ending import withdraw
from farm.jobs.queries import find_job
from farm.jobs.retrying import damaged_artefacts, retry_job


def control(context: Context, job_id: str, event: JobEvent) -> tuple[str, JobStatus]:
    """Apply cancel, pause, resume or retry. Returns the job's id and new status.

    Raises NotFound, IllegalTransition, and what :func:`farm.jobs.retrying.retry_job` raises.
    """
    with context.database.read() as session:
        job_id = find_job(session, job_id).id
    damaged = damaged_artefacts(context, job_id) if event is JobEvent.RETRY else frozenset()
    with context.database.write() as session:
        job, now = locked_job(session, job_id), context.clock()
        if event is JobEvent.RETRY:
            retry_job(session, context.store, job, now, damaged)
        else:
            move_job(session, job, event, now)
            if event is JobEvent.CANCEL:
                withdraw(session, job, now)
        return job.id, JobStatus(job.status)
