"""The rules of the state machine, stated without the farm's own code, and what SQL says beside them."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from farm.database.models import Attempt, Chunk, Event, Job, Outgoing, Worker
from farm.digests import file_digest
from farm.messages import Completed, Failed, GivenBack, Outcome, Progress, Started
from farm.settings import Settings

_IN_ORDER = ("planning", "detecting", "linking", "reviewing", "redacting", "composing", "done")
_AFTER = dict(pairwise(_IN_ORDER))
_STAGE = {
    "planning": "plan", "detecting": "detect", "linking": "link", "reviewing": "edit", "redacting": "redact",
    "composing": "compose", "done": "compose",
}  # fmt: skip
_ACTIVE = ("detecting", "linking", "reviewing", "redacting", "composing")
OVER = ("done", "failed", "cancelled")
_OPEN = ("queued", "leased")
_ENDS = ("done", "failed", "lost", "given_back", "cancelled")
_CHUNK_AFTER = {
    "pending": ("queued", "cancelled", "done"),  # done: the coordinator's own stages
    "queued": ("leased", "pending", "done", "failed", "cancelled"),
    "leased": ("pending", "done", "failed", "cancelled"),
    "done": (), "failed": (), "cancelled": (),
}  # fmt: skip
#: By a person's wish: the statuses in which it is possible, and the one that follows (None: the interrupted one).
WISHES: dict[str, tuple[tuple[str, ...], str | None]] = {
    "pause": (_ACTIVE, "paused"),
    "cancel": ((*_ACTIVE, "paused"), "cancelled"),
    "resume": (("paused",), None),
    "retry": (("failed", "cancelled"), None),
}


@dataclass(frozen=True)
class JobRow:
    status: str
    interrupted: str | None
    open_chunks: int
    output: str
    review: bool = False

    @property
    def stage(self) -> str:
        """The stage that it is in, or was when it was interrupted."""
        return _STAGE[self.interrupted or self.status]


@dataclass(frozen=True)
class ChunkRow:
    job: str
    stage: str
    index: int
    frames: int
    status: str
    artefact: Any


@dataclass(frozen=True)
class AttemptRow:
    chunk: int
    number: int
    status: str
    worker: str | None
    cause: str | None
    reset: bool
    lease_until: float
    moved_at: float

    @property
    def open(self) -> bool:
        """Whether an outcome may still end it."""
        return self.status in _OPEN


@dataclass(frozen=True)
class Snapshot:
    """What SQL says. ``attempts``: by token, oldest first; ``workers``: when each live one was heard of."""

    jobs: dict[str, JobRow]
    chunks: dict[int, ChunkRow]
    attempts: dict[str, AttemptRow]
    workers: dict[str, float]
    outbox: tuple[str, ...]

    def of(self, chunk: int) -> list[AttemptRow]:
        """A chunk's attempts, oldest first."""
        return [attempt for attempt in self.attempts.values() if attempt.chunk == chunk]

    def statuses(self) -> object:
        """What an outcome may change, without times."""
        attempts = {token: (a.status, a.cause) for token, a in self.attempts.items()}
        return self.jobs, self.chunks, attempts

    def counts(self, chunk: int) -> Counter[str | None]:
        """A chunk's failures that count, by cause."""
        return Counter(a.cause for a in self.of(chunk) if not a.reset and a.cause)


def snapshot(session: Session) -> Snapshot:
    """Read it."""
    a = Attempt
    attempts = session.execute(
        select(a.token, a.chunk_id, a.number, a.status, a.worker, a.cause, a.reset, a.lease_until, a.moved_at).order_by(
            a.id
        )
    )
    c = Chunk
    chunks = session.execute(select(c.id, c.job_id, c.stage, c.index, c.frames, c.status, c.artefact))
    jobs = session.execute(select(Job.id, Job.status, Job.interrupted, Job.open_chunks, Job.output, Job.review))
    return Snapshot(
        {row[0]: JobRow(*row[1:]) for row in jobs},
        {row[0]: ChunkRow(*row[1:]) for row in chunks},
        {row[0]: AttemptRow(*row[1:]) for row in attempts},
        {row.name: row.seen_at for row in session.execute(select(Worker.name, Worker.seen_at).where(Worker.alive))},
        tuple(session.scalars(select(Outgoing.token))),
    )


def check_invariants(now: Snapshot, settings: Settings) -> None:
    """What holds at any moment."""
    for job_id, job in now.jobs.items():
        mine = [c for c in now.chunks.values() if c.job == job_id]
        current = [c for c in mine if c.stage == job.stage]
        assert job.open_chunks == sum(c.status != "done" for c in current), job
        assert all(c.status == "done" for c in mine if c.stage != job.stage), job
        if job.status in OVER:
            assert not any(c.status in ("pending", *_OPEN) for c in mine), job
        if job.status == "done":
            assert file_digest(Path(job.output)) == current[0].artefact["sha256"]
        else:
            assert not Path(job.output).exists()
    for number, chunk in now.chunks.items():
        attempts = now.of(number)
        still_open = [a.status for a in attempts if a.status in _OPEN]
        assert still_open == ([chunk.status] if chunk.status in _OPEN else []), chunk
        assert [a.number for a in attempts] == list(range(1, len(attempts) + 1)), chunk
        assert (chunk.artefact is not None) == (chunk.status == "done"), chunk
        counts = now.counts(number)
        limits = _limits(settings)
        assert all(counts[cause] <= limit for cause, limit in limits.items()), (chunk, counts)
        if chunk.status in ("pending", *_OPEN):
            assert all(counts[cause] < limit for cause, limit in limits.items()), (chunk, counts)
    assert set(now.outbox) <= now.attempts.keys()


def _limits(settings: Settings) -> dict[str, int]:
    causes = {"task": settings.task_errors, "infrastructure": settings.infrastructure_losses}
    return {**causes, "farm": settings.farm_losses}


def check_step(before: Snapshot, after: Snapshot, by: str) -> None:
    """What a step of the coordinator, or a person's wish ``by``, may change."""
    for job_id, job in before.jobs.items():
        then = after.jobs[job_id]
        assert then.status in _reachable(job, by), (by, job, then)
        if job.status == "done":
            assert then == job
    for number, chunk in before.chunks.items():
        after_chunk = after.chunks[number]
        again = by == "retry" and chunk.status in ("failed", "cancelled")
        allowed = ("pending",) if again else _CHUNK_AFTER[chunk.status]
        assert after_chunk.status in (chunk.status, *allowed), (by, chunk, after_chunk)
        if chunk.status == "done":
            assert after_chunk == chunk  # done once, and its artefact never changes
    for token, attempt in before.attempts.items():
        then_attempt = after.attempts[token]
        if attempt.status in _ENDS:
            assert then_attempt == replace(attempt, reset=then_attempt.reset and (by == "retry" or attempt.reset))
        else:
            assert then_attempt.status in (*_OPEN, *_ENDS)
            assert (attempt.status, then_attempt.status) != ("leased", "queued")
    new = after.attempts.keys() - before.attempts.keys()
    assert by == "dispatch" or not new


def _reachable(job: JobRow, by: str) -> set[str | None]:
    if by in WISHES:
        possible, status = WISHES[by]
        return {job.status} | ({status or job.interrupted} if job.status in possible else set())
    found: set[str | None] = {job.status}
    status = job.status
    while by == "advance" and status in _AFTER and not (job.review and status == "reviewing"):
        status = _AFTER[status]
        found.add(status)
    return found | ({"failed"} if job.status not in OVER and by != "dispatch" else set())


def check_dispatch(before: Snapshot, after: Snapshot, settings: Settings) -> None:
    """Each new attempt is a live worker's that has room, and not one's that failed the chunk, if others are alive."""
    load = Counter(a.worker for a in after.attempts.values() if a.status in _OPEN)
    for token in after.attempts.keys() - before.attempts.keys():
        attempt = after.attempts[token]
        chunk = before.chunks[attempt.chunk]
        assert (attempt.status, chunk.status) == ("queued", "pending")
        assert before.jobs[chunk.job].status in ("detecting", "redacting", "composing")
        assert attempt.worker in before.workers
        assert load[attempt.worker] <= settings.messages_per_worker
        assert token in after.outbox
        counted = [a for a in before.attempts.values() if not a.reset and before.chunks[a.chunk].job == chunk.job]
        errors = Counter(a.worker for a in counted if a.cause == "task")
        avoided = {w for w, n in errors.items() if n >= settings.worker_failures}
        avoided |= {a.worker for a in counted if a.chunk == attempt.chunk and a.cause in ("task", "infrastructure")}
        assert attempt.worker not in avoided or before.workers.keys() <= avoided


def applied(before: Snapshot, outcome: Outcome, settings: Settings) -> Snapshot:
    """What an outcome about an attempt changes: only the open attempt that it names, of the worker that sends it."""
    assert isinstance(outcome, Started | Progress | Completed | Failed | GivenBack)
    attempt = before.attempts.get(outcome.token)
    if attempt is None or attempt.worker != outcome.worker or attempt.status not in _OPEN:
        return before
    chunk = before.chunks[attempt.chunk]
    match outcome:
        case Started() | Progress():
            return _with(before, outcome.token, "leased", chunk="leased")
        case GivenBack():
            return _with(before, outcome.token, "given_back", chunk="pending")
        case Completed() if outcome.artefact.frames == chunk.frames:
            made = outcome.artefact.model_dump(mode="json")
            after = _with(before, outcome.token, "done", chunk="done", artefact=made)
            job = before.jobs[chunk.job]
            return replace(after, jobs={**after.jobs, chunk.job: replace(job, open_chunks=job.open_chunks - 1)})
    cause, permanent = (outcome.cause, outcome.permanent) if isinstance(outcome, Failed) else ("task", False)
    status = "failed" if cause == "task" else "lost"
    after = _with(before, outcome.token, status, chunk="pending", cause=cause)
    counts = after.counts(attempt.chunk)
    if permanent or any(counts[c] >= limit for c, limit in _limits(settings).items()):
        return _job_failed(_with(after, outcome.token, status, chunk="failed", cause=cause), chunk.job)
    return after


def _with(
    now: Snapshot, token: str, attempt: str, *, chunk: str, cause: str | None = None, artefact: object = None
) -> Snapshot:
    number = now.attempts[token].chunk
    attempts = {**now.attempts, token: replace(now.attempts[token], status=attempt, cause=cause)}
    chunks = {**now.chunks, number: replace(now.chunks[number], status=chunk, artefact=artefact)}
    return replace(now, attempts=attempts, chunks=chunks)


def _job_failed(now: Snapshot, job_id: str) -> Snapshot:
    job = now.jobs[job_id]
    failed = replace(job, status="failed", interrupted=job.interrupted or job.status)
    mine = {number for number, c in now.chunks.items() if c.job == job_id}

    def withdrawn(status: str, possible: tuple[str, ...]) -> str:
        return "cancelled" if status in possible else status

    chunks = {n: replace(c, status=withdrawn(c.status, ("pending", *_OPEN))) if n in mine else c
              for n, c in now.chunks.items()}  # fmt: skip
    attempts = {t: replace(a, status=withdrawn(a.status, _OPEN)) if a.chunk in mine else a
                for t, a in now.attempts.items()}  # fmt: skip
    return replace(now, jobs={**now.jobs, job_id: failed}, chunks=chunks, attempts=attempts)


def check_sweep(
    before: Snapshot, after: Snapshot, now: float, settings: Settings, waits: Callable[[str], bool], *, emptied: bool
) -> None:
    """Nothing is overdue after a sweep, and nothing was reclaimed that was not. ``waits``: a token's order is in Redis.

    ``emptied``: Redis was, so that orders are lost which a sweep need not wait for.
    """
    silent = now - settings.worker_silence_seconds
    assert all(seen >= silent for seen in after.workers.values())
    for token, attempt in after.attempts.items():
        if attempt.status == "leased":
            assert now <= attempt.lease_until
        if attempt.status == "queued" and token not in after.outbox:
            assert attempt.worker in after.workers
    for token, attempt in before.attempts.items():
        if attempt.status not in _OPEN or after.attempts[token].status in (*_OPEN, "cancelled"):
            continue  # cancelled: with its job, which failed
        gone = before.workers.get(attempt.worker or "", silent - 1) < silent
        stalled = attempt.status == "leased" and now - attempt.moved_at > settings.stall_seconds
        lost = attempt.status == "queued" and (emptied or not waits(token))
        assert gone or stalled or lost or now > attempt.lease_until, attempt


def check_events(session: Session) -> None:
    """Every failure that counts and every status of a job is told, in order."""
    told: dict[str, list[str]] = {}
    for job_id, text in session.execute(select(Event.job_id, Event.text).order_by(Event.id)):
        told.setdefault(job_id or "", []).append(text)
    failures = select(Chunk.job_id, Attempt.number, Attempt.worker, Attempt.reason).join(Chunk)
    for job_id, number, worker, reason in session.execute(failures.where(Attempt.cause.is_not(None))):
        assert any(f"attempt {number} on {worker}: {reason}" in text for text in told[job_id])
    for job_id, status in session.execute(select(Job.id, Job.status)):
        moves = [text.split(":")[0].split(" → ") for text in told[job_id] if " → " in text]
        assert all(first[1] == then[0] for first, then in pairwise(moves))
        assert moves[-1][1] == status
