"""Applies the workers' outcomes, each once: every change is a conditional UPDATE on the attempt's token."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from farm.coordinator.losses import PAUSE, STORE_PAUSE, Loss, fail_attempt, lose_worker, release
from farm.database.events import add_note, record_event
from farm.database.models import Attempt, Chunk, Job, Worker
from farm.database.statuses import end_attempt, lease_attempt, move_chunk, set_worker
from farm.domain.artefacts import key_of
from farm.domain.lifecycle import OPEN_ATTEMPTS, AttemptStatus, ChunkEvent, Death
from farm.jobs.context import Context
from farm.jobs.proving import unpainted
from farm.messages import (
    Artefact,
    AttemptOutcome,
    Completed,
    Failed,
    GivenBack,
    Goodbye,
    Held,
    Hello,
    Outcome,
    Progress,
    Refused,
    Started,
    queue_of,
)

#: A worker that works on an attempt is heard of it more often. If it says that it does not, its last words on the
#: attempt are not on their way any more: they were lost.
_REPORTED_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Reply:
    """What to do in Redis: attempts to stop, as (token, worker), and a worker whose queue is to be deleted.

    ``damaged``: a job, and the key of an artefact that it needs and that has to be made again.
    """

    stop: tuple[tuple[str, str], ...] = ()
    gone: str | None = None
    damaged: tuple[str, str] | None = None


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
            case Refused():
                _refused(session, outcome, now)
                return Reply()
            case AttemptOutcome():
                attempt = session.scalar(select(Attempt).where(Attempt.token == outcome.token))
                if attempt is None or attempt.worker != outcome.worker:
                    return Reply(stop=((outcome.token, outcome.worker),))
                if not _about_attempt(session, context, attempt, outcome, now):
                    return Reply(stop=((outcome.token, outcome.worker),))
                damaged = outcome.damaged if isinstance(outcome, Failed) else None
                return Reply(damaged=(attempt.chunk.job_id, damaged) if damaged else None)


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
    held = {order.token: order for order in outcome.holds}
    for token in wanted.keys() & held.keys():
        _moved(wanted[token], held[token], context, now)
    for token in wanted.keys() - held.keys():
        heard = wanted[token].lease_until - context.settings.lease_seconds
        if wanted[token].status == AttemptStatus.LEASED and now - heard > _REPORTED_SECONDS:
            reason = f"the last report of {outcome.worker} was lost"
            fail_attempt(session, context, wanted[token], "farm", reason, now)
    return tuple((token, outcome.worker) for token in held if token not in wanted)


def _moved(attempt: Attempt, held: Held, context: Context, now: float) -> None:
    """A worker holds an attempt: its lease goes on. Whether its process moves is another matter, which it says, too."""
    if attempt.status != AttemptStatus.LEASED:
        return
    attempt.lease_until = now + context.settings.lease_seconds
    attempt.frames = max(attempt.frames, held.frames or 0)
    attempt.moved_at = max(attempt.moved_at, now - held.idle)


def _refused(session: Session, outcome: Refused, now: float) -> None:
    """Tell about messages that were moved aside. If one was the order of an attempt, its chunk is assigned again."""
    text = str(outcome)
    queued = select(Attempt).where(Attempt.token == outcome.token, Attempt.status == AttemptStatus.QUEUED.value)
    attempt = session.scalar(queued)
    if attempt is not None and attempt.worker and queue_of(attempt.worker) == outcome.queue:
        # the token is not signed: whoever can write to Redis could as well delete the order
        release(session, [attempt], now, text, not_before=now + PAUSE)
        record_event(session, now, text, attempt.chunk.job_id)
    else:
        record_event(session, now, text)


def _about_attempt(session: Session, context: Context, attempt: Attempt, outcome: AttemptOutcome, now: float) -> bool:
    """False if the outcome is obsolete, so that its worker has to stop."""
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
        case Failed(damaged=key) if key is not None:
            reason = f"{outcome.reason}: reported by {outcome.worker}"
            fail_attempt(session, context, attempt, "farm", reason, now, pause=STORE_PAUSE)
        case Failed():
            death = None if outcome.death is None else Death(outcome.death, outcome.frames)
            cause, permanent = outcome.cause, outcome.permanent
            reason = _of_source(context, attempt.chunk.job, outcome.reason)
            fail_attempt(session, context, attempt, cause, reason, now, permanent=permanent, death=death)
        case GivenBack():
            release(session, [attempt], now, outcome.reason, AttemptStatus.GIVEN_BACK, not_before=now + PAUSE)
    return True


def _of_source(context: Context, job: Job, reason: str) -> str:
    """A reason that names the video that was submitted where it names a repaired copy, and advises no other repair."""
    copy = job.options.get("source", {}).get("copy")
    if not copy:
        return reason
    from farm.media.reading.chunk import OR_REPAIR  # noqa: PLC0415 - PyAV, which the coordinator begins without

    return reason.replace(str(context.settings.store_root.resolve() / copy), job.source).replace(OR_REPAIR, "")


def _completed(session: Session, context: Context, attempt: Attempt, outcome: Completed, now: float) -> None:
    chunk = attempt.chunk
    if wrong := _wrong(chunk, outcome.artefact):
        fail_attempt(session, context, attempt, "task", f"{attempt.worker} reported {wrong}", now)
        return
    if not end_attempt(session, attempt, AttemptStatus.DONE, now, frames=chunk.frames):
        return
    result = outcome.model_dump(mode="json", include={"artefact", "reused", "spent"})
    if not move_chunk(session, chunk, ChunkEvent.COMPLETE, now, attempt=attempt, **result):
        return
    for key in outcome.damaged:
        record_event(session, now, f"{key} was damaged: set aside, and made again", chunk.job_id)
    for text in outcome.notes:
        if add_note(session, chunk.job_id, text):
            record_event(session, now, text, chunk.job_id)


def _wrong(chunk: Chunk, artefact: Artefact) -> str | None:
    """Why an artefact cannot be the chunk's; None if it can."""
    if artefact.frames != chunk.frames:
        return f"{artefact.frames} frames, {chunk.frames} were planned"
    if artefact.key != key_of(chunk.name, artefact.sha256):
        return f"{artefact.key}, which is not an artefact of this chunk"
    return unpainted(chunk, artefact)
