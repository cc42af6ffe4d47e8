"""Makes again what the store has lost. A job is set back to the stage that made it, as far as that is necessary."""

from collections.abc import Callable, Sequence
from importlib import import_module

from sqlalchemy import select
from sqlalchemy.orm import Session

from farm.database.events import record_event
from farm.database.models import Chunk, Job
from farm.database.statuses import delete_chunks, locked_job, move_job, set_back
from farm.domain.artefacts import name_of
from farm.domain.lifecycle import JobEvent
from farm.domain.manifest import Manifest
from farm.domain.stages import STAGES, Errand, JobStatus, Stage, work_named
from farm.errors import JobFailed
from farm.jobs.beginning import stage_rows
from farm.jobs.companions import companions_of, composed
from farm.jobs.context import Context
from farm.jobs.plans import job_manifest, restore_plan
from farm.messages import Artefact
from farm.storage.base import is_whole

#: What does a stage of the coordinator: called with the job, its manifest, the inputs of all chunks in order and the
#: fingerprint of the stage; returns an artefact per chunk, in order, and notes on them.
OwnStage = Callable[[Context, Job, Manifest, Sequence[Artefact], str], tuple[Sequence[Artefact], Sequence[str]]]

#: A store whose artefacts of one job are found damaged more often than this cannot be relied on.
_MOST = 100


def remake(context: Context, job_id: str, key: str) -> None:
    """See that the artefact ``key``, which a job has written and needs, is made again if it is damaged or missing.

    What the coordinator makes is made at once; for the rest the job is set back, for all that its stage has lost.
    Raises DamagedArtefact where something that it is made of is damaged too, JobFailed for a store that cannot be
    relied on, SourceError.
    """
    store = context.store
    _count(context, job_id, key)
    if is_whole(store, key):
        return  # another report of the same damage
    store.set_aside(key)
    restore_plan(context, job_id)
    with context.database.write() as session:
        stage = _maker(session, job_id, key)
        rows = stage_rows(session, job_id, stage.name) if stage else []
    if stage is None:
        _wait_for_companion(context, job_id, key)
        return
    if stage.by == "coordinator" and _is_same(rows, do_stage(context, job_id, stage)[1]):
        return
    lost = {row.id for row in rows if row.artefact and not is_whole(store, row.artefact["key"])}
    with context.database.write() as session:
        job = locked_job(session, job_id)
        if JobStatus(job.status).over:
            return
        again = [row for row in stage_rows(session, job_id, stage.name) if row.id in lost]
        if again and stage.by == "coordinator":  # it makes all of its artefacts at once
            again = stage_rows(session, job_id, stage.name)
        if again:
            set_back(session, job, stage, again)
            if job.status != JobStatus.PAUSED:
                move_job(session, job, JobEvent.REMAKE, context.clock(), f"{key} is made again")


def _wait_for_companion(context: Context, job_id: str, key: str) -> None:
    """If ``key`` is the output of a companion, set the job back to before its last stage: it is made again first."""
    with context.database.write() as session:
        outputs = [composed(session, companion) for companion in companions_of(session, job_id)]
        job = locked_job(session, job_id)
        if job.status == JobStatus.COMPOSING and key in [output["key"] for output in outputs if output]:
            set_back(session, job, STAGES[-2], [])
            move_job(session, job, JobEvent.REMAKE, context.clock(), f"{key} is made again")


def _count(context: Context, job_id: str, key: str) -> None:
    with context.database.write() as session:
        job = locked_job(session, job_id)
        job.repairs += 1
        record_event(session, context.clock(), f"{key} was found damaged or missing", job_id)
        if job.repairs > _MOST:
            raise JobFailed(
                f"artefacts were found damaged or missing {_MOST} times, {key} last",
                hint=f"check the disk of the store, then: farm retry {job_id}",
            )


def _maker(session: Session, job_id: str, key: str) -> Stage | None:
    """The stage of the chunk whose valid artefact is ``key``. An errand is forgotten, so that it is asked for anew."""
    named = select(Chunk).where(Chunk.job_id == job_id, Chunk.name == name_of(key))
    rows = [row for row in session.scalars(named) if (row.artefact or {}).get("key") == key]
    delete_chunks(session, [row.id for row in rows if isinstance(work_named(row.stage), Errand)])
    made = (work for row in rows if isinstance(work := work_named(row.stage), Stage))
    return next(made, None)


def do_stage(context: Context, job_id: str, stage: Stage) -> tuple[list[Chunk], Sequence[Artefact], Sequence[str]]:
    """Do a stage of the coordinator: its rows, the artefact of each, and notes. Changes no status."""
    run: OwnStage = import_module(stage.module).run
    with context.database.read() as session:
        job, manifest = session.get_one(Job, job_id), job_manifest(session, job_id)
        rows = stage_rows(session, job_id, stage.name)
    inputs = [Artefact.model_validate(artefact) for row in rows for artefact in row.inputs]
    return rows, *run(context, job, manifest, inputs, rows[0].fingerprint)


def _is_same(rows: list[Chunk], made: Sequence[Artefact]) -> bool:
    return [artefact.key for artefact in made] == [(row.artefact or {}).get("key") for row in rows]
