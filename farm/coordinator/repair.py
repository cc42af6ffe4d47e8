"""What a coordinator repairs when it takes the lead: rows that contradict each other.

The farm's own transactions leave none. A disk that lied about a write, a restored backup or a hand in the database may.
Each repair is an event of its job. What cannot be repaired fails its job, with what to do: no job waits for ever.
"""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from farm.coordinator.losses import release
from farm.coordinator.publishing import remove_leftovers
from farm.database.events import record_event
from farm.database.models import Attempt, Chunk, Job, Outgoing
from farm.database.statuses import correct, end_attempt, locked_job, recount
from farm.domain.lifecycle import CHUNKS_OUT, OPEN_ATTEMPTS, AttemptStatus, ChunkStatus
from farm.domain.manifest import Manifest
from farm.domain.stages import STAGES, Errand, JobStatus, stage_at, work_named
from farm.errors import JobFailed, NotFound, VerificationError
from farm.jobs.beginning import begin_stage, complete_rows
from farm.jobs.context import Context
from farm.jobs.ending import fail_job
from farm.jobs.plans import job_manifest
from farm.messages import Order

log = logging.getLogger(__name__)
_OVER = tuple(status.value for status in JobStatus if status.over)


def repair(context: Context) -> list[str]:
    """Repair all jobs; returns a line for each thing that was repaired. Raises DatabaseError.

    Doing it twice changes nothing.
    """
    done: list[str] = []
    with context.database.read() as session:
        forgotten = (Job.status != JobStatus.DONE.value) & Job.interrupted.is_(None)
        unsettled = or_(Job.status.not_in(_OVER), Job.finished_at.is_(None), forgotten)
        jobs = list(session.scalars(select(Job.id).where(unsettled)))
        strange = select(Chunk.job_id).join(Attempt).where(Attempt.status.in_(OPEN_ATTEMPTS))
        out = select(Chunk.job_id).where(Chunk.status.in_(CHUNKS_OUT))
        jobs += [job for query in (strange, out) for job in session.scalars(query.distinct())]
    for job_id in dict.fromkeys(jobs):
        done += _repaired(context, job_id)
    done += _outbox(context)
    _remove_leftovers(context)
    for line in done:
        log.warning("repaired: %s", line)
    return done


def _repaired(context: Context, job_id: str) -> list[str]:
    found = list[str]()
    try:
        with context.database.write() as session:
            job, now = locked_job(session, job_id), context.clock()
            manifest = _manifest(session, job, now)
            for rule in _RULES:
                found += rule(session, job, manifest, now)
            for text in found:
                record_event(session, now, f"repaired: {text}", job.id)
    except NotFound:  # deleted meanwhile
        return []
    except (VerificationError, ValidationError) as e:
        why = str(e).splitlines()[0]
        found = [f"its rows contradict each other, and it failed: {why}"]
        with context.database.write() as session:
            job, now = locked_job(session, job_id), context.clock()
            list(_status(session, job, None, now))
            fail_job(session, job, now, f"its record is damaged: {why}; submit the video again", permanent=True)
    return [f"job {job_id}: {text}" for text in found]


def _manifest(session: Session, job: Job, now: float) -> Manifest | None:
    """A job's plan; without one that this version can read, the job has failed."""
    try:
        return job_manifest(session, job.id)
    except JobFailed as e:
        if job.status not in _OVER and job.status in tuple(JobStatus):
            fail_job(session, job, now, str(e), permanent=True)
    return None


def _status(session: Session, job: Job, _manifest: Manifest | None, now: float) -> Iterator[str]:
    """A status that this version does not know: the job has failed, and ``farm retry`` resumes it."""
    if job.status not in tuple(JobStatus):
        yield f'its status was "{job.status}", which this version does not know'
        reason = f'its status was "{job.status}"; farm retry {job.id} resumes it'
        correct(session, job, status=JobStatus.FAILED.value, reason=reason, finished_at=now)
    if job.status in _OVER and job.finished_at is None:
        yield "the time of its end was missing"
        correct(session, job, finished_at=now)
    resumable = job.status in (JobStatus.PAUSED, JobStatus.FAILED, JobStatus.CANCELLED)
    if resumable and job.interrupted not in [stage.status for stage in STAGES]:
        yield "the stage that it resumes at was missing"
        correct(session, job, interrupted=_latest(session, job).value)


def _latest(session: Session, job: Job) -> JobStatus:
    """The status of the latest stage that a job has rows of."""
    begun = set(session.scalars(select(Chunk.stage).where(Chunk.job_id == job.id).distinct()))
    return next((stage.status for stage in reversed(STAGES) if stage.name in begun), JobStatus.DETECTING)


def _attempts(session: Session, job: Job, _manifest: Manifest | None, now: float) -> Iterator[str]:
    """An open attempt is the only one of a chunk that is handed out, in a job that is not over, or of an errand."""
    known = tuple(AttemptStatus)
    mine = select(Attempt).join(Chunk).where(Chunk.job_id == job.id).order_by(Attempt.id.desc())
    for attempt in session.scalars(mine.where(Attempt.status.not_in(known))).all():
        yield f'attempt {attempt.number} of {_place(attempt.chunk)} had the status "{attempt.status}"'
        correct(session, attempt, status=AttemptStatus.LOST.value, finished_at=now)
    newest: set[int] = set()
    for attempt in session.scalars(mine.where(Attempt.status.in_(OPEN_ATTEMPTS))).all():
        chunk = attempt.chunk
        over = job.status in _OVER and not isinstance(work_named(chunk.stage), Errand)
        if over or chunk.status not in CHUNKS_OUT or chunk.id in newest:
            end_attempt(session, attempt, AttemptStatus.CANCELLED, now, reason="repaired: nothing waited for it")
            yield f"attempt {attempt.number} of {_place(chunk)} was open, and nothing waited for it"
        newest.add(chunk.id)


def _chunks(session: Session, job: Job, _manifest: Manifest | None, now: float) -> Iterator[str]:
    """A chunk that is handed out has an open attempt; one that is done has an artefact; one that a running job needs
    has neither failed nor been cancelled.
    """
    mine = select(Chunk).where(Chunk.job_id == job.id)
    open_ones = select(Attempt.chunk_id).where(Attempt.status.in_(OPEN_ATTEMPTS))
    running = stage_at(JobStatus(job.status))
    lost = ChunkStatus.CANCELLED if job.status in _OVER else ChunkStatus.PENDING
    rules = [
        (Chunk.status.not_in(tuple(ChunkStatus)), "had a status that this version does not know"),
        (Chunk.status.in_(CHUNKS_OUT) & Chunk.id.not_in(open_ones), "was handed out without an attempt"),
    ]
    if running is not None:
        current, done = Chunk.stage == running.name, Chunk.status == ChunkStatus.DONE.value
        ended = Chunk.status.in_((ChunkStatus.FAILED.value, ChunkStatus.CANCELLED.value))
        rules.append((current & done & Chunk.artefact.is_(None), "was done without an artefact"))
        rules.append((current & ended, "had ended in a job that goes on"))
    for wrong, text in rules:
        for chunk in session.scalars(mine.where(wrong)).all():
            correct(session, chunk, status=lost.value, artefact=None, not_before=now)
            yield f"{_place(chunk)} {text}"


def _rows(session: Session, job: Job, manifest: Manifest | None, now: float) -> Iterator[str]:
    """The current stage has all of its rows, and the job counts those that are not done."""
    if job.status == JobStatus.PLANNING:  # it is stored together with its first stage
        if manifest is None:
            fail_job(session, job, now, "its plan cannot be read: submit the video again", permanent=True)
        else:
            begin_stage(session, None, job, manifest, now)
        yield "its first stage had not begun"
    if stage_at(JobStatus(job.status)) is None:
        return
    if manifest is not None and (missing := complete_rows(session, job, manifest)):
        yield f"{missing} chunk{'' if missing == 1 else 's'} of its stage had no row"
    before = job.open_chunks
    if recount(session, job) != before:
        yield f"its count of open chunks was {before}, and is {job.open_chunks}"


_RULES: tuple[Callable[[Session, Job, Manifest | None, float], Iterator[str]], ...] = (
    _status,
    _attempts,
    _chunks,
    _rows,
)


def _place(chunk: Chunk) -> str:
    return f"{chunk.stage}, chunk {chunk.index + 1}"


def _outbox(context: Context) -> list[str]:
    """Orders that cannot be read would hold up all that follow them. Their chunks are assigned again."""
    found = []
    with context.database.write() as session:
        for row in session.scalars(select(Outgoing)).all():
            try:
                Order.model_validate(row.body)
            except ValidationError:
                found.append(f"an order for {row.queue} could not be read")
                session.execute(delete(Outgoing).where(Outgoing.id == row.id))
                attempt = session.scalars(select(Attempt).where(Attempt.token == row.token)).one_or_none()
                if attempt is not None:
                    release(session, [attempt], context.clock(), "repaired: its order could not be read")
    return found


def _remove_leftovers(context: Context) -> None:
    """Unfinished outputs of killed coordinators, whose job has ended since."""
    with context.database.read() as session:
        folders = {Path(output).parent for output in session.scalars(select(Job.output).where(Job.status.in_(_OVER)))}
        left = {part.name.split("-")[1] for folder in folders for part in _parts(folder)}
        for job in session.scalars(select(Job).where(Job.status.in_(_OVER), Job.id.in_(left))):
            remove_leftovers(job)


def _parts(folder: Path) -> list[Path]:
    try:
        return list(folder.glob(".blurfarm-*-*.part"))
    except OSError:  # not there any more, or not readable
        return []
