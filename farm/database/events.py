"""The record of what happened: events, and notes for the people who submit jobs.

A transaction inserts all of its events in one statement when it commits.
"""

from sqlalchemy import event, insert
from sqlalchemy.orm import Session

from farm.database.models import Attempt, Chunk, Event, Note
from farm.database.session import insert_once
from farm.domain.lifecycle import Kind

_EVENTS = "events"  # in a session's info: the rows to insert when it commits


def record_event(
    session: Session,
    now: float,
    text: str,
    job: str | None = None,
    *,
    kind: Kind = Kind.NOTE,
    stage: str | None = None,
    chunk: int | None = None,
    attempt: int | None = None,
    worker: str | None = None,
    before: str | None = None,
    after: str | None = None,
) -> None:
    """Add an event to the record of what happened; see :class:`Event`. It is written when the transaction commits.

    ``farm status`` shows the events of a job that are about no chunk, ``farm logs`` all.
    """
    row = {"at": now, "text": text, "job_id": job, "kind": kind.value, "stage": stage, "chunk": chunk}
    row |= {"attempt": attempt, "worker": worker, "before": before, "after": after}
    session.info.setdefault(_EVENTS, []).append(row)


def record_change(
    session: Session,
    now: float,
    reason: str | None,
    chunk: Chunk,
    attempt: Attempt | None,
    *,
    kind: Kind,
    before: str | None = None,
    after: str,
) -> None:
    """Add the event of a chunk, or of an attempt at it, whose status changed."""
    number, worker = (attempt.number, attempt.worker) if attempt is not None else (None, None)
    record_event(
        session, now, reason or "", chunk.job_id, kind=kind, stage=chunk.stage, chunk=chunk.index,
        attempt=number, worker=worker, before=before, after=after,
    )  # fmt: skip


@event.listens_for(Session, "before_commit")
def _write_events(session: Session) -> None:
    rows = session.info.pop(_EVENTS, None)
    if rows:
        session.flush()  # the jobs that they are about
        session.connection().execute(insert(Event.__table__), rows)  # type: ignore[arg-type]  # it is a Table


def add_note(session: Session, job_id: str, text: str) -> bool:
    """Add a note to a job; False if the job has it already. The job's row must have been flushed."""
    return insert_once(session, Note, job_id=job_id, text=text)
