"""What people do with an existing job: cancel, pause, resume, retry."""

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from farm.database.models import Attempt, Chunk, Job
from farm.database.statuses import locked_job, move_chunk, move_job
from farm.domain.lifecycle import ChunkEvent, ChunkStatus, JobEvent
from farm.domain.stages import STAGES, JobStatus
from farm.errors import IllegalTransition, NotFound, StorageError
from farm.jobs.context import Context
from farm.jobs.ending import withdraw
from farm.messages import Artefact


def find_job(session: Session, job_id: str) -> Job:
    """The job with this id, or whose id begins so. Raises NotFound."""
    found = list(session.scalars(select(Job).where(Job.id.startswith(job_id, autoescape=True)).limit(2)))
    if len(found) != 1 or not job_id:
        what = "more than one job begins with" if found else "no job"
        raise NotFound(f"{what} {job_id!r}", hint="`farm list` shows all jobs")
    return found[0]


def control(context: Context, job_id: str, event: JobEvent) -> tuple[str, JobStatus]:
    """Apply cancel, pause, resume or retry. Returns the job's id and new status.

    Raises NotFound, IllegalTransition, StorageError.
    """
    with context.database.read() as session:
        job_id = find_job(session, job_id).id
    if event is JobEvent.RETRY and not intact(context, job_id):
        raise StorageError(
            f"job {job_id}: parts that were finished are gone from the store",
            hint="submit the video again: what is still there is used",
        )
    with context.database.write() as session:
        job, now = locked_job(session, job_id), context.clock()
        if event is JobEvent.RETRY:
            retry_job(session, job, now)
        else:
            move_job(session, job, event, now)
            if event is JobEvent.CANCEL:
                withdraw(session, job, now)
        return job.id, JobStatus(job.status)


def retry_job(session: Session, job: Job, now: float) -> None:
    """Resume a failed or cancelled job where it stopped, with its failures reset. Raises IllegalTransition."""
    if job.interrupted is None:
        raise IllegalTransition(f"cannot retry a job that is {job.status}")
    move_job(session, job, JobEvent.RETRY, now)
    again = (ChunkStatus.FAILED.value, ChunkStatus.CANCELLED.value)
    mine = select(Chunk.id).where(Chunk.job_id == job.id)
    session.execute(update(Attempt).where(Attempt.chunk_id.in_(mine)).values(reset=True))
    for chunk in session.scalars(select(Chunk).where(Chunk.job_id == job.id, Chunk.status.in_(again))):
        move_chunk(session, chunk, ChunkEvent.RETRY, not_before=now)


def intact(context: Context, job_id: str) -> bool:
    """Whether the store still has everything that the rest of the job reads.

    If the job failed, that may be why: then the content counts too, which takes as long as reading it.
    """
    store = context.store
    with context.database.read() as session:
        job = session.get_one(Job, job_id)
        rows = session.execute(select(Chunk.stage, Chunk.artefact, Chunk.inputs).where(Chunk.job_id == job_id)).all()
    order = [stage.name for stage in STAGES]
    newest = max((row.stage for row in rows), key=order.index, default=None)
    # the artefacts of earlier stages have served: what counts is what the newest stage reads and has written
    needed = [
        Artefact.model_validate(a) for row in rows if row.stage == newest for a in (row.artefact, *row.inputs) if a
    ]
    if not all(store.exists(key) for key in (job.plan, *(a.key for a in needed))):
        return False
    return job.status != JobStatus.FAILED or all(a.is_whole(store.describe(a.key, a.frames)) for a in needed)
