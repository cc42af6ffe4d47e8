"""The workers as people see them, and what people ask of them: drain, block, unblock."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any, Literal

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from farm.database.models import Attempt, Chunk, Worker
from farm.database.statuses import set_worker, worker_status
from farm.domain.lifecycle import AttemptStatus, WorkerStatus
from farm.domain.stages import STAGES
from farm.errors import NotFound
from farm.jobs.context import Context
from farm.jobs.queries import iso_time

Hold = Literal["drain", "block"]
_FRAMES = [stage.name for stage in STAGES if stage.per_chunk]  # compose copies packets: its speed says nothing
_LAST = 5  # finished attempts whose speed is that of a worker which is idle


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """One worker. ``state``: idle, busy, draining, blocked or gone.

    ``frames_per_second``: of the running attempt, else of the last finished ones; None where there are none. ``job``,
    ``stage`` and ``chunk`` (counted from 1): what it works on. ``held``: what a person asked for, with who, when, why.
    """

    name: str
    device: str
    host: str
    pid: int
    alive: bool
    seen_at: float
    state: str
    frames_per_second: float | None = None
    job: str | None = None
    stage: str | None = None
    chunk: int | None = None
    held: str | None = None
    held_by: str | None = None
    held_at: float | None = None
    held_why: str | None = None

    def row(self) -> dict[str, Any]:
        """All facts as JSON."""
        return {**asdict(self), "seen_at": iso_time(self.seen_at), "held_at": iso_time(self.held_at)}


def list_workers(context: Context) -> list[WorkerFacts]:
    """All workers that have ever reported."""
    with context.database.read() as session:
        rows = session.scalars(select(Worker).order_by(Worker.name)).all()
        running = select(Attempt).where(Attempt.status == AttemptStatus.LEASED.value).order_by(Attempt.id)
        current = {attempt.worker: attempt for attempt in session.scalars(running)}
        return [_facts(session, worker, current.get(worker.name)) for worker in rows]


def live_workers(context: Context) -> int:
    """How many workers are alive."""
    with context.database.read() as session:
        return session.scalar(select(func.count()).select_from(Worker).where(Worker.alive)) or 0


def is_alive(context: Context, worker: str) -> bool:
    """Whether the coordinator takes the worker of this name for alive."""
    with context.database.read() as session:
        return bool(session.scalar(select(Worker.alive).where(Worker.name == worker)))


def hold_worker(context: Context, name: str, hold: Hold | None, who: str, why: str | None) -> WorkerFacts:
    """Have a worker get no more orders until ``hold`` is None again; the leading coordinator takes back what it has.

    With ``block`` that includes the chunk in progress. Raises NotFound, which lists the names that are like it.
    """
    with context.database.write() as session:
        worker = session.get(Worker, name, with_for_update=True)
        if worker is None:
            near = get_close_matches(name, session.scalars(select(Worker.name)).all())
            hint = f"did you mean {' or '.join(near)}?" if near else "`farm workers` lists them"
            raise NotFound(f"no worker {name!r}", hint=hint)
        now = context.clock()
        did = {"drain": "drained", "block": "blocked", None: "unblocked"}[hold]
        text = f"worker {name} {did} by {who}" + (f": {why}" if why else "")
        by = (who, now, why or None) if hold else (None, None, None)
        values = dict(zip(("held_by", "held_at", "held_why"), by, strict=True))
        set_worker(session, worker, now, text, held=hold, **values)
        return _facts(session, worker, None)


def _facts(session: Session, worker: Worker, attempt: Attempt | None) -> WorkerFacts:
    status = worker_status(worker)
    idle = "busy" if attempt is not None else "idle"
    speed = _speed([attempt], attempt.moved_at) if attempt is not None else None
    if speed is None and worker.alive:
        done = (Attempt.worker == worker.name, Attempt.status == AttemptStatus.DONE.value, ~Chunk.reused)
        finished = select(Attempt).join(Chunk).where(*done, Chunk.stage.in_(_FRAMES)).order_by(Attempt.id.desc())
        speed = _speed(session.scalars(finished.limit(_LAST)).all())
    return WorkerFacts(
        name=worker.name,
        device=worker.device,
        host=worker.host,
        pid=worker.pid,
        alive=worker.alive,
        seen_at=worker.seen_at,
        state=idle if status is WorkerStatus.ALIVE else status.value,
        frames_per_second=speed,
        job=attempt.chunk.job_id if attempt is not None else None,
        stage=attempt.chunk.stage if attempt is not None else None,
        chunk=attempt.chunk.index + 1 if attempt is not None else None,
        held=worker.held,
        held_by=worker.held_by,
        held_at=worker.held_at,
        held_why=worker.held_why,
    )


def _speed(attempts: Iterable[Attempt], until: float | None = None) -> float | None:
    """Frames per second of attempts; None where they have reported no frame yet."""
    frames = seconds = 0.0
    for attempt in attempts:
        if attempt.started_at is not None:
            frames += attempt.frames
            seconds += (until or attempt.finished_at or attempt.moved_at) - attempt.started_at
    return round(frames / seconds, 2) if frames and seconds > 0 else None
