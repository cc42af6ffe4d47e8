"""Facts about the stages of jobs and about companion jobs, for user interfaces."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from farm.database.models import Attempt, Chunk, Job
from farm.domain.lifecycle import AttemptStatus, ChunkStatus
from farm.domain.stages import JobStatus
from farm.jobs.recognition import is_undecided
from farm.messages import Artefact


@dataclass(frozen=True, slots=True)
class StageFacts:
    """Progress of one stage of a job and its companions. ``frames_done``: of finished chunks, and of running ones as
    far as reported.
    """

    stage: str
    chunks: int
    chunks_done: int
    chunks_reused: int
    frames: int
    frames_done: int
    spent: dict[str, float]


@dataclass(frozen=True, slots=True)
class CompanionFacts:
    """A job that redacts another ``stream`` of the same source. ``faces`` and ``frames_with_faces``: None until linked.

    ``waits``: a person has to approve its masks; ``refused``: as an audit found faces in its output.
    """

    id: str
    stream: int
    status: str
    frames: int
    faces: int | None
    frames_with_faces: int | None
    waits: bool
    refused: bool

    def __str__(self) -> str:
        if self.status != JobStatus.DONE:
            return f"stream {self.stream}: job {self.id} is {'waiting for review' if self.waits else self.status}"
        faces = f"{self.faces} face{'' if self.faces == 1 else 's'}" if self.faces else "no face was found"
        where = f" in {self.frames_with_faces} of {self.frames} frames" if self.faces else f" ({self.frames} frames)"
        return f"stream {self.stream}: {faces}{where} (job {self.id})"


def companion_facts(session: Session, job: Job) -> CompanionFacts:
    """The facts of a companion."""
    found = job.found or {}
    waits = job.review and job.status == JobStatus.REVIEWING and not is_undecided(session, job)
    return CompanionFacts(
        job.id, job.stream or 0, job.status, job.frames, found.get("tracks"), found.get("frames"), waits,
        waits and bool(job.audited),
    )  # fmt: skip


def stage_facts(session: Session, group: Sequence[str], *, frames: int, stage: str, over: bool) -> StageFacts:
    """The progress of a stage of a ``group`` of jobs with ``frames`` together; what it cost once they are ``over``."""
    mine = (Chunk.job_id.in_(group), Chunk.stage == stage)
    is_done = Chunk.status == ChunkStatus.DONE.value
    number, done = func.count(), func.coalesce(func.sum(Chunk.frames).filter(is_done), 0)
    counts = select(number, number.filter(is_done), number.filter(is_done, Chunk.reused), done).where(*mine)
    chunks, chunks_done, reused, frames_done = (int(n) for n in session.execute(counts).one())
    under_way = session.scalar(
        select(func.coalesce(func.sum(Attempt.frames), 0))
        .join(Chunk)
        .where(*mine, Attempt.status == AttemptStatus.LEASED.value)
    )
    spent: Counter[str] = Counter()
    if over:  # of interest only at the end, and the most expensive query
        for row in session.scalars(select(Chunk.spent).where(*mine, is_done)):
            spent.update(row)
    return StageFacts(
        stage=stage,
        chunks=chunks,
        chunks_done=chunks_done,
        chunks_reused=reused,
        frames=frames,
        frames_done=frames_done + int(under_way or 0),
        spent={k: round(v, 3) for k, v in spent.items()},
    )


def made(session: Session, job: Job, stage: str | None) -> Iterable[dict[str, Any]]:
    """What a stage of a job that is over has written, as JSON; before, the answer would be of a part only."""
    if not JobStatus(job.status).over:
        return ()
    mine = (Chunk.job_id == job.id, Chunk.stage == stage, Chunk.artefact.is_not(None))
    return (row for row in session.scalars(select(Chunk.artefact).where(*mine)) if row is not None)


def lowest_psnr(segments: Iterable[Artefact]) -> float | None:
    """The lowest PSNR of segments; None where none was measured, or nothing differs."""
    measured = [s.psnr for s in segments if s.psnr is not None and isfinite(s.psnr)]
    return min(measured, default=None)
