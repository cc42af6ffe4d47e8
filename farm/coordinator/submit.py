"""``farm submit`` up to the first row in the database: look at the source, plan it, write the job down."""

import json
import os
import secrets
import tempfile
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sqlalchemy import select, update

from farm.coordinator import keys
from farm.coordinator.context import Context
from farm.coordinator.control import intact, retry_job
from farm.database.models import Chunk, Job
from farm.database.statuses import move_job, note
from farm.domain.lifecycle import ChunkStatus, JobEvent, JobStatus
from farm.domain.manifest import Manifest, dump_manifest, load_manifest, pts_key
from farm.domain.options import JobOptions
from farm.errors import OutputError
from farm.media.containers import container_for, default_suffix, refuse_loss
from farm.media.encode import encoder_settings
from farm.media.index import plan_manifest
from farm.media.opening import check_readable
from farm.media.probe import probe


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asks: one video, where its redacted copy goes, and how."""

    source: Path
    output: Path | None
    overwrite: bool
    options: JobOptions
    chunk_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Submitted:
    """The job, and whether it was there already and goes on."""

    job: str
    output: Path
    resumed: bool


def check_output(request: Request) -> tuple[Path, str]:
    """Where the output goes and in which container. Raises SourceError, OutputError."""
    check_readable(request.source)
    name, video, others = probe(request.source)
    codec = encoder_settings(video, request.options.redact).codec
    suffix = default_suffix(name, video.time_base, request.source.suffix)
    output = request.output
    if output is None:
        output = request.source.with_name(f"{request.source.stem}.blurred{suffix}")
    elif output.is_dir():
        output = output / f"{request.source.stem}.blurred{suffix}"
    output = Path(os.path.abspath(output))  # noqa: PTH100 - without the dots, but with the user's own links
    container = container_for(name, codec, output.suffix, video.time_base)
    try:
        refuse_loss(others, container, video.time_base)
    except OutputError as e:
        raise OutputError(f"{request.source}: {e.message}", hint=e.hint) from None
    folder = output.parent
    if not folder.is_dir():
        raise OutputError(f"{folder}: no such folder", hint="make it first, or choose another with -o")
    try:  # asking the file system is not enough: root may write everywhere, a full or read-only disk refuses
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as e:
        raise OutputError(f"cannot write into {folder}: {e.strerror}", hint="choose another folder with -o") from e
    if output.exists():
        if output.is_dir() or output.samefile(request.source):
            raise OutputError(f"{output} is the source or a folder", hint="choose another name with -o")
        if not request.overwrite:
            raise OutputError(f"{output} exists", hint="use --overwrite, or another name with -o")
    return output, container


def submit(context: Context, request: Request, model_sha256: str, workers: int) -> Submitted:
    """Write the job down, or find the same job unfinished and let it go on.

    ``workers``: how many will work on it, which the number of chunks is fitted to.
    Raises SourceError, OutputError, StorageError, DatabaseError.
    """
    source = request.source.resolve()
    output, container = check_output(request)
    manifest, pts = plan_manifest(source, request.chunk_seconds, workers)
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
    return _write_down(context, request, manifest, plan, model_sha256, name, output, container)


def _as_before(
    context: Context, earlier: Sequence[Job], manifest: Manifest, pts: Sequence["array[int]"]
) -> tuple[Manifest, Sequence["array[int]"]]:
    """The cut of an earlier job of the same fingerprint, so that its finished chunks are found again."""
    for job in earlier:
        if not context.store.exists(job.plan):
            continue
        with context.store.read(job.plan) as path:
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
        with context.store.create(pts_key(plan, chunk)) as path:
            path.write_text(json.dumps(part.tolist()))
    with context.store.create(plan) as path:
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


def _write_down(
    context: Context,
    request: Request,
    manifest: Manifest,
    plan: str,
    model_sha256: str,
    name: str,
    output: Path,
    container: str,
) -> Submitted:
    now = context.clock()
    job = Job(
        id=secrets.token_hex(4),
        fingerprint=name,
        status=JobStatus.PLANNING.value,
        source=manifest.source.path,
        output=str(output),
        overwrite=request.overwrite,
        container=container,
        options=keys.options_row(request.options),
        plan=plan,
        model_sha256=model_sha256,
        frames=manifest.frames,
        seconds=manifest.seconds,
        created_at=now,
        notes=[],
    )
    detect = keys.detect_fingerprint(manifest.source.digest, model_sha256, request.options)
    with context.database.write() as session:
        session.add(job)
        session.flush()
        for chunk in manifest.chunks:
            row = Chunk(job_id=job.id, stage="detect", index=chunk.index, frames=chunk.frames, fingerprint=detect)
            session.add(row)
        note(session, now, f"submitted: {manifest.frames} frames in {len(manifest.chunks)} chunks", job.id)
        move_job(session, job, JobEvent.STAGE_DONE, now)
    return Submitted(job.id, output, resumed=False)
