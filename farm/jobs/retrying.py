"""How a failed or cancelled job goes on: where it stopped, or before that where the store has lost what it needs."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from farm.database.events import record_event
from farm.database.models import Attempt, Chunk, Job
from farm.database.statuses import move_chunks, move_job, set_back
from farm.domain.containers import PICTURES_CONTAINER
from farm.domain.lifecycle import ChunkEvent, ChunkStatus, JobEvent
from farm.domain.stages import JobStatus, Stage, stage_at, stage_named
from farm.errors import IllegalTransition
from farm.jobs.beginning import renew_rows, stage_rows
from farm.jobs.context import Context
from farm.jobs.plans import job_manifest, restore_plan
from farm.storage.base import Storage, is_whole


def damaged_artefacts(context: Context, job_id: str) -> frozenset[str]:
    """The keys of artefacts of an interrupted job's newest stage, or that it reads, that the store has lost.

    Damaged ones are set aside, and the plan is made again where it is damaged. Takes as long as reading all of them.
    Raises JobFailed for the plan of another version, StorageError, SourceError where the plan needs the source.
    """
    store = context.store
    with context.database.read() as session:
        job = session.get_one(Job, job_id)
        stage = stage_at(JobStatus(job.interrupted)) if job.interrupted else None
        if not JobStatus(job.status).over or stage is None:
            return frozenset()
        rows = stage_rows(session, job_id, stage.name)
    restore_plan(context, job_id)
    made = {artefact["key"] for row in rows for artefact in (row.artefact, *row.inputs) if artefact}
    damaged = frozenset(key for key in made if not is_whole(store, key))
    for key in damaged:
        store.set_aside(key)
    return damaged


def retry_job(session: Session, store: Storage, job: Job, now: float, damaged: AbstractSet[str] = frozenset()) -> None:
    """Resume a failed or cancelled job, with its failures reset. What is gone from the store is made again.

    The caller has locked the job's row, so that nothing is deleted that is found here. Raises IllegalTransition,
    StorageError without the plan, JobFailed for the plan of another version, SourceError unless the source is there and
    unchanged or not needed any more.
    """
    stage = stage_at(JobStatus(job.interrupted)) if job.interrupted else None
    if stage is None or job.status == JobStatus.PAUSED:
        raise _not_to_retry(job)
    manifest = job_manifest(session, job.id)
    stage, lost = resumable_stage(session, store, job, stage, damaged)
    if lost or stage.status != job.interrupted:
        set_back(session, job, stage, lost)
        chunks = f"{len(lost)} chunk{'' if len(lost) == 1 else 's'}"
        record_event(session, now, f"missing from the store, done again from {stage.name}: {chunks}", job.id)
    renew_rows(session, job, manifest, stage)
    if job.open_chunks:
        from farm.media.reading.chunk import check_source  # noqa: PLC0415 - PyAV, which the coordinator begins without

        check_source(Path(manifest.source.path), manifest.source)
    job.repairs = 0
    move_job(session, job, JobEvent.RETRY, now)
    mine = select(Chunk.id).where(Chunk.job_id == job.id)
    session.execute(update(Attempt).where(Attempt.chunk_id.in_(mine)).values(reset=True))
    move_chunks(session, job.id, ChunkEvent.RETRY, now, "the job is retried", not_before=now)


def _not_to_retry(job: Job) -> IllegalTransition:
    if job.status == JobStatus.DONE:
        how = "with a new folder after --frames" if job.container == PICTURES_CONTAINER else "with --overwrite"
        return IllegalTransition(f"job {job.id} is done", hint=f"to redo it, submit the video again {how}")
    hint = f"farm resume {job.id}" if job.status == JobStatus.PAUSED else f"follow it: farm watch {job.id}"
    return IllegalTransition(f"job {job.id} has not failed: it is {job.status}", hint=hint)


def resumable_stage(
    session: Session, store: Storage, job: Job, stage: Stage, damaged: AbstractSet[str] = frozenset()
) -> tuple[Stage, list[Chunk]]:
    """The latest stage whose inputs are there, as far as it has to read them, and its chunks whose result is gone."""

    def here(artefact: Mapping[str, Any] | None) -> bool:
        return artefact is not None and artefact["key"] not in damaged and store.exists(artefact["key"])

    while True:
        rows = stage_rows(session, job.id, stage.name)
        done = [row for row in rows if row.status == ChunkStatus.DONE]
        lost = [row for row in done if not here(row.artefact)]
        if lost and stage.by == "coordinator":  # it makes all of its artefacts at once
            lost = done
        undone = [row for row in rows if row.status != ChunkStatus.DONE]
        if stage.inputs is None or all(here(artefact) for row in (*undone, *lost) for artefact in row.inputs):
            return stage, lost
        stage = stage_named(stage.inputs)
