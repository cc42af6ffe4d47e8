"""Facts about jobs for user interfaces: plain values, each read in one transaction."""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from farm.database.models import Attempt, Chunk, Event, Job, Leader, Note, Worker
from farm.domain.lifecycle import AttemptStatus, ChunkStatus
from farm.domain.stages import STAGES, JobStatus
from farm.errors import NotFound
from farm.jobs.context import Context
from farm.jobs.control import find_job
from farm.messages import Artefact

#: A coordinator beats this often; after this much silence another one takes over.
BEAT_SECONDS, SILENCE_SECONDS = 2.0, 10.0
_SEGMENTS = STAGES[-1].inputs  # the last stage reads the segments


@dataclass(frozen=True, slots=True)
class StageFacts:
    """Progress of one stage of a job. ``frames_done``: of finished chunks, and of running ones as far as reported."""

    stage: str
    chunks: int
    chunks_done: int
    chunks_reused: int
    frames: int
    frames_done: int
    spent: dict[str, float]


@dataclass(frozen=True, slots=True)
class JobFacts:
    """One job as people see it. Times in seconds since the epoch.

    ``container``: FFmpeg's name of the output's container, ``pictures`` for a directory of pictures. ``psnr``: the
    lowest of any chunk, in dB, away from the faces; None where nothing was measured, or nothing differs.
    """

    id: str
    status: str
    reason: str | None
    source: str
    output: str
    frames: int
    seconds: float
    created_at: float
    finished_at: float | None
    notes: tuple[str, ...]
    failures: int
    stages: tuple[StageFacts, ...]
    container: str = ""
    psnr: float | None = None

    @property
    def over(self) -> bool:
        """Whether the job has ended: done, failed or cancelled."""
        return JobStatus(self.status).over

    @property
    def reused(self) -> int:
        """Chunks whose result was in the store already."""
        return sum(s.chunks_reused for s in self.stages)

    def row(self) -> dict[str, Any]:
        """All facts as JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """One worker."""

    name: str
    device: str
    host: str
    pid: int
    alive: bool
    seen_at: float


def job_facts(context: Context, job_id: str) -> JobFacts:
    """Facts about the job with this id, or whose id begins so. Raises NotFound."""
    with context.database.read() as session:
        return _facts(session, find_job(session, job_id))


def job_status(context: Context, job_id: str) -> JobStatus:
    """The status of the job with exactly this id: the cheapest query. Raises NotFound."""
    with context.database.read() as session:
        found = session.scalar(select(Job.status).where(Job.id == job_id))
    if found is None:
        raise NotFound(f"no job {job_id!r}")
    return JobStatus(found)


def list_jobs(context: Context, limit: int = 100) -> list[JobFacts]:
    """The newest jobs, newest first."""
    with context.database.read() as session:
        jobs = session.scalars(select(Job).order_by(Job.created_at.desc()).limit(limit))
        return [_facts(session, job) for job in jobs]


def list_workers(context: Context) -> list[WorkerFacts]:
    """All workers that have ever reported."""
    with context.database.read() as session:
        rows = session.scalars(select(Worker).order_by(Worker.name))
        return [WorkerFacts(w.name, w.device, w.host, w.pid, w.alive, w.seen_at) for w in rows]


def live_workers(context: Context) -> int:
    """How many workers are alive."""
    with context.database.read() as session:
        return session.scalar(select(func.count()).select_from(Worker).where(Worker.alive)) or 0


def live_encoders(context: Context) -> frozenset[str] | None:
    """FFmpeg's names of the encoders that live workers have; None if no live worker has reported any."""
    with context.database.read() as session:
        reported = session.scalars(select(Worker.encoders).where(Worker.alive))
        return frozenset(name for names in reported for name in names) or None


def last_beat(context: Context) -> int:
    """The number of heartbeats of all coordinators so far."""
    with context.database.read() as session:
        return session.scalar(select(Leader.beat)) or 0


def coordinator_silence(context: Context) -> float | None:
    """For how many seconds no coordinator has led: 0 while one does, None if none ever has.

    Where the last heartbeat looks old, this waits for another one: the clocks of two hosts may differ.
    """
    with context.database.read() as session:
        leader = session.scalar(select(Leader))
    if leader is None:
        return None
    silence = abs(context.clock() - leader.seen_at)
    if silence < SILENCE_SECONDS:
        return 0.0
    time.sleep(BEAT_SECONDS * 1.5)
    return 0.0 if last_beat(context) != leader.beat else silence


def job_events(context: Context, job_id: str) -> list[tuple[float, str]]:
    """The events of a job, in order. Raises NotFound."""
    with context.database.read() as session:
        job = find_job(session, job_id)
        rows = session.scalars(select(Event).where(Event.job_id == job.id).order_by(Event.id))
        return [(row.at, row.text) for row in rows]


def _facts(session: Session, job: Job) -> JobFacts:
    failures = session.scalar(
        select(func.count()).select_from(Attempt).join(Chunk).where(Chunk.job_id == job.id, Attempt.cause.is_not(None))
    )
    return JobFacts(
        id=job.id,
        status=job.status,
        reason=job.reason,
        source=job.source,
        output=job.output,
        frames=job.frames,
        seconds=job.seconds,
        created_at=job.created_at,
        finished_at=job.finished_at,
        notes=tuple(session.scalars(select(Note.text).where(Note.job_id == job.id).order_by(Note.id))),
        failures=failures or 0,
        stages=tuple(_stage(session, job, stage.name) for stage in STAGES if stage.counts_frames),
        container=job.container,
        psnr=lowest_psnr(Artefact.model_validate(row) for row in _segments(session, job)),
    )


def lowest_psnr(segments: Iterable[Artefact]) -> float | None:
    """The lowest PSNR of segments; None where none was measured, or nothing differs."""
    measured = [s.psnr for s in segments if s.psnr is not None and isfinite(s.psnr)]
    return min(measured, default=None)


def _segments(session: Session, job: Job) -> Iterable[dict[str, Any] | None]:
    """The segments of a job that is over, as JSON; before, the answer would be of a part only."""
    if not JobStatus(job.status).over:
        return ()
    mine = (Chunk.job_id == job.id, Chunk.stage == _SEGMENTS, Chunk.artefact.is_not(None))
    return session.scalars(select(Chunk.artefact).where(*mine))


def _stage(session: Session, job: Job, stage: str) -> StageFacts:
    mine = (Chunk.job_id == job.id, Chunk.stage == stage)
    is_done = Chunk.status == ChunkStatus.DONE.value
    number, frames = func.count(), func.coalesce(func.sum(Chunk.frames).filter(is_done), 0)
    counts = select(number, number.filter(is_done), number.filter(is_done, Chunk.reused), frames).where(*mine)
    chunks, chunks_done, reused, frames_done = (int(n) for n in session.execute(counts).one())
    under_way = session.scalar(
        select(func.coalesce(func.sum(Attempt.frames), 0))
        .join(Chunk)
        .where(*mine, Attempt.status == AttemptStatus.LEASED.value)
    )
    spent: Counter[str] = Counter()
    if JobStatus(job.status).over:  # of interest only at the end, and the most expensive query
        for row in session.scalars(select(Chunk.spent).where(*mine, is_done)):
            spent.update(row)
    return StageFacts(
        stage=stage,
        chunks=chunks,
        chunks_done=chunks_done,
        chunks_reused=reused,
        frames=job.frames,
        frames_done=frames_done + int(under_way or 0),
        spent={k: round(v, 3) for k, v in spent.items()},
    )
