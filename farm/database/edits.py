"""The edits of jobs: rows that are only added."""

from collections.abc import Iterable

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from farm.database.events import record_event
from farm.database.models import Edit as Row
from farm.database.models import Job
from farm.domain.edits import Edit, load_edit


def job_edits(session: Session, job_id: str, last: int | None = None) -> list[Edit]:
    """All edits of a job, in order; up to number ``last``, if given."""
    rows = select(Row).where(Row.job_id == job_id).order_by(Row.number)
    if last is not None:
        rows = rows.where(Row.number <= last)
    return [
        load_edit(r.body, number=r.number, at=r.at, author=r.author, reason=r.reason) for r in session.scalars(rows)
    ]


def last_edit(session: Session, job_id: str) -> int:
    """The number of a job's last edit; 0 without any."""
    return session.scalar(select(func.max(Row.number)).where(Row.job_id == job_id)) or 0


def append_edits(session: Session, job: Job, edits: Iterable[Edit], now: float) -> list[Edit]:
    """Add edits to a job, whose row the caller has locked. Returns them with their numbers and the time."""
    added = []
    for number, edit in enumerate(edits, last_edit(session, job.id) + 1):
        said = {"number": number, "at": now, "author": edit.author, "reason": edit.reason}
        session.add(Row(job_id=job.id, body=edit.body(), **said))
        added.append(load_edit(edit.body(), **said))
        record_event(session, now, f"edit {number} by {edit.author}: {edit.action.value}", job.id)
    return added
