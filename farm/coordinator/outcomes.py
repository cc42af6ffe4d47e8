"""What workers report, accepted once: every change hangs on the attempt's token by a conditional UPDATE."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from farm.database.models import Attempt, Worker
from farm.database.statuses import add_note, end_attempt, lease_attempt, move_chunk, record_event
from farm.domain.lifecycle import (
    OPEN_ATTEMPTS,
    AttemptStatus,
    ChunkEvent,
    RetryLimits,
    after_failure,
)
from farm.jobs.context import Context
from farm.jobs.ending import fail_job
from farm.messages import (
    Completed,
    Failed,
    GivenBack,
    Goodbye,
    Hello,
    Outcome,
    Progress,
    Started,
)

#: Seconds before a chunk that a worker gave back, or that was lost, is handed out again.
_PAUSE = 0.5


def accept(context: Context, outcome: Outcome) -> list[tuple[str, str]]:
    """Write an outcome down. Returns the (token, worker) pairs that have to stop, because they work for nobody."""
    with context.database.write() as session:
        now = context.clock()
        match outcome:
            case Hello():
                _hello(session, context, outcome, now)
                return []
            case Goodbye():
                worker = session.get(Worker, outcome.worker)
                if worker is not None and worker.incarnation == outcome.incarnation:
                    lose_worker(session, context, worker, now, "stopped")
                return []
            case Started() | Progress() | Completed() | Failed() | GivenBack():
                return _about_attempt(session, context, outcome, now)


def _hello(session: Session, context: Context, outcome: Hello, now: float) -> None:
    worker = session.get(Worker, outcome.worker)
    if worker is None:
        worker = Worker(name=outcome.worker, started_at=now, incarnation="")
        session.add(worker)
    elif worker.incarnation != outcome.incarnation:
        lose_worker(session, context, worker, now, "started anew")
    if worker.incarnation != outcome.incarnation:
        worker.incarnation, worker.started_at = outcome.incarnation, now
        record_event(session, now, f"worker {outcome.worker} is up ({outcome.device}, pid {outcome.pid})")
    worker.host, worker.device, worker.pid = outcome.host, outcome.device, outcome.pid
    worker.alive, worker.seen_at = True, now


def _about_attempt(
    session: Session,
    context: Context,
    outcome: Started | Progress | Completed | Failed | GivenBack,
    now: float,
) -> list[tuple[str, str]]:
    attempt = session.scalar(select(Attempt).where(Attempt.token == outcome.token))
    obsolete = [(outcome.token, outcome.worker)]
    if attempt is None:
        return obsolete
    lease = now + context.settings.lease_seconds
    match outcome:
        case Started():
            if not lease_attempt(session, attempt, outcome.worker, now, lease):
                return [] if _holds(attempt, outcome.worker) else obsolete
            move_chunk(session, attempt.chunk, ChunkEvent.START)
            return []
        case Progress():
            if not _holds(attempt, outcome.worker):
                return obsolete
            attempt.lease_until = lease
            if outcome.frames > attempt.frames:
                attempt.frames, attempt.moved_at = outcome.frames, now
            return []
        case Completed():
            _completed(session, context, attempt, outcome, now)
            return []
        case Failed():
            if attempt.worker in (None, outcome.worker):
                status = AttemptStatus.FAILED if outcome.cause == "task" else AttemptStatus.LOST
                fail_attempt(
                    session, context, attempt, status, outcome.cause, outcome.reason, now,
                    worker=outcome.worker, permanent=outcome.permanent,
                )  # fmt: skip
            return []
        case GivenBack():
            if attempt.worker in (None, outcome.worker) and end_attempt(
                session, attempt, AttemptStatus.GIVEN_BACK, now, worker=outcome.worker, reason=outcome.reason
            ):
                move_chunk(session, attempt.chunk, ChunkEvent.RELEASE, not_before=now + _PAUSE)
            return []


def _holds(attempt: Attempt, worker: str) -> bool:
    return attempt.status == AttemptStatus.LEASED and attempt.worker == worker


def _completed(session: Session, context: Context, attempt: Attempt, outcome: Completed, now: float) -> None:
    """The one outcome of a chunk that counts; a second, or a late one, changes nothing."""
    chunk = attempt.chunk
    if outcome.artefact.frames != chunk.frames:  # never take it for done, whoever says so
        reason = f"reported {outcome.artefact.frames} frames, planned were {chunk.frames}"
        fail_attempt(session, context, attempt, AttemptStatus.FAILED, "task", reason, now, worker=outcome.worker)
        return
    if not end_attempt(session, attempt, AttemptStatus.DONE, now, worker=outcome.worker, frames=chunk.frames):
        return
    if not move_chunk(
        session,
        chunk,
        ChunkEvent.COMPLETE,
        artefact=outcome.artefact.model_dump(mode="json"),
        reused=outcome.reused,
        spent=outcome.spent,
    ):
        return
    for text in outcome.notes:
        if add_note(session, chunk.job_id, text):
            record_event(session, now, text, chunk.job_id)


def fail_attempt(
    session: Session,
    context: Context,
    attempt: Attempt,
    status: AttemptStatus,
    cause: str,
    reason: str,
    now: float,
    *,
    worker: str | None = None,
    permanent: bool = False,
) -> None:
    """Close an attempt that failed or was lost; its chunk is tried again, or fails and the job with it."""
    worker = worker or attempt.worker
    if not end_attempt(session, attempt, status, now, cause=cause, reason=reason, worker=worker):
        return
    chunk, settings = attempt.chunk, context.settings
    counts = dict(
        session.execute(
            select(Attempt.cause, func.count())
            .where(Attempt.chunk_id == chunk.id, Attempt.cause.is_not(None), ~Attempt.reset)
            .group_by(Attempt.cause)
        ).all()
    )
    limits = RetryLimits(settings.task_errors, settings.infrastructure_losses)
    event = after_failure(limits, counts.get("task", 0), counts.get("infrastructure", 0), permanent=permanent)
    where = f"{chunk.stage}, chunk {chunk.index + 1}"
    record_event(session, now, f"{where}, attempt {attempt.number} on {worker or 'no worker'}: {reason}", chunk.job_id)
    if event is ChunkEvent.RELEASE:
        move_chunk(session, chunk, event, not_before=now + _PAUSE)
        return
    move_chunk(session, chunk, event)
    fail_job(session, chunk.job, now, f"{where}: {reason}")


def lose_worker(session: Session, context: Context, worker: Worker, now: float, why: str) -> None:
    """The worker is gone: all attempts that it held are lost."""
    if worker.alive:
        record_event(session, now, f"worker {worker.name} {why}")
    worker.alive = False
    held = select(Attempt).where(Attempt.worker == worker.name, Attempt.status == AttemptStatus.LEASED.value)
    for attempt in session.scalars(held):
        fail_attempt(
            session, context, attempt, AttemptStatus.LOST, "infrastructure", f"worker {worker.name} {why}", now
        )


def give_all_back(context: Context, reason: str) -> None:
    """The farm of this home stops: nothing is out any more, and nobody is to blame."""
    with context.database.write() as session:
        now = context.clock()
        for worker in session.scalars(select(Worker).where(Worker.alive)):
            worker.alive = False
        for attempt in session.scalars(select(Attempt).where(Attempt.status.in_(OPEN_ATTEMPTS))):
            if end_attempt(session, attempt, AttemptStatus.GIVEN_BACK, now, reason=reason):
                move_chunk(session, attempt.chunk, ChunkEvent.RELEASE)
