"""Applies the workers' outcomes, each once: every change is a conditional UPDATE on the attempt's token."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from farm.database.models import Attempt, Worker
from farm.database.statuses import add_note, end_attempt, lease_attempt, move_chunk, record_event, set_worker
from farm.domain.lifecycle import OPEN_ATTEMPTS, AttemptStatus, ChunkEvent, RetryLimits, after_failure
from farm.jobs.context import Context
from farm.jobs.ending import fail_job
from farm.messages import AttemptOutcome, Completed, Failed, GivenBack, Goodbye, Hello, Outcome, Progress, Started

#: What an attempt was lost to: see :class:`farm.domain.lifecycle.RetryLimits`.
Loss = Literal["infrastructure", "farm"]
#: Seconds before a chunk that was given back or lost is assigned again.
_PAUSE = 0.5
#: A worker that works on an attempt is heard of it more often. If it says that it does not, its last words on the
#: attempt are not on their way any more: they were lost.
_REPORTED_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Reply:
    """What to do in Redis: attempts to stop, as (token, worker), and a worker whose queue is to be deleted."""

    stop: tuple[tuple[str, str], ...] = ()
    gone: str | None = None


def accept(context: Context, outcome: Outcome) -> Reply:
    """Apply an outcome to the database. It has no effect if its attempt has ended or is another worker's."""
    with context.database.write() as session:
        now = context.clock()
        match outcome:
            case Hello():
                return _hello(session, context, outcome, now)
            case Goodbye():
                worker = session.get(Worker, outcome.worker)
                if worker is None or worker.incarnation != outcome.incarnation:
                    return Reply()
                lose_worker(session, context, worker, now, "stopped", "farm")
                return Reply(gone=worker.name)
            case AttemptOutcome():
                if _about_attempt(session, context, outcome, now):
                    return Reply()
                return Reply(stop=((outcome.token, outcome.worker),))


def _hello(session: Session, context: Context, outcome: Hello, now: float) -> Reply:
    worker = session.get(Worker, outcome.worker)
    if worker is None:
        worker = Worker(name=outcome.worker, started_at=now, incarnation="")
        session.add(worker)
    supervisor, _, start = outcome.incarnation.rpartition("/")
    before, _, began = worker.incarnation.rpartition("/")
    if worker.alive and start < began:
        return Reply()  # of an earlier incarnation, and overtaken; a clock that was put back matters until it is silent
    fresh = worker.incarnation != outcome.incarnation
    if fresh:
        if worker.incarnation:  # with a new supervisor, all of its host was restarted: nothing blames the chunk
            cause: Loss = "infrastructure" if supervisor == before else "farm"
            lose_worker(session, context, worker, now, "restarted", cause)
        worker.incarnation, worker.started_at = outcome.incarnation, now
    worker.host, worker.device, worker.pid = outcome.host, outcome.device, outcome.pid
    worker.encoders, worker.runtimes = list(outcome.encoders), list(outcome.runtimes)
    worker.seen_at = now
    how = "up" if fresh else "stopping" if outcome.draining else "heard again"
    text = f"worker {outcome.worker} is {how} ({outcome.device}, pid {outcome.pid})"
    set_worker(session, worker, now, text, alive=True, draining=outcome.draining)
    if fresh:
        return Reply(gone=worker.name)  # its queue can only hold an earlier incarnation's orders
    return Reply(stop=_compared(session, context, outcome, now))


def _compared(session: Session, context: Context, outcome: Hello, now: float) -> tuple[tuple[str, str], ...]:
    """Compare what a worker holds with what it should: what it lost is handed out again, the rest it has to stop."""
    mine = (Attempt.worker == outcome.worker, Attempt.status.in_(OPEN_ATTEMPTS))
    wanted = {attempt.token: attempt for attempt in session.scalars(select(Attempt).where(*mine))}
    for token in wanted.keys() - set(outcome.holds):
        heard = wanted[token].lease_until - context.settings.lease_seconds
        if wanted[token].status == AttemptStatus.LEASED and now - heard > _REPORTED_SECONDS:
            reason = f"the last report of {outcome.worker} was lost"
            fail_attempt(session, context, wanted[token], "farm", reason, now)
    return tuple((token, outcome.worker) for token in outcome.holds if token not in wanted)


def _about_attempt(session: Session, context: Context, outcome: AttemptOutcome, now: float) -> bool:
    """False if the outcome is obsolete, so that its worker has to stop."""
    attempt = session.scalar(select(Attempt).where(Attempt.token == outcome.token))
    if attempt is None or attempt.worker != outcome.worker:
        return False
    lease = now + context.settings.lease_seconds
    match outcome:
        case Started():
            if not lease_attempt(session, attempt, now, lease):
                return attempt.status == AttemptStatus.LEASED  # the same message, delivered twice
            move_chunk(session, attempt.chunk, ChunkEvent.START, now, attempt=attempt)
        case Progress():
            if lease_attempt(session, attempt, now, lease):
                move_chunk(session, attempt.chunk, ChunkEvent.START, now, attempt=attempt)  # its `started` was lost
            if attempt.status != AttemptStatus.LEASED:
                return False
            attempt.lease_until = lease
            if outcome.frames > attempt.frames:
                attempt.frames, attempt.moved_at = outcome.frames, now
        case Completed():
            _completed(session, context, attempt, outcome, now)
        case Failed():
            fail_attempt(session, context, attempt, outcome.cause, outcome.reason, now, permanent=outcome.permanent)
        case GivenBack():
            release(session, [attempt], now, outcome.reason, AttemptStatus.GIVEN_BACK, not_before=now + _PAUSE)
    return True


def _completed(session: Session, context: Context, attempt: Attempt, outcome: Completed, now: float) -> None:
    chunk = attempt.chunk
    if outcome.artefact.frames != chunk.frames:
        reason = f"reported {outcome.artefact.frames} frames, {chunk.frames} were planned"
        fail_attempt(session, context, attempt, "task", reason, now)
        return
    if not end_attempt(session, attempt, AttemptStatus.DONE, now, frames=chunk.frames):
        return
    result = outcome.model_dump(mode="json", include={"artefact", "reused", "spent"})
    if not move_chunk(session, chunk, ChunkEvent.COMPLETE, now, attempt=attempt, **result):
        return
    for text in outcome.notes:
        if add_note(session, chunk.job_id, text):
            record_event(session, now, text, chunk.job_id)


def fail_attempt(
    session: Session,
    context: Context,
    attempt: Attempt,
    cause: Loss | Literal["task"],
    reason: str,
    now: float,
    *,
    permanent: bool = False,
) -> None:
    """Close an attempt that failed or was lost; its chunk is tried again, or fails and the job with it."""
    status = AttemptStatus.FAILED if cause == "task" else AttemptStatus.LOST
    if not end_attempt(session, attempt, status, now, cause=cause, reason=reason):
        return
    chunk, settings = attempt.chunk, context.settings
    counts = Counter(session.scalars(select(Attempt.cause).where(Attempt.chunk_id == chunk.id, ~Attempt.reset)))
    limits = RetryLimits(settings.task_errors, settings.infrastructure_losses, settings.farm_losses)
    event = after_failure(limits, counts["task"], counts["infrastructure"], counts["farm"], permanent=permanent)
    where = f"{chunk.stage}, chunk {chunk.index + 1}"
    record_event(session, now, f"{where}, attempt {attempt.number} on {attempt.worker}: {reason}", chunk.job_id)
    if event is ChunkEvent.RELEASE:
        move_chunk(session, chunk, event, now, attempt=attempt, not_before=now + _PAUSE)
        return
    move_chunk(session, chunk, event, now, attempt=attempt)
    fail_job(session, chunk.job, now, f"{where}: {reason}", permanent=permanent)


def lose_worker(session: Session, context: Context, worker: Worker, now: float, why: str, cause: Loss) -> None:
    """The worker is gone: the attempts that it started are lost, those in its queue are released."""
    reason = f"worker {worker.name} {why}"
    set_worker(session, worker, now, reason, alive=False)
    mine = select(Attempt).where(Attempt.worker == worker.name)
    for attempt in session.scalars(mine.where(Attempt.status == AttemptStatus.LEASED.value)):
        fail_attempt(session, context, attempt, cause, reason, now)
    release(session, session.scalars(mine.where(Attempt.status == AttemptStatus.QUEUED.value)), now, reason)


def release(
    session: Session,
    attempts: Iterable[Attempt],
    now: float,
    reason: str,
    status: AttemptStatus = AttemptStatus.LOST,
    *,
    not_before: float = 0.0,
) -> int:
    """Make the chunks of attempts pending again, which counts as no failure; returns how many were released."""
    released = 0
    for attempt in attempts:
        if end_attempt(session, attempt, status, now, reason=reason):
            chunk, again = attempt.chunk, ChunkEvent.RELEASE
            released += move_chunk(session, chunk, again, now, attempt=attempt, not_before=not_before)
    return released


def give_all_back(context: Context, reason: str) -> None:
    """This home's farm stops: all its workers are gone. Counts as no failure."""
    with context.database.write() as session:
        now = context.clock()
        for worker in session.scalars(select(Worker).where(Worker.alive)):
            set_worker(session, worker, now, reason, alive=False)
        held = session.scalars(select(Attempt).where(Attempt.status.in_(OPEN_ATTEMPTS)))
        release(session, held, now, reason, AttemptStatus.GIVEN_BACK)
