"""Companion jobs: a job that redacts another video, or the cover art, of the same source as its main job.

The main job's output takes their outputs as streams. Until then it waits before it composes; it fails where one of them
does. People act on the main job, which acts on all; masks are each job's own.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from farm.database.models import Chunk, Job
from farm.database.statuses import locked_job
from farm.domain.stages import STAGES, JobStatus
from farm.errors import IllegalTransition, JobFailed

#: The request of the main job's last stage says under this name where each companion's output is.
STREAMS = "streams"
_ENDED_EARLY = (JobStatus.FAILED.value, JobStatus.CANCELLED.value)
_OVER = tuple(status.value for status in JobStatus if status.over)


def companions_of(session: Session, job_id: str) -> list[Job]:
    """The companions of a job, by the streams of its source."""
    return list(session.scalars(select(Job).where(Job.main == job_id).order_by(Job.stream)))


def group_of(session: Session, job_id: str) -> list[str]:
    """The ids of a job and its companions."""
    return [job_id, *session.scalars(select(Job.id).where(Job.main == job_id).order_by(Job.stream))]


def locked_with_main(session: Session, job_id: str) -> Job:
    """A job's row, locked after that of its main job, as whatever locks both does. Raises NotFound."""
    main = session.scalar(select(Job.main).where(Job.id == job_id))
    if main is not None:
        locked_job(session, main)
    return locked_job(session, job_id)


def refuse_companion(job: Job) -> None:
    """Raise IllegalTransition for a job whose main job has to be acted on."""
    if job.main is not None:
        raise IllegalTransition(f"job {job.id} redacts stream {job.stream} for job {job.main}", hint=f"name {job.main}")


def abandoned(session: Session) -> list[str]:
    """The main jobs that are to fail as one of their companions has ended without an output."""
    companion = aliased(Job)
    lost = select(companion.main).where(companion.main.is_not(None), companion.status.in_(_ENDED_EARLY))
    ended = (*_OVER, JobStatus.PAUSED.value)
    return list(session.scalars(select(Job.id).where(Job.id.in_(lost), Job.status.not_in(ended))))


def check_companions(companions: Sequence[Job]) -> None:
    """Raise JobFailed if a companion has ended without an output."""
    for job in companions:
        if job.status in _ENDED_EARLY:
            said = f"stream {job.stream} of the source could not be redacted (job {job.id} is {job.status}"
            without = f"; --drop-streams {job.stream} leaves it out)"
            error = JobFailed(said + without + (f": {job.reason}" if job.reason else ""))
            error.permanent = job.permanent
            raise error


def composed(session: Session, job: Job) -> dict[str, Any] | None:
    """The composed output of a job as JSON; None where there is none (yet)."""
    last = (Chunk.job_id == job.id, Chunk.stage == STAGES[-1].name)
    return session.scalar(select(Chunk.artefact).where(*last)) if job.status == JobStatus.DONE else None


def streams_request(session: Session, job_id: str) -> dict[str, Any]:
    """What the request of a main job's last stage says of its companions, all of which are done."""
    streams = {
        str(job.stream): {"plan": job.plan, "output": composed(session, job)} for job in companions_of(session, job_id)
    }
    return {STREAMS: streams} if streams else {}
