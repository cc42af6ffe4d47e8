"""Facts about jobs for user interfaces: plain values, each read in one transaction."""

import time
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from farm.database.models import Attempt, Chunk, Edit, Event, Job, Leader, Note
from farm.domain.stages import STAGES, JobStatus
from farm.errors import JobFailed, NotFound
from farm.jobs.companions import companions_of
from farm.jobs.context import Context
from farm.jobs.recognition import is_undecided
from farm.jobs.stage_facts import CompanionFacts, StageFacts, companion_facts, lowest_psnr, made, stage_facts
from farm.messages import MOVED_ASIDE, Artefact

#: A coordinator beats this often; after this much silence another one takes over.
BEAT_SECONDS, SILENCE_SECONDS = 2.0, 10.0
_RECENT, _RECENT_SECONDS = 20, 86400.0
_SEGMENTS = STAGES[-1].inputs  # the last stage reads the segments


@dataclass(frozen=True, slots=True)
class JobFacts:
    """One job as people see it. Times in seconds since the epoch. ``permanent``: a retry would fail again.

    ``container``: FFmpeg's name of the output's container, ``pictures`` for a directory of pictures. ``psnr``: the
    lowest of any chunk, in dB, away from the faces; None where nothing was measured, or nothing differs. ``copied``:
    frames whose packets are the source's; None until the job is over. ``options``:
    ``asdict(JobOptions)``. ``faces``: tracks that were found, and ``frames_with_faces``; ``without_faces``: from and
    to, in seconds of the output, where none was found (:class:`farm.domain.found.Found`); all None until the job was
    linked. ``source_size`` and ``output_size``: of the files, or of all pictures, in bytes; None if not known (yet).
    ``failures``: attempts that failed since the job was submitted or retried. ``edits``: how many the job has, and
    ``masked``: how many of them its masks contain. ``review``: a person has to approve its masks. ``audited``: what the
    last audit found, as :func:`farm.jobs.auditing.audit` returns it. ``redacted``: it waits for its companions.
    ``undecided``: whom it covers is still to be decided by its photos. ``main``: the job that it redacts the stream
    ``stream`` for; ``companions``: the jobs that redact other streams for it.
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
    copied: int | None = None
    permanent: bool = False
    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    faces: int | None = None
    frames_with_faces: int | None = None
    without_faces: list[list[float]] | None = None
    source_size: int | None = None
    output_size: int | None = None
    edits: int = 0
    masked: int = 0
    review: bool = False
    audited: dict[str, Any] | None = None
    undecided: bool = False
    main: str | None = None
    stream: int | None = None
    companions: tuple[CompanionFacts, ...] = ()
    redacted: bool = field(default=False, repr=False)

    @property
    def waits(self) -> bool:
        """Whether the job waits for a person to approve its masks, or those of a companion and nothing else."""
        return bool(self.waiting)

    @property
    def waiting(self) -> tuple[str, ...]:
        """The jobs whose masks a person has to approve, if nothing goes on before."""
        if any(not (each.waits or JobStatus(each.status).over) for each in self.companions):
            return ()
        if self.review and self.status == JobStatus.REVIEWING and not self.undecided:
            return (self.id, *(each.id for each in self.companions if each.waits))
        return tuple(each.id for each in self.companions if each.waits) if self.redacted else ()

    @property
    def refused(self) -> bool:
        """Whether an audit has refused its output, or that of a companion, so that it waits for a person."""
        return bool(self.refusals)

    @property
    def refusals(self) -> tuple[str, ...]:
        """The jobs of :attr:`waiting` whose output an audit has refused."""
        refused = [each.id for each in self.companions if each.refused] + ([self.id] if self.audited else [])
        return tuple(each for each in self.waiting if each in refused)

    @property
    def unmasked(self) -> int:
        """How many edits came after the masks of the output were made."""
        made = any(stage.stage == _SEGMENTS and stage.chunks for stage in self.stages)
        return self.edits - self.masked if made else 0

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
        row = {**asdict(self), "created_at": iso_time(self.created_at), "finished_at": iso_time(self.finished_at)}
        del row["redacted"]
        return row


def check_done(facts: JobFacts) -> None:
    """Raises JobFailed unless the job is done, or waits for a person with no output refused."""
    if facts.status == "failed":
        # then the reason says what to do
        what = "a retry would fail again" if facts.permanent else f"try again: farm retry {facts.id}"
        raise JobFailed(f"job {facts.id} failed: {facts.reason}", hint=f"no output was published; {what}")
    if facts.refused:
        raise JobFailed(
            f"job {facts.id}: its output was not published: the audit found faces outside the masks",
            hint=f"farm audit {facts.refusals[0]} lists them",
        )
    if facts.status != "done" and not facts.waits:
        raise JobFailed(f"job {facts.id} was {facts.status}", hint=f"resume it: farm retry {facts.id}")


def iso_time(seconds: float | None) -> str | None:
    """A time since the epoch in ISO 8601, in UTC: ``2026-01-31T12:00:00.000+00:00``."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def find_job(session: Session, job_id: str) -> Job:
    """The job with this id, or whose id begins so. Raises NotFound, which lists the jobs that it may be."""
    begins = select(Job).where(Job.id.startswith(job_id, autoescape=True))
    found = list(session.scalars(begins.order_by(Job.id).limit(6)))
    if not found or not job_id:
        raise NotFound(f"no job {job_id!r}", hint="`farm list` shows all jobs")
    if len(found) > 1 and found[0].id != job_id:
        named = ", ".join(job.id for job in found[:5]) + (", …" if len(found) > 5 else "")
        raise NotFound(f"more than one job begins with {job_id!r}: {named}", hint="give more characters of the id")
    return found[0]


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


def list_jobs(
    context: Context, statuses: Collection[JobStatus] = tuple(JobStatus), limit: int | None = None
) -> list[JobFacts]:
    """The jobs that have one of the statuses, newest first; at most ``limit``. Companions are part of their jobs."""
    with context.database.read() as session:
        mine = (Job.status.in_(statuses), Job.main.is_(None))
        wanted = select(Job).where(*mine).order_by(Job.created_at.desc(), Job.id)
        return [_facts(session, job) for job in session.scalars(wanted.limit(limit))]


def count_jobs(context: Context) -> dict[str, int]:
    """How many jobs have each status, of those that any has."""
    with context.database.read() as session:
        rows = session.execute(select(Job.status, func.count()).where(Job.main.is_(None)).group_by(Job.status))
        return dict(sorted((status, count) for status, count in rows))


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


def _notes(session: Session, job: Job) -> list[str]:
    """The notes of a job; those of a companion say of which stream they are."""
    said = session.scalars(select(Note.text).where(Note.job_id == job.id).order_by(Note.id))
    return [text if job.main is None else f"stream {job.stream}: {text}" for text in said]


def job_events(context: Context, job_id: str) -> list[tuple[float, str]]:
    """The events of a job that are about no single chunk, in order. Raises NotFound."""
    with context.database.read() as session:
        job = find_job(session, job_id)
        mine = (Event.job_id == job.id, Event.chunk.is_(None))
        rows = session.scalars(select(Event).where(*mine).order_by(Event.id))
        return [(row.at, row.text) for row in rows]


def refused_messages(context: Context) -> list[tuple[float, str]]:
    """The newest events of the last day about messages that belong to no job and were refused, in order."""
    found = select(Event).where(
        Event.job_id.is_(None), Event.at > context.clock() - _RECENT_SECONDS, Event.text.contains(MOVED_ASIDE)
    )
    with context.database.read() as session:
        rows = session.scalars(found.order_by(Event.id.desc()).limit(_RECENT)).all()
        return [(row.at, row.text) for row in reversed(rows)]


def _facts(session: Session, job: Job) -> JobFacts:
    companions = companions_of(session, job.id)
    group, frames = [job.id, *(each.id for each in companions)], job.frames + sum(each.frames for each in companions)
    over = JobStatus(job.status).over
    mine = (Chunk.job_id.in_(group), Attempt.cause.is_not(None), ~Attempt.reset)
    failures = session.scalar(select(func.count()).select_from(Attempt).join(Chunk).where(*mine))
    found = job.found or {}
    segments = [Artefact.model_validate(row) for row in made(session, job, _SEGMENTS)]
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
        notes=(*_notes(session, job), *(text for each in companions for text in _notes(session, each))),
        failures=failures or 0,
        stages=tuple(
            stage_facts(session, group, frames=frames, stage=stage.name, over=over)
            for stage in STAGES
            if stage.counts_frames
        ),
        container=job.container,
        psnr=lowest_psnr(segments),
        copied=sum(segment.copied or 0 for segment in segments) if over else None,
        permanent=job.permanent,
        options=job.options,
        faces=found.get("tracks"),
        frames_with_faces=found.get("frames"),
        without_faces=found.get("without"),
        source_size=job.source_size,
        edits=session.scalar(select(func.max(Edit.number)).where(Edit.job_id == job.id)) or 0,
        masked=job.masked,
        review=job.review,
        audited=job.audited,
        undecided=is_undecided(session, job),
        output_size=next((int(row["size"]) for row in made(session, job, STAGES[-1].name)), None),
        main=job.main,
        stream=job.stream,
        companions=tuple(companion_facts(session, each) for each in companions),
        redacted=job.status == JobStatus.REDACTING and not job.open_chunks,
    )
