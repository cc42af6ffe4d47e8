"""Assigns pending chunks to workers: attempt and order are written in one transaction, and published after it."""

import secrets
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session, selectinload

from farm.broker import Broker
from farm.coordinator.losses import STORE_PAUSE, fail_attempt, release
from farm.database.events import record_event
from farm.database.models import Attempt, Chunk, Event, Job, Outgoing, Worker
from farm.database.statuses import locked_job, queue_attempt, worker_status
from farm.domain.lifecycle import CHUNKS_OUT, OPEN_ATTEMPTS, AttemptStatus, ChunkStatus
from farm.domain.stages import WORKER_ERRANDS, WORKER_STAGES, Errand, JobStatus, Work, stage_at, work_named
from farm.errors import StorageError
from farm.jobs.abilities import able_workers, held_back, needed
from farm.jobs.context import Context
from farm.messages import Order, queue_of
from farm.settings import Settings
from farm.storage.base import Storage
from farm.storage.inputs import order_inputs

#: A worker without an order takes the next one sooner; one that does not may hang.
_TAKES_SECONDS = 15
#: Workers are told more than once of what was cancelled: the clock of the host where it was may be ahead or behind.
_LATELY_SECONDS = 15
_WORKING = tuple(stage.status.value for stage in WORKER_STAGES)
_ERRANDS = tuple(errand.name for errand in WORKER_ERRANDS)


def dispatch(context: Context) -> int:
    """Assign as many pending chunks as live workers have room for, oldest job first; returns their number.

    A chunk that no live worker can do waits, and does not hold up the chunks after it.
    """
    now = context.clock()
    with context.database.read() as session:  # most calls end here, without the write lock
        planner = _Planner(session, context.settings, now)
        if not any(planner.assignments()) and not planner.waiting:
            return 0
    with context.database.write() as session:
        planner = _Planner(session, context.settings, now)
        assignments = list(planner.assignments())
        for chunk, worker in assignments:
            _queue(session, context, chunk, worker, now)
        for job, text in planner.waiting:
            record_event(session, now, text, job.id)
        return len(assignments)


def rebalance(context: Context, broker: Broker) -> int:
    """Take back orders that their workers do not take, for an idle one that can do them. Returns their number.

    An order that its worker has just taken stays with it. Raises one of broker.BROKER_ERRORS.
    """
    now = context.clock()
    with context.database.read() as session:
        waiting = list(_Planner(session, context.settings, now).movable())
    taken_back = 0
    for worker, token in waiting:
        if broker.take_back(worker, token):
            taken_back += 1
            with context.database.write() as session:
                taken = session.scalars(select(Attempt).where(Attempt.token == token))
                release(session, taken, now, f"taken back from {worker}, which did not begin it")
    return taken_back


def take_back_held(context: Context, broker: Broker) -> None:
    """Take back the orders of workers that drain or are blocked; of a blocked one, the chunk in progress, too.

    Raises one of broker.BROKER_ERRORS: an order that stays in Redis is refused when its worker begins it.
    """
    blocked, leased = Worker.held == "block", Attempt.status == AttemptStatus.LEASED.value
    held = (Worker.draining | Worker.held.is_not(None), Worker.alive)
    theirs = (Attempt.status == AttemptStatus.QUEUED.value) | (leased & blocked)
    attempts = select(Attempt, Worker).join(Worker, Worker.name == Attempt.worker).where(*held, theirs)
    with context.database.read() as session:  # most calls end here, without the write lock
        if session.scalar(attempts.with_only_columns(Attempt.id).limit(1)) is None:
            return
    stop, names, now = [], set(), context.clock()
    with context.database.write() as session:
        for attempt, worker in session.execute(attempts).all():
            names.add(worker.name)
            if attempt.status == AttemptStatus.LEASED:
                stop.append((attempt.token, worker.name))
            reason = f"worker {worker.name} is {worker_status(worker)}"
            release(session, [attempt], now, reason, AttemptStatus.GIVEN_BACK)
    for name in names:
        broker.delete_queue(name)
    for token, name in stop:
        broker.stop(token, name)


def stop_cancelled(context: Context, broker: Broker) -> None:
    """Tell workers to stop what a person has just cancelled, rather than when they report the next time.

    Raises one of broker.BROKER_ERRORS: then they are told when they report.
    """
    lately = Attempt.finished_at > context.clock() - _LATELY_SECONDS
    cancelled = (Attempt.status == AttemptStatus.CANCELLED.value, Attempt.started_at.is_not(None), lately)
    with context.database.read() as session:
        rows = session.execute(select(Attempt.token, Attempt.worker).where(*cancelled)).all()
    for token, worker in rows:
        broker.stop(token, worker or "")


def under_way(context: Context) -> bool:
    """Whether any chunk is with a worker: then its outcome wakes the loop."""
    with context.database.read() as session:
        return session.scalar(select(Chunk.id).where(Chunk.status.in_(CHUNKS_OUT)).limit(1)) is not None


class _Planner:
    """Matches due chunks with live workers; writes nothing.

    ``waiting``: jobs that no live worker can do the next stage of, or only such that take no orders, with the event to
    record, unless it is recorded.
    """

    def __init__(self, session: Session, settings: Settings, now: float) -> None:
        self._session, self._settings, self._now = session, settings, now
        self._workers = list(session.scalars(select(Worker).where(Worker.alive).order_by(Worker.name)))
        load = select(Attempt.worker, func.count()).where(Attempt.status.in_(OPEN_ATTEMPTS)).group_by(Attempt.worker)
        self._load = Counter({name: count for name, count in session.execute(load) if name})
        self.waiting: list[tuple[Job, str]] = []

    def assignments(self) -> Iterator[tuple[Chunk, str]]:
        """Each due chunk that gets a worker, with the worker's name. Fills ``waiting``."""
        names = [worker.name for worker in self._workers if worker.takes_orders]
        if not self._room(names) and (names or not self._workers):
            return
        yield from self._errands()  # a person waits for most of them
        jobs = select(Job).where(Job.status.in_(_WORKING)).order_by(Job.created_at, Job.id)
        for job in self._session.scalars(jobs).all():
            stage = stage_at(JobStatus(job.status))
            assert stage is not None
            able = able_workers(job, stage, self._workers)
            if taking := [worker.name for worker in able if worker.takes_orders]:
                yield from self._assign(job, stage.name, taking)
            elif able:
                self._record(job, f"{stage.name}: waiting for a worker that takes orders: {held_back(able)}")
            else:
                what = f"the {stage.needs} {needed(job, stage)}"
                self._record(job, f"{stage.name}: no live worker has {what}; waiting for one that has")
            if names and not self._room(names):
                return

    def _errands(self) -> Iterator[tuple[Chunk, str]]:
        pending = (Chunk.stage.in_(_ERRANDS), Chunk.status == ChunkStatus.PENDING.value)
        for job_id, name in self._session.execute(select(Chunk.job_id, Chunk.stage).where(*pending).distinct()).all():
            job, errand = self._session.get_one(Job, job_id), work_named(name)
            able = [worker.name for worker in able_workers(job, errand, self._workers) if worker.takes_orders]
            if _goes_on(job, errand):
                yield from self._assign(job, name, able)

    def movable(self) -> Iterator[tuple[str, str]]:
        """Worker and token of queued attempts of workers that are busy, or do not take them: as many as there are idle
        workers that can do them.
        """
        idle = {worker.name for worker in self._workers if worker.takes_orders and not self._load[worker.name]}
        if not idle:
            return
        leased = select(Attempt.worker).where(Attempt.status == AttemptStatus.LEASED.value)
        alive = [worker.name for worker in self._workers]
        slow = Attempt.worker.in_(leased) | (Attempt.created_at < self._now - _TAKES_SECONDS)
        queued = select(Attempt).where(Attempt.status == AttemptStatus.QUEUED.value, Attempt.worker.in_(alive), slow)
        for attempt in self._session.scalars(queued.order_by(Attempt.id)).all():
            job, stage = attempt.chunk.job, work_named(attempt.chunk.stage)
            blocked, failed = self._failures(job, stage.name)
            able = idle & {worker.name for worker in able_workers(job, stage, self._workers)}
            able = able - blocked - failed.get(attempt.chunk_id, set())
            if able and _goes_on(job, stage) and attempt.worker:
                idle.discard(min(able))
                yield attempt.worker, attempt.token

    def _room(self, names: list[str]) -> int:
        return sum(max(0, self._settings.messages_per_worker - self._load[name]) for name in names)

    def _record(self, job: Job, text: str) -> None:
        known = select(Event.id).where(Event.job_id == job.id, Event.chunk.is_(None), Event.text == text).limit(1)
        if self._session.scalar(known) is None:
            self.waiting.append((job, text))

    def _assign(self, job: Job, stage: str, able: list[str]) -> Iterator[tuple[Chunk, str]]:
        room = self._room(able)
        if not room:
            return
        blocked, failed = self._failures(job, stage)
        query = (
            select(Chunk)
            .where(
                Chunk.job_id == job.id,
                Chunk.stage == stage,
                Chunk.status == ChunkStatus.PENDING.value,
                Chunk.not_before <= self._now,
            )
            .order_by(Chunk.id)
            .options(selectinload(Chunk.attempts))
            .limit(room + len(failed))  # a chunk that waits for another worker must not hold up the others
        )
        for chunk in self._session.scalars(query).all():
            avoided = blocked | failed.get(chunk.id, set())
            candidates = [name for name in able if name not in avoided] or able
            had = Counter(attempt.worker for attempt in chunk.attempts)  # one that did not take it may hang
            worker = min(candidates, key=lambda name: (self._load[name], had[name]))
            if self._room([worker]):
                self._load[worker] += 1
                yield chunk, worker

    def _failures(self, job: Job, stage: str) -> tuple[set[str | None], dict[int, set[str | None]]]:
        """The workers that failed too often in this job, and by chunk those that failed or lost it."""
        query = (
            select(Attempt.chunk_id, Chunk.stage, Attempt.worker, Attempt.cause, Attempt.death)
            .join(Chunk)
            .where(Chunk.job_id == job.id, Attempt.cause.in_(("task", "infrastructure")), ~Attempt.reset)
        )
        count: Counter[str | None] = Counter()
        failed: defaultdict[int, set[str | None]] = defaultdict(set)
        for chunk, of, worker, cause, death in self._session.execute(query):
            count[worker] += cause == "task" or death is not None  # a restart says nothing of what it can do
            if of == stage:
                failed[chunk].add(worker)
        return {worker for worker, times in count.items() if times >= self._settings.worker_failures}, failed


def _queue(session: Session, context: Context, chunk: Chunk, worker: str, now: float) -> None:
    if not _goes_on(locked_job(session, chunk.job_id), work_named(chunk.stage)):
        return  # changed meanwhile by a person
    until = now + context.settings.queue_seconds
    attempt = queue_attempt(session, chunk, secrets.token_hex(12), worker, now, until)
    if attempt is None:
        return  # by another coordinator
    try:
        body = _order(session, context.store, chunk, attempt).model_dump(mode="json")
    except StorageError as e:
        fail_attempt(session, context, attempt, "infrastructure", str(e), now, pause=STORE_PAUSE)
        return
    session.add(Outgoing(token=attempt.token, queue=queue_of(worker), body=body))


def _goes_on(job: Job, work: Work) -> bool:
    """Whether a job is in a status in which workers do this for it."""
    return job.status != JobStatus.PAUSED if isinstance(work, Errand) else job.status in _WORKING


def _order(session: Session, store: Storage, chunk: Chunk, attempt: Attempt) -> Order:
    """The order of an attempt. Raises StorageError."""
    job = chunk.job
    last = session.scalar(select(func.max(Chunk.index)).where(Chunk.job_id == job.id, Chunk.stage == chunk.stage)) or 0
    return Order.model_validate(
        {
            "job": job.id,
            "stage": chunk.stage,
            "chunk": chunk.index,
            "chunks": last + 1,
            "attempt": attempt.number,
            "token": attempt.token,
            "fingerprint": chunk.fingerprint,
            "plan": job.plan,
            "source": job.source,
            **order_inputs(store, chunk.stage, chunk.fingerprint, chunk.inputs),
            "known": _known(session, chunk),
            "model_sha256": job.model_sha256,
            "options": job.options,
            "request": chunk.request,
            "container": job.container,
        }
    )


def _known(session: Session, chunk: Chunk) -> dict[str, Any] | None:
    """The artefact that was last accepted for the same work, of whichever job."""
    same = (Chunk.name == chunk.name, Chunk.status == ChunkStatus.DONE.value, Chunk.id != chunk.id)
    return session.scalar(select(Chunk.artefact).where(*same).order_by(Chunk.id.desc()).limit(1))


def publish(context: Context, broker: Broker) -> int:
    """Send the orders in the outbox whose attempt still waits; returns their number.

    Raises one of broker.BROKER_ERRORS: the rest is sent by the next call.
    """
    with context.database.read() as session:
        query = (
            select(Outgoing, Attempt.status)
            .outerjoin(Attempt, Attempt.token == Outgoing.token)
            .order_by(Outgoing.id)
            .limit(100)
        )
        rows = [(row, status == AttemptStatus.QUEUED) for row, status in session.execute(query)]
    for row, wanted in rows:
        if wanted:
            broker.publish(Order.model_validate(row.body), row.queue)
        # a crash between the two sends it again, which is harmless; the other order would lose it
        with context.database.write() as session:
            session.execute(delete(Outgoing).where(Outgoing.id == row.id))
    return sum(wanted for _, wanted in rows)
