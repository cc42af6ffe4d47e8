"""How attempts end without a result: what that counts for, and what becomes of their chunk, job and worker."""

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from typing import Literal

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from farm.database.events import record_event
from farm.database.models import Attempt, Chunk, Worker
from farm.database.statuses import end_attempt, move_chunk, set_worker
from farm.domain.lifecycle import (
    OPEN_ATTEMPTS,
    AttemptStatus,
    ChunkEvent,
    Death,
    DeathKind,
    Failures,
    RetryLimits,
    after_failure,
    alike,
)
from farm.domain.stages import Errand, work_named
from farm.errors import FarmError
from farm.jobs.context import Context
from farm.jobs.ending import fail_job
from farm.jobs.plans import job_manifest

#: What an attempt was lost to: see :class:`farm.domain.lifecycle.RetryLimits`.
Loss = Literal["infrastructure", "farm"]
#: Seconds before a chunk that was given back or lost is assigned again.
PAUSE = 0.5
#: The same where the store is at fault: by then a damaged input is made again, or the chunk's own stage is set back.
STORE_PAUSE = 5.0


def fail_attempt(
    session: Session,
    context: Context,
    attempt: Attempt,
    cause: Loss | Literal["task"],
    reason: str,
    now: float,
    *,
    permanent: bool = False,
    pause: float = PAUSE,
    death: Death | None = None,
) -> None:
    """Close an attempt that failed or was lost. Its chunk is tried again, or fails and, but for errands, its job."""
    status = AttemptStatus.FAILED if cause == "task" else AttemptStatus.LOST
    ended: dict[str, object] = {"cause": cause, "reason": reason}
    ended |= {} if death is None else {"death": death.kind.value, "frames": death.frames}
    if not end_attempt(session, attempt, status, now, **ended):
        return
    chunk, settings = attempt.chunk, context.settings
    failures = _failures(session, chunk, died=death is not None)
    limits = RetryLimits(
        settings.task_errors,
        settings.infrastructure_losses,
        settings.farm_losses,
        settings.poison_deaths,
        settings.job_errors,
    )
    event = after_failure(limits, failures, permanent=permanent)
    where = f"{chunk.stage}, chunk {chunk.index + 1}"
    record_event(session, now, f"{where}, attempt {attempt.number} on {attempt.worker}: {reason}", chunk.job_id)
    if event is ChunkEvent.RELEASE:
        move_chunk(session, chunk, event, now, attempt=attempt, not_before=now + pause)
        return
    move_chunk(session, chunk, event, now, attempt=attempt)
    if isinstance(work_named(chunk.stage), Errand):
        return  # who asked for it is told by its row
    if cause != "task":
        where += _place(session, chunk)
    if failures.deaths >= limits.deaths:
        reason += f"; {failures.deaths} attempts ended like this"
    elif failures.job_errors >= limits.job_errors:
        reason += f"; that was error {failures.job_errors} of this job, the most that it may have"
    fail_job(session, chunk.job, now, f"{where}: {reason}", permanent=permanent)


def _failures(session: Session, chunk: Chunk, *, died: bool) -> Failures:
    """What counts against a chunk and its job. ``died``: that is how the latest attempt ended."""
    mine = select(Attempt).where(Attempt.chunk_id == chunk.id, ~Attempt.reset).order_by(Attempt.id)
    attempts = session.scalars(mine).all()
    causes = Counter(attempt.cause for attempt in attempts)
    deaths = [Death(DeathKind(a.death), a.frames) for a in attempts if a.death is not None]
    of_job = select(func.count(Attempt.id)).join(Chunk).where(Chunk.job_id == chunk.job_id, ~Attempt.reset)
    return Failures(
        task_errors=causes["task"],
        losses=causes["infrastructure"],
        farm_losses=causes["farm"],
        deaths=alike(deaths) if died else 0,
        job_errors=session.scalar(of_job.where(or_(Attempt.cause == "task", Attempt.death.is_not(None)))) or 0,
    )


def _place(session: Session, chunk: Chunk) -> str:
    """Which part of the video a chunk is, for a message; empty where a stage has no chunks or the plan is old."""
    if not work_named(chunk.stage).per_chunk:
        return ""
    with suppress(FarmError):
        return f" ({job_manifest(session, chunk.job_id).place(chunk.index)})"
    return ""


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
