"""The story of a job or of one of its chunks: events of the database and records of this host's logs, in time order."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from farm.database.models import Attempt, Chunk, Event, Job
from farm.domain.lifecycle import Kind
from farm.domain.stages import STAGES
from farm.errors import NotFound
from farm.jobs.context import Context
from farm.jobs.queries import find_job, iso_time
from farm.logs import lines_about

_PER_CHUNK = [stage.name for stage in STAGES if stage.per_chunk]


@dataclass(frozen=True, slots=True)
class Entry:
    """What happened at a time. ``by``: ``farm`` for an event, else the process that logged it; ``chunk`` counts from 1.

    ``kind``: of an event, what changed from status ``before`` to ``after``, or ``note``; of a record, its level.
    """

    at: float
    by: str
    kind: str
    text: str
    stage: str | None = None
    chunk: int | None = None
    attempt: int | None = None
    worker: str | None = None
    before: str | None = None
    after: str | None = None
    traceback: str | None = None

    def row(self) -> dict[str, Any]:
        """All that is known, as JSON."""
        return {**asdict(self), "at": iso_time(self.at)}


def story(context: Context, job_id: str, number: int | None = None) -> list[Entry]:
    """What happened to a job, or to its chunk ``number`` (from 1 on) in all stages that have chunks.

    Raises NotFound.
    """
    with context.database.read() as session:
        job = find_job(session, job_id)
        if number is not None:
            _check(session, job, number)
        wanted = select(Event).where(Event.job_id == job.id).order_by(Event.at, Event.id)
        attempts = select(Attempt, Chunk).join(Chunk).where(Chunk.job_id == job.id)
        if number is not None:
            wanted = wanted.where(Event.chunk == number - 1, Event.stage.in_(_PER_CHUNK))
            attempts = attempts.where(Chunk.index == number - 1, Chunk.stage.in_(_PER_CHUNK))
        found = [_event(event) for event in session.scalars(wanted)]
        tries = {attempt.token: (attempt, chunk) for attempt, chunk in session.execute(attempts)}
    found += _logged(context, job.id, number, tries)
    return sorted(found, key=lambda entry: entry.at)


def _check(session: Session, job: Job, number: int) -> None:
    mine = (Chunk.job_id == job.id, Chunk.stage.in_(_PER_CHUNK))
    chunks = (session.scalar(select(func.max(Chunk.index)).where(*mine)) or 0) + 1
    if not 1 <= number <= chunks:
        hint = "it has one" if chunks == 1 else f"they are counted from 1 to {chunks}"
        raise NotFound(f"job {job.id} has no chunk {number}", hint=hint)


def _event(event: Event) -> Entry:
    chunk = None if event.chunk is None else event.chunk + 1
    text = "" if event.kind == Kind.JOB and event.after else event.text  # which repeats the statuses
    if event.kind == Kind.JOB and ": " in event.text:
        text = event.text.partition(": ")[2]
    return Entry(
        event.at, "farm", event.kind, text, event.stage, chunk, event.attempt, event.worker, event.before, event.after
    )


def _logged(context: Context, job: str, number: int | None, tries: dict[str, tuple[Attempt, Chunk]]) -> Iterator[Entry]:
    for row in lines_about(context.settings.logs, job, tries):
        text = str(row.get("message", ""))
        token = row.get("attempt") or next((token for token in tries if token in text), None)
        attempt, chunk = tries.get(str(token), (None, None))
        if number is not None and chunk is None:
            continue  # of the job, or of another chunk
        yield Entry(
            at=datetime.fromisoformat(row["time"]).timestamp(),
            by=str(row.get("process", "")),
            kind=str(row.get("level", "")).lower(),
            text=text,
            stage=chunk.stage if chunk else None,
            chunk=chunk.index + 1 if chunk else None,
            attempt=attempt.number if attempt else None,
            worker=row.get("worker"),
            traceback=row.get("traceback"),
        )
