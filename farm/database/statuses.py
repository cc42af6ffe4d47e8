"""The only module that writes statuses, with what belongs in the same transaction: counters, events and notes.

``domain.lifecycle`` says which status follows, a conditional UPDATE applies it. Transactions lock a job's row before
its attempts and chunks, so that no two of them wait for each other. Each change is an event.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, update
from sqlalchemy.orm import Session

from farm.database.events import record_change, record_event
from farm.database.models import Attempt, Chunk, Job, Worker
from farm.database.session import changed
from farm.domain.artefacts import name_of
from farm.domain.lifecycle import (
    OPEN_ATTEMPTS,
    AttemptStatus,
    ChunkEvent,
    ChunkStatus,
    JobEvent,
    Kind,
    WorkerStatus,
    chunk_after,
    chunk_before,
    job_after,
)
from farm.domain.stages import STAGES, JobStatus, Stage, stage_at
from farm.errors import NotFound

_BATCH = 500  # ids in one statement
_COUNTED = frozenset(stage.name for stage in STAGES)  # not errands


def locked_job(session: Session, job_id: str) -> Job:
    """A job's row as it is now, locked until the transaction ends. Raises NotFound."""
    row = select(Job).where(Job.id == job_id).with_for_update(key_share=True)
    job = session.scalars(row, execution_options={"populate_existing": True}).one_or_none()
    if job is None:
        raise NotFound(f"no job {job_id!r}")
    return job


def move_job(
    session: Session,
    job: Job,
    what: JobEvent,
    now: float,
    reason: str | None = None,
    *,
    open_chunks: int = 0,
    permanent: bool = False,
) -> bool:
    """Apply the event ``what`` to a job; False if another transaction was first. Raises IllegalTransition.

    ``open_chunks``: how many chunks the stage has that begins with STAGE_DONE. Chunks of the current stage that are
    not done make STAGE_DONE impossible. ``permanent``: a failed job would fail again in the same way.
    """
    before = JobStatus(job.status)
    interrupted = JobStatus(job.interrupted) if job.interrupted else None
    after = job_after(before, what, interrupted)
    finished = now if after.over else None
    values: dict[str, object] = {"status": after.value, "reason": reason, "finished_at": finished}
    values |= {"interrupted": None, "permanent": permanent}
    if what in (JobEvent.PAUSE, JobEvent.FAIL, JobEvent.CANCEL):
        values["interrupted"] = job.interrupted if before is JobStatus.PAUSED else before.value
    conditions = [Job.id == job.id, Job.status == before.value]
    if what is JobEvent.STAGE_DONE:
        conditions.append(Job.open_chunks == 0)
        values["open_chunks"] = open_chunks
    moved = changed(session, update(Job).where(*conditions).values(**values))
    if moved:
        session.refresh(job)
        text = f"{before.value} → {after.value}" + (f": {reason}" if reason else "")
        record_event(session, now, text, job.id, kind=Kind.JOB, before=before.value, after=after.value)
    return moved


def set_back(session: Session, job: Job, stage: Stage, lost: Sequence[Chunk]) -> None:
    """Let a job that does not run resume at ``stage``, where the chunks ``lost`` are to be done again.

    Rows of later stages that are not done are deleted; those that are stay until their stage begins again, see
    :func:`farm.jobs.beginning.begin_stage`. Done is final for a chunk: a lost one gets a new row.
    """
    later = [s.name for s in STAGES[STAGES.index(stage) + 1 :]]
    undone = Chunk.stage.in_(later) & (Chunk.status != ChunkStatus.DONE.value)
    _delete(session, (Chunk.job_id == job.id) & undone)
    delete_chunks(session, [chunk.id for chunk in lost])
    kept = ("job_id", "stage", "index", "frames", "fingerprint", "name", "inputs", "request")
    session.add_all(Chunk(**{column: getattr(chunk, column) for column in kept}) for chunk in lost)
    session.execute(update(Job).where(Job.id == job.id).values(interrupted=stage.status.value))
    _count(session, job, stage)


def delete_chunks(session: Session, ids: Sequence[int]) -> None:
    """Delete rows of chunks, with their attempts."""
    for start in range(0, len(ids), _BATCH):
        _delete(session, Chunk.id.in_(ids[start : start + _BATCH]))


def _delete(session: Session, gone: ColumnElement[bool]) -> None:
    session.execute(delete(Attempt).where(Attempt.chunk_id.in_(select(Chunk.id).where(gone))))
    session.execute(delete(Chunk).where(gone))


def recount(session: Session, job: Job) -> int:
    """Set a running job's count of open chunks to what its rows say, and return it."""
    stage = stage_at(JobStatus(job.status))
    assert stage is not None
    return _count(session, job, stage)


def _count(session: Session, job: Job, stage: Stage) -> int:
    undone = (Chunk.job_id == job.id, Chunk.stage == stage.name, Chunk.status != ChunkStatus.DONE.value)
    count = select(func.count()).where(*undone).scalar_subquery()
    session.execute(update(Job).where(Job.id == job.id).values(open_chunks=count))
    session.refresh(job)
    return job.open_chunks


def move_chunk(
    session: Session,
    chunk: Chunk,
    what: ChunkEvent,
    now: float,
    *,
    attempt: Attempt | None = None,
    reason: str | None = None,
    **values: object,
) -> bool:
    """Apply the event ``what`` to a chunk; False if its status no longer allows it. Keeps the job's count of open
    chunks.

    ``attempt``: whose start or end it is; its reason is the chunk's.
    """
    before = chunk.status
    sources = [s.value for s in chunk_before(what)]
    after = chunk_after(chunk_before(what)[0], what)
    possible = update(Chunk).where(Chunk.id == chunk.id, Chunk.status.in_(sources))
    done = changed(session, possible.values(status=after.value, **values))
    if done:
        session.refresh(chunk)
        reason = reason or (attempt.reason if attempt else None)
        record_change(session, now, reason, chunk, attempt, kind=Kind.CHUNK, before=before, after=after.value)
        if what is ChunkEvent.COMPLETE and chunk.stage in _COUNTED:
            session.execute(update(Job).where(Job.id == chunk.job_id).values(open_chunks=Job.open_chunks - 1))
    return done


def queue_attempt(session: Session, chunk: Chunk, token: str, worker: str, now: float, until: float) -> Attempt | None:
    """A new attempt at a pending chunk, for a worker to start before ``until``; None where it is not pending any more.

    The caller has locked the job's row.
    """
    if not move_chunk(session, chunk, ChunkEvent.DISPATCH, now, reason=f"for {worker}"):
        return None
    attempt = Attempt(
        chunk_id=chunk.id,
        number=1 + (session.scalar(select(func.count()).where(Attempt.chunk_id == chunk.id)) or 0),
        token=token,
        status=AttemptStatus.QUEUED.value,
        worker=worker,
        created_at=now,
        moved_at=now,
        lease_until=until,
    )
    session.add(attempt)
    record_change(session, now, None, chunk, attempt, kind=Kind.ATTEMPT, after=attempt.status)
    return attempt


def move_chunks(session: Session, job_id: str, what: ChunkEvent, now: float, reason: str, **values: object) -> None:
    """Apply ``what``, not COMPLETE, to all chunks of a job whose status allows it. The caller has locked the job.

    One by one, a job of thousands of chunks would hold the database's lock for seconds.
    """
    after = chunk_after(chunk_before(what)[0], what)
    mine = (Chunk.job_id == job_id, Chunk.status.in_([s.value for s in chunk_before(what)]))
    for stage, index, before in session.execute(select(Chunk.stage, Chunk.index, Chunk.status).where(*mine)):
        record_event(
            session, now, reason, job_id, kind=Kind.CHUNK, stage=stage, chunk=index, before=before, after=after.value
        )
    session.execute(update(Chunk).where(*mine).values(status=after.value, **values))


def complete_stage(
    session: Session, job: Job, rows: Sequence[Chunk], artefacts: Iterable[dict[str, Any]], now: float
) -> None:
    """Complete all rows of a stage that the coordinator does, with an artefact each. The caller has locked the job."""
    done = ChunkStatus.DONE.value
    made = [
        {"id": row.id, "status": done, "artefact": artefact, "name": name_of(artefact["key"])}
        for row, artefact in zip(rows, artefacts, strict=True)
    ]
    session.execute(update(Chunk), made)
    for row in rows:
        record_change(session, now, None, row, None, kind=Kind.CHUNK, before=row.status, after=done)
    session.execute(update(Job).where(Job.id == job.id).values(open_chunks=0))


def insert_done(session: Session, row: Chunk, artefact: dict[str, Any]) -> None:
    """Insert the row of what the coordinator has done beside the stages of a job, whose row the caller has locked."""
    row.status, row.artefact = ChunkStatus.DONE.value, artefact
    session.add(row)


def cancel_attempts(session: Session, job_id: str, now: float, reason: str) -> None:
    """Close all open attempts of a job. The caller has locked the job."""
    mine = (Attempt.chunk_id.in_(select(Chunk.id).where(Chunk.job_id == job_id)), Attempt.status.in_(OPEN_ATTEMPTS))
    after = AttemptStatus.CANCELLED
    for attempt in session.scalars(select(Attempt).where(*mine)):
        record_change(
            session, now, reason, attempt.chunk, attempt, kind=Kind.ATTEMPT, before=attempt.status, after=after.value
        )
    session.execute(update(Attempt).where(*mine).values(status=after.value, finished_at=now, reason=reason))


def end_attempt(session: Session, attempt: Attempt, status: AttemptStatus, now: float, **values: object) -> bool:
    """Close an open attempt; False if it was closed before. This condition makes a repeated outcome harmless."""
    locked_job(session, attempt.chunk.job_id)  # what follows changes the chunk, and often the job
    return _move_attempt(session, attempt, OPEN_ATTEMPTS, now, status=status.value, finished_at=now, **values)


def lease_attempt(session: Session, attempt: Attempt, now: float, lease_until: float) -> bool:
    """Begin the lease of a queued attempt that its worker has started; False where it is not queued any more."""
    values = {"status": AttemptStatus.LEASED.value, "lease_until": lease_until, "started_at": now, "moved_at": now}
    return _move_attempt(session, attempt, [AttemptStatus.QUEUED], now, **values)


def _move_attempt(
    session: Session, attempt: Attempt, possible: Iterable[AttemptStatus], now: float, **values: object
) -> bool:
    before = attempt.status
    condition = update(Attempt).where(Attempt.id == attempt.id, Attempt.status.in_(possible))
    done = changed(session, condition.values(**values))
    if done:
        session.refresh(attempt)
        chunk, after = attempt.chunk, attempt.status
        record_change(session, now, attempt.reason, chunk, attempt, kind=Kind.ATTEMPT, before=before, after=after)
    return done


def correct(session: Session, row: Job | Chunk | Attempt, **values: object) -> None:
    """Set columns of a row that contradicts others, whatever its status allows: for repairs, which record an event."""
    for name, value in values.items():
        setattr(row, name, value)
    session.flush()


def set_worker(session: Session, worker: Worker, now: float, reason: str = "", **values: object) -> None:
    """Change what a worker's status follows from: ``alive``, ``draining``, ``held``. An event if its status changes."""
    before = worker_status(worker)
    for name, value in values.items():
        setattr(worker, name, value)
    after = worker_status(worker)
    if before is not after:
        record_event(session, now, reason, kind=Kind.WORKER, worker=worker.name, before=before.value, after=after.value)


def worker_status(worker: Worker) -> WorkerStatus:
    """The status of a worker, which follows from its columns."""
    if not worker.alive:
        return WorkerStatus.GONE
    if worker.held == "block":
        return WorkerStatus.BLOCKED
    return WorkerStatus.DRAINING if worker.draining or worker.held else WorkerStatus.ALIVE
