"""From stage to stage: the transaction that sees a stage complete also writes the next stage's rows, once."""

import logging

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from farm.coordinator.linking import Linked, link_job
from farm.coordinator.publishing import publish_output, remove_intermediates
from farm.database.models import Chunk, Job
from farm.database.statuses import move_job, note
from farm.domain import artefacts as keys
from farm.domain.lifecycle import ChunkStatus, JobEvent, JobStatus
from farm.domain.manifest import Manifest, load_manifest
from farm.domain.options import load_options
from farm.errors import FarmError
from farm.jobs.context import Context
from farm.jobs.ending import fail_job
from farm.jobs.queries import lowest_psnr
from farm.messages import Artefact

log = logging.getLogger(__name__)

_STAGE = {JobStatus.DETECTING: "detect", JobStatus.REDACTING: "redact", JobStatus.COMPOSING: "compose"}


def ready(context: Context) -> list[str]:
    """Jobs that :func:`advance` has something to do for."""
    with context.database.read() as session:
        rows = session.scalars(select(Job).where(Job.status.in_([*_STAGE, JobStatus.LINKING])))
        return [job.id for job in rows if job.status == JobStatus.LINKING or _complete(session, job)]


def _complete(session: Session, job: Job) -> bool:
    stage = _STAGE[JobStatus(job.status)]
    mine = (Chunk.job_id == job.id, Chunk.stage == stage)
    left = session.scalar(select(func.count()).where(*mine, Chunk.status != ChunkStatus.DONE.value))
    return left == 0 and bool(session.scalar(select(func.count()).where(*mine)))


def advance(context: Context, job_id: str) -> None:
    """Take one job one step further; an error fails the job with its reason."""
    try:
        _advance(context, job_id)
    except Exception as e:
        if not isinstance(e, FarmError | OSError):
            log.exception("a defect")  # the traceback is for the log, the job gets one line
        with context.database.write() as session:
            job = session.get_one(Job, job_id)
            fail_job(session, job, context.clock(), f"{job.status}: {e}")


def _advance(context: Context, job_id: str) -> None:
    with context.database.write() as session:
        job = session.get_one(Job, job_id)
        status = JobStatus(job.status)
        if status is JobStatus.DETECTING and _complete(session, job):
            move_job(session, job, JobEvent.STAGE_DONE, context.clock())
        elif status is JobStatus.REDACTING and _complete(session, job):
            _begin_compose(session, job, context.clock())
            return
    if status in (JobStatus.DETECTING, JobStatus.LINKING):
        _link(context, job)
    elif status is JobStatus.COMPOSING:
        _publish(context, job)


def _manifest(context: Context, job: Job) -> Manifest:
    with context.store.fetch(job.plan) as path:
        return load_manifest(path.read_text())


def artefacts(session: Session, job_id: str, stage: str) -> list[Artefact]:
    """What a finished stage left, in order of the chunks."""
    rows = session.scalars(
        select(Chunk.artefact).where(Chunk.job_id == job_id, Chunk.stage == stage).order_by(Chunk.index)
    )
    return [Artefact.model_validate(row) for row in rows]


def _link(context: Context, job: Job) -> None:
    manifest, options = _manifest(context, job), load_options(job.options)
    with context.database.read() as session:
        detections = artefacts(session, job.id, "detect")
    detect = keys.detect_fingerprint(manifest.source.digest, job.model_sha256, options)
    name = keys.link_fingerprint(detect, options)
    linked = link_job(context.store, manifest, detections, name, options)
    _begin_redact(context, job.id, linked, found_notes(linked, manifest), keys.redact_fingerprint(name, options))


def found_notes(linked: Linked, manifest: Manifest) -> list[str]:
    """What was found, for the person: a line for the faces, and one for frames that are black."""
    tracks = f"{linked.tracks} track{'' if linked.tracks == 1 else 's'}"
    notes = [f"{tracks}, a face in {linked.frames_with_faces} of {manifest.frames} frames"]
    if linked.first_black is not None:
        begins = manifest.chunks[0].pts_start  # what a person counts from, as --start does
        first = float((linked.first_black - begins) * manifest.source.video.time_base)
        notes.append(f"frames that cannot be decoded and are black: {linked.black}, the first at {first:.3f} s")
    return notes


def _begin_redact(context: Context, job_id: str, linked: Linked, found: list[str], name: str) -> None:
    with context.database.write() as session:
        now = context.clock()
        job = session.get_one(Job, job_id)
        if job.status != JobStatus.LINKING or not move_job(session, job, JobEvent.STAGE_DONE, now):
            return  # paused or cancelled meanwhile; linking again is cheap
        session.execute(delete(Chunk).where(Chunk.job_id == job.id, Chunk.stage == "redact"))
        for index, tracks in enumerate(linked.artefacts):
            row = Chunk(job_id=job.id, stage="redact", index=index, frames=tracks.frames, fingerprint=name)
            row.inputs = [tracks.model_dump(mode="json")]
            session.add(row)
        job.notes = [*job.notes, *found]
        note(session, now, "; ".join(found), job.id)


def _begin_compose(session: Session, job: Job, now: float) -> None:
    if not move_job(session, job, JobEvent.STAGE_DONE, now):
        return
    segments = artefacts(session, job.id, "redact")
    redact = session.scalar(select(Chunk.fingerprint).where(Chunk.job_id == job.id, Chunk.stage == "redact").limit(1))
    row = Chunk(
        job_id=job.id,
        stage="compose",
        index=0,
        frames=job.frames,
        fingerprint=keys.compose_fingerprint(redact or "", job.plan, job.container, load_options(job.options)),
    )
    row.inputs = [s.model_dump(mode="json") for s in segments]
    session.add(row)
    lowest = lowest_psnr(segments)
    if lowest is not None:
        job.notes = [*job.notes, f"away from the faces at least {lowest:.1f} dB PSNR"]


def _publish(context: Context, job: Job) -> None:
    with context.database.read() as session:
        if not _complete(session, job):
            return
        output = artefacts(session, job.id, "compose")[0]
    publish_output(context.store, job, output)
    with context.database.write() as session:
        fresh = session.get_one(Job, job.id)
        if fresh.status == JobStatus.COMPOSING:
            move_job(session, fresh, JobEvent.STAGE_DONE, context.clock())
    if not context.settings.keep_segments:
        remove_intermediates(context, job.id)
