"""``farm submit`` up to the first row in the database: look at the source, plan it, write the job down."""

import json
import secrets
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from farm.database.models import Chunk, Job
from farm.database.statuses import move_job, note
from farm.domain import artefacts as keys
from farm.domain.artefacts import pts_key
from farm.domain.lifecycle import ChunkStatus, JobEvent, JobStatus
from farm.domain.manifest import Manifest, dump_manifest, load_manifest
from farm.errors import OutputError
from farm.jobs.context import Context
from farm.jobs.control import intact, retry_job
from farm.jobs.placing import Place, Request, place_output
from farm.media.reading.index import plan_manifest


@dataclass(frozen=True, slots=True)
class Submitted:
    """The job, and whether it was there already and goes on."""

    job: str
    output: Path
    resumed: bool


def submit(context: Context, request: Request, model_sha256: str, workers: int) -> Submitted:
    """Write the job down, or find the same job unfinished and let it go on.

    ``workers``: how many will work on it, which the number of chunks is fitted to.
    Raises SourceError, OutputError (also for the output of another unfinished job), StorageError, DatabaseError.
    """
    source = request.source.resolve()
    place = place_output(request)
    manifest, pts = plan_manifest(source, request.chunk_seconds, workers, request.options.source, request.limits)
    output, container = place.output, place.container
    name = keys.job_fingerprint(manifest.source.digest, model_sha256, request.options, container)
    with context.database.read() as session:
        same = select(Job).where(Job.fingerprint == name).order_by(Job.created_at.desc())
        earlier = list(session.scalars(same))
    if request.chunk_seconds is None:
        manifest, pts = _as_before(context, earlier, manifest, pts)
    plan = keys.plan_key(manifest)
    _store_plan(context, plan, manifest, pts)
    unfinished = next((j for j in earlier if j.output == str(output) and j.status != JobStatus.DONE), None)
    if unfinished is not None and unfinished.plan == plan and intact(context, unfinished.id):
        return _go_on(context, unfinished.id, output, request.overwrite)
    return _write_down(context, request, manifest, plan, model_sha256, name, place)


def _as_before(
    context: Context, earlier: Sequence[Job], manifest: Manifest, pts: Sequence["array[int]"]
) -> tuple[Manifest, Sequence["array[int]"]]:
    """The cut of an earlier job of the same fingerprint, so that its finished chunks are found again."""
    for job in earlier:
        if not context.store.exists(job.plan):
            continue
        with context.store.fetch(job.plan) as path:
            before = load_manifest(path.read_text())
        if before.frames != manifest.frames:
            continue
        every = [p for part in pts for p in part]
        cut, start = [], 0
        for chunk in before.chunks:
            cut.append(array("q", every[start : start + chunk.frames]))
            start += chunk.frames
        return replace(manifest, chunks=before.chunks), cut
    return manifest, pts


def _store_plan(context: Context, plan: str, manifest: Manifest, pts: Sequence["array[int]"]) -> None:
    if context.store.exists(plan):  # the manifest is written last: with it, all is there
        return
    for chunk, part in zip(manifest.chunks, pts, strict=True):
        with context.store.put(pts_key(plan, chunk)) as path:
            path.write_text(json.dumps(part.tolist()))
    with context.store.put(plan) as path:
        path.write_text(dump_manifest(manifest))


def _go_on(context: Context, job_id: str, output: Path, overwrite: bool) -> Submitted:
    with context.database.write() as session:
        job = session.get_one(Job, job_id)
        job.overwrite = overwrite
        session.flush()
        now = context.clock()
        if job.status == JobStatus.PAUSED:
            move_job(session, job, JobEvent.RESUME, now)
        elif job.status in (JobStatus.FAILED, JobStatus.CANCELLED):
            retry_job(session, job, now)
        done = (Chunk.job_id == job.id, Chunk.status == ChunkStatus.DONE.value)
        session.execute(update(Chunk).where(*done).values(reused=True))  # for the summary: not done for this submission
        note(session, now, "submitted again: goes on", job.id)
    return Submitted(job_id, output, resumed=True)


def _refuse_claimed(session: Session, job: Job) -> None:
    """Of two unfinished jobs with one output the slower one would fail: after a Ctrl-C, the one that is wanted."""
    same = select(Job).where(Job.output == job.output, Job.fingerprint != job.fingerprint)
    earlier = next((j for j in session.scalars(same) if not JobStatus(j.status).over), None)
    if earlier is not None:
        raise OutputError(
            f"{job.output} is the output of job {earlier.id}, which has other options and is not finished",
            hint=f"farm cancel {earlier.id} first, or choose another name",
        )


def _write_down(
    context: Context,
    request: Request,
    manifest: Manifest,
    plan: str,
    model_sha256: str,
    name: str,
    place: Place,
) -> Submitted:
    now = context.clock()
    job = Job(
        id=secrets.token_hex(4),
        fingerprint=name,
        status=JobStatus.PLANNING.value,
        source=manifest.source.path,
        output=str(place.output),
        overwrite=request.overwrite,
        container=place.container,
        options=keys.options_row(request.options),
        plan=plan,
        model_sha256=model_sha256,
        frames=manifest.frames,
        seconds=manifest.seconds,
        created_at=now,
        notes=list(dict.fromkeys((*place.notes, *manifest.notes))),
    )
    detect = keys.detect_fingerprint(manifest.source.digest, model_sha256, request.options)
    with context.database.write() as session:
        _refuse_claimed(session, job)
        session.add(job)
        session.flush()
        for chunk in manifest.chunks:
            row = Chunk(job_id=job.id, stage="detect", index=chunk.index, frames=chunk.frames, fingerprint=detect)
            session.add(row)
        note(session, now, f"submitted: {manifest.frames} frames in {len(manifest.chunks)} chunks", job.id)
        move_job(session, job, JobEvent.STAGE_DONE, now)
    return Submitted(job.id, place.output, resumed=False)
