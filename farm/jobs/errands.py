"""Errands: what a worker does for a job beside its stages, on request. Their rows are rows of chunks.

An errand has the limits of a chunk for its failures. It is withdrawn when its job is cancelled or fails; while the job
is paused, it waits. What it wrote is found again for an equal request.
"""

from collections.abc import Callable, Mapping, Sequence
from time import sleep
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from farm.database.models import Attempt, Chunk, Job
from farm.database.statuses import delete_chunks, locked_job
from farm.domain.artefacts import artefact_name, fingerprint_facts, stage_fingerprint
from farm.domain.lifecycle import OPEN_CHUNKS, ChunkStatus
from farm.domain.manifest import Manifest
from farm.domain.options import load_options
from farm.domain.stages import JobStatus, work_named
from farm.errors import IllegalTransition, JobFailed
from farm.jobs.context import Context
from farm.jobs.plans import job_manifest, restore_plan
from farm.jobs.queries import find_job
from farm.messages import Artefact
from farm.storage.base import Storage

_POLL_SECONDS = 0.1


def errand_row(
    job: Job,
    manifest: Manifest,
    name: str,
    index: int,
    request: Mapping[str, Any],
    inputs: Sequence[Artefact] = (),
) -> Chunk:
    """The row of an errand, not inserted. ``index``: of the chunk, where it has a row per chunk."""
    errand = work_named(name)
    facts = fingerprint_facts(manifest, job.model_sha256, load_options(job.options), job.container, job.plan)
    of = stage_fingerprint(name, facts)
    chunk = manifest.chunks[index].name if errand.per_chunk else ""
    return Chunk(
        job_id=job.id,
        stage=name,
        index=index,
        frames=manifest.chunks[index].frames if errand.per_chunk else 0,
        fingerprint=of,
        name=artefact_name(name, of, chunk, [artefact.sha256 for artefact in inputs], request=request),
        inputs=[artefact.model_dump(mode="json") for artefact in inputs],
        request=dict(request),
    )


def run_errand(
    context: Context, job_id: str, name: str, request: Mapping[str, Any], tend: Callable[[], None]
) -> Artefact:
    """Have a worker do an errand, and wait for it; ``tend`` is called meanwhile. Returns what it wrote.

    Its row is deleted at the end, also of one that was interrupted. Raises NotFound, IllegalTransition for a job that
    is paused, JobFailed with the reason where it cannot be done, StorageError.
    """
    with context.database.read() as session:
        job_id = find_job(session, job_id).id
    restore_plan(context, job_id)
    number = _insert(context, job_id, name, request)
    try:
        while (artefact := _result(context, number)) is None:
            tend()
            sleep(_POLL_SECONDS)
        return artefact
    finally:
        with context.database.write() as session:
            locked_job(session, job_id)
            delete_chunks(session, [number])


def gathered(
    context: Context,
    job_id: str,
    name: str,
    wanted: Callable[[Session, Job], Sequence[Chunk]],
    during: JobStatus | None = None,
) -> list[Artefact] | None:
    """What the errands ``wanted``, all those that a job has of one kind, have written; None while they are under way.

    Those that were not asked for, were withdrawn, or whose result the store has lost, are asked for. ``during``: only
    while the job has this status. While others of the kind are under way, they are waited for, and then forgotten.
    Raises JobFailed with the reason where one cannot be done, StorageError.
    """
    with context.database.read() as session:  # most calls end here, without the write lock
        mine = select(Chunk.status).where(Chunk.job_id == job_id, Chunk.stage == name).distinct()
        statuses = set(session.scalars(mine))
        waits = not statuses.isdisjoint(OPEN_CHUNKS)
        if waits and ChunkStatus.FAILED not in statuses:
            return None
        rows = wanted(session, session.get_one(Job, job_id))
        if waits:  # not for what has failed already
            _check_failed(session, rows)
            return None
    with context.database.write() as session:
        if during not in (None, locked_job(session, job_id).status):
            return None
        made = [done_errand(session, row) for row in _asked(session, context.store, rows)]
    found = [artefact for artefact in made if artefact is not None]
    return found if len(found) == len(made) else None


def _check_failed(session: Session, rows: Sequence[Chunk]) -> None:
    """Raise JobFailed where one of the errands ``rows`` has failed."""
    mine = (Chunk.job_id == rows[0].job_id, Chunk.stage == rows[0].stage, Chunk.status == ChunkStatus.FAILED.value)
    names = {row.name for row in rows}
    for row in session.scalars(select(Chunk).where(*mine)):
        if row.name in names:
            done_errand(session, row)


def _asked(session: Session, store: Storage, rows: Sequence[Chunk]) -> list[Chunk]:
    """Errands as the database has them, all others of the kind deleted, those inserted that it lacks."""
    names = {row.index: row.name for row in rows}
    there = session.scalars(select(Chunk).where(Chunk.job_id == rows[0].job_id, Chunk.stage == rows[0].stage)).all()
    kept = {row.index: row for row in there if row.name == names.get(row.index) and not _is_void(row, store)}
    delete_chunks(session, [row.id for row in there if kept.get(row.index) is not row])
    session.add_all(row for row in rows if row.index not in kept)
    session.flush()
    return [kept.get(row.index, row) for row in rows]


def _is_void(row: Chunk, store: Storage) -> bool:
    """Whether an errand was withdrawn, or what it wrote is not there any more."""
    gone = row.status == ChunkStatus.DONE and not store.exists((row.artefact or {})["key"])
    return gone or row.status == ChunkStatus.CANCELLED


def _insert(context: Context, job_id: str, name: str, request: Mapping[str, Any]) -> int:
    with context.database.write() as session:
        job = locked_job(session, job_id)
        if job.status == JobStatus.PAUSED:
            raise IllegalTransition(f"job {job.id} is paused", hint=f"farm resume {job.id}, then repeat the command")
        last = select(func.max(Chunk.index)).where(Chunk.job_id == job.id, Chunk.stage == name)
        index = (session.scalar(last) or 0) + 1
        row = errand_row(job, job_manifest(session, job.id), name, index, request)
        session.add(row)
        session.flush()
        return row.id


def _result(context: Context, number: int) -> Artefact | None:
    with context.database.read() as session:
        row = session.get(Chunk, number)
        return done_errand(session, row)


def done_errand(session: Session, row: Chunk | None) -> Artefact | None:
    """What an errand wrote; None where it is not done yet. Raises JobFailed where it will not be done."""
    if row is None or row.status == ChunkStatus.CANCELLED:
        raise JobFailed("it was withdrawn, since its job was cancelled or failed", hint="repeat the command")
    if row.status == ChunkStatus.FAILED:
        last = select(Attempt.reason).where(Attempt.chunk_id == row.id).order_by(Attempt.id.desc()).limit(1)
        raise JobFailed(session.scalar(last) or f"{row.stage} failed")
    return Artefact.model_validate(row.artefact) if row.status == ChunkStatus.DONE else None
