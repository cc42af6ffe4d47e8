"""The only module that writes statuses, with what belongs in the same transaction: counters, events and notes.

``domain.lifecycle`` says which status follows, a conditional UPDATE applies it. Transactions lock a job's row before
its attempts and chunks, so that no two of them wait for each other.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from farm.database.models import Attempt, Chunk, Event, Job, Note
from farm.database.session import changed, insert_once
from farm.domain.lifecycle import (
    OPEN_ATTEMPTS,
    AttemptStatus,
    ChunkEvent,
    ChunkStatus,
    JobEvent,
    chunk_after,
    chunk_before,
    job_after,
)
from farm.domain.stages import STAGES, JobStatus, Stage
from farm.errors import NotFound


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
    event: JobEvent,
    now: float,
    reason: str | None = None,
    *,
    open_chunks: int = 0,
    permanent: bool = False,
) -> bool:
    """Apply an event to a job; False if another transaction was first. Raises IllegalTransition.

    ``open_chunks``: how many chunks the stage has that begins with STAGE_DONE. Chunks of the current stage that are
    not done make STAGE_DONE impossible. ``permanent``: a failed job would fail again in the same way.
    """
    before = JobStatus(job.status)
    interrupted = JobStatus(job.interrupted) if job.interrupted else None
    after = job_after(before, event, interrupted)
    finished = now if after.over else None
    values: dict[str, object] = {"status": after.value, "reason": reason, "finished_at": finished}
    values |= {"interrupted": None, "permanent": permanent}
    if event in (JobEvent.PAUSE, JobEvent.FAIL, JobEvent.CANCEL):
        values["interrupted"] = job.interrupted if before is JobStatus.PAUSED else before.value
    conditions = [Job.id == job.id, Job.status == before.value]
    if event is JobEvent.STAGE_DONE:
        conditions.append(Job.open_chunks == 0)
        values["open_chunks"] = open_chunks
    moved = changed(session, update(Job).where(*conditions).values(**values))
    if moved:
        session.refresh(job)
        record_event(session, now, f"{before.value} → {after.value}" + (f": {reason}" if reason else ""), job.id)
    return moved


def set_back(session: Session, job: Job, stage: Stage, lost: Sequence[Chunk]) -> None:
    """Let an interrupted job resume at ``stage``, where the chunks ``lost`` are to be done again.

    Rows of later stages are deleted, with their attempts. Done is final for a chunk: a lost one gets a new row.
    """
    later = [s.name for s in STAGES[STAGES.index(stage) + 1 :]]
    gone = (Chunk.job_id == job.id) & (Chunk.stage.in_(later) | Chunk.id.in_([chunk.id for chunk in lost]))
    session.execute(delete(Attempt).where(Attempt.chunk_id.in_(select(Chunk.id).where(gone))))
    session.execute(delete(Chunk).where(gone))
    session.add_all(
        Chunk(job_id=job.id, stage=c.stage, index=c.index, frames=c.frames, fingerprint=c.fingerprint, inputs=c.inputs)
        for c in lost
    )
    undone = (Chunk.job_id == job.id, Chunk.stage == stage.name, Chunk.status != ChunkStatus.DONE.value)
    count = session.scalar(select(func.count()).where(*undone))
    session.execute(update(Job).where(Job.id == job.id).values(interrupted=stage.status.value, open_chunks=count))
    session.refresh(job)


def move_chunk(session: Session, chunk: Chunk, event: ChunkEvent, **values: object) -> bool:
    """Apply an event to a chunk; False if its status no longer allows it. Keeps the job's count of open chunks."""
    sources = [s.value for s in chunk_before(event)]
    after = chunk_after(chunk_before(event)[0], event)
    possible = update(Chunk).where(Chunk.id == chunk.id, Chunk.status.in_(sources))
    done = changed(session, possible.values(status=after.value, **values))
    if done:
        session.refresh(chunk)
        if event is ChunkEvent.COMPLETE:
            session.execute(update(Job).where(Job.id == chunk.job_id).values(open_chunks=Job.open_chunks - 1))
    return done


def move_chunks(session: Session, job_id: str, event: ChunkEvent, **values: object) -> None:
    """Apply an event, not COMPLETE, to all chunks of a job whose status allows it. The caller has locked the job.

    One by one, a job of thousands of chunks would hold the database's lock for seconds.
    """
    sources = [s.value for s in chunk_before(event)]
    mine = update(Chunk).where(Chunk.job_id == job_id, Chunk.status.in_(sources))
    session.execute(mine.values(status=chunk_after(chunk_before(event)[0], event).value, **values))


def complete_stage(session: Session, job: Job, rows: Sequence[Chunk], artefacts: Iterable[dict[str, Any]]) -> None:
    """Complete all rows of a stage that the coordinator does, with an artefact each. The caller has locked the job."""
    done = ChunkStatus.DONE.value
    made = zip(rows, artefacts, strict=True)
    session.execute(update(Chunk), [{"id": row.id, "status": done, "artefact": artefact} for row, artefact in made])
    session.execute(update(Job).where(Job.id == job.id).values(open_chunks=0))


def cancel_attempts(session: Session, job_id: str, now: float) -> None:
    """Close all open attempts of a job. The caller has locked the job."""
    mine = Attempt.chunk_id.in_(select(Chunk.id).where(Chunk.job_id == job_id))
    still_open = update(Attempt).where(Attempt.status.in_(OPEN_ATTEMPTS), mine)
    session.execute(still_open.values(status=AttemptStatus.CANCELLED.value, finished_at=now))


def end_attempt(session: Session, attempt: Attempt, status: AttemptStatus, now: float, **values: object) -> bool:
    """Close an open attempt; False if it was closed before. This condition makes a repeated outcome harmless."""
    locked_job(session, attempt.chunk.job_id)  # what follows changes the chunk, and often the job
    return _move_attempt(session, attempt, OPEN_ATTEMPTS, status=status.value, finished_at=now, **values)


def lease_attempt(session: Session, attempt: Attempt, now: float, lease_until: float) -> bool:
    """Begin the lease of a queued attempt that its worker has started; False where it is not queued any more."""
    leased = AttemptStatus.LEASED.value
    return _move_attempt(session, attempt, [AttemptStatus.QUEUED], status=leased, lease_until=lease_until, moved_at=now)


def _move_attempt(session: Session, attempt: Attempt, before: Iterable[AttemptStatus], **values: object) -> bool:
    possible = update(Attempt).where(Attempt.id == attempt.id, Attempt.status.in_(before))
    done = changed(session, possible.values(**values))
    if done:
        session.refresh(attempt)
    return done


def record_event(session: Session, now: float, text: str, job: str | None = None) -> None:
    """Add an event to the record of what happened."""
    session.add(Event(job_id=job, at=now, text=text))


def add_note(session: Session, job_id: str, text: str) -> bool:
    """Add a note to a job; False if the job has it already. The job's row must have been flushed."""
    return insert_once(session, Note, job_id=job_id, text=text)
