"""From stage to stage: begins the next stage of a job once the current one is done, does the coordinator's own stages,
and publishes.
"""

import logging

from sqlalchemy import or_, select

from farm.coordinator.publishing import publish_output, remove_leftovers
from farm.coordinator.recognising import recognised
from farm.coordinator.remaking import do_stage, remake
from farm.database.events import add_note, record_event
from farm.database.models import Job
from farm.database.statuses import complete_stage, locked_job, move_job
from farm.domain.lifecycle import JobEvent
from farm.domain.manifest import Manifest
from farm.domain.stages import STAGES, WORKER_STAGES, JobStatus, Stage, next_stage, stage_at
from farm.errors import DamagedArtefact, DatabaseError, FarmError, StorageError
from farm.jobs.auditing import may_publish
from farm.jobs.beginning import begin_stage, stage_artefacts
from farm.jobs.companions import abandoned, check_companions, companions_of, composed, group_of
from farm.jobs.context import Context
from farm.jobs.edits import begin_revision
from farm.jobs.ending import fail_job
from farm.jobs.plans import job_manifest
from farm.jobs.recognition import UNDECIDED
from farm.jobs.record import write_beside
from farm.jobs.retention import discard_intermediates

log = logging.getLogger(__name__)

_OWN = tuple(stage.status.value for stage in STAGES if stage.by == "coordinator")
#: A person has to approve its masks.
_WAITS = (Job.status == JobStatus.REVIEWING.value) & Job.review & ~UNDECIDED
_OF_WORKERS = tuple(stage.status.value for stage in WORKER_STAGES)


def ready(context: Context) -> list[str]:
    """Jobs that :func:`advance` has something to do for."""
    done = Job.status.in_(_OF_WORKERS) & (Job.open_chunks == 0)
    own = Job.status.in_(_OWN) & ~_WAITS
    with context.database.read() as session:
        found = session.scalars(select(Job.id).where(or_(done, own)))
        return list(dict.fromkeys((*abandoned(session), *found)))


def advance(context: Context, job_id: str, damaged: str | None = None) -> None:
    """Take one job as far as it goes without workers; an error fails the job, unless it is over, with its reason.

    ``damaged``: the key of an artefact that is made again first. Raises DatabaseError: the next call goes on from
    there.
    """
    try:
        while damaged := _go_on(context, job_id, damaged):
            pass
    except DatabaseError:
        raise
    except Exception as e:
        # the traceback of a defect is for the log, the job gets one line
        log.error("job %s: %s", job_id, e, exc_info=not isinstance(e, FarmError | OSError), extra={"job": job_id})
        with context.database.write() as session:
            job = locked_job(session, job_id)
            permanent = isinstance(e, FarmError) and e.permanent
            fail_job(session, job, context.clock(), f"{job.status}: {e}", permanent=permanent)


def _go_on(context: Context, job_id: str, damaged: str | None) -> str | None:
    """Make again what is ``damaged``, and take all steps; the key of the next damaged artefact, if there is one."""
    try:
        if damaged is not None:
            remake(context, job_id, damaged)
        while _step(context, job_id):
            pass
    except DamagedArtefact as e:
        return e.key
    return None


def _step(context: Context, job_id: str) -> bool:
    """Take one step; False where there is none to take, or the job was changed meanwhile."""
    with context.database.read() as session:
        job = session.get_one(Job, job_id)
        if not JobStatus(job.status).over:
            check_companions(companions_of(session, job_id))
    stage = stage_at(JobStatus(job.status))
    if stage is not None and stage.edited and job.open_chunks and not recognised(context, job):
        return False
    if stage is None or _waits(job):
        return False
    if job.open_chunks:
        return stage.by == "coordinator" and _run(context, job, stage)
    following = next_stage(stage)
    return _begin(context, job, following) if following else _publish(context, job, stage)


def _waits(job: Job) -> bool:
    """Whether a person has to approve a job's masks before it goes on."""
    return job.review and job.status == JobStatus.REVIEWING


def _run(context: Context, job: Job, stage: Stage) -> bool:
    """Do a stage of the coordinator, and complete all of its rows in one transaction."""
    rows, artefacts, notes = do_stage(context, job.id, stage)
    with context.database.write() as session:
        fresh = locked_job(session, job.id)
        if fresh.status != stage.status or not fresh.open_chunks or _waits(fresh):
            return False  # paused, cancelled or done meanwhile; to do it again is cheap
        made = (artefact.model_dump(mode="json") for artefact in artefacts)
        complete_stage(session, fresh, rows, made, now := context.clock())
        for text in notes:
            add_note(session, job.id, text)
        if notes:
            record_event(session, now, "; ".join(notes), job.id)
    return True


def _begin(context: Context, job: Job, following: Stage) -> bool:
    if following is STAGES[-1] and not _companions_done(context, job.id):
        return False
    manifest = _manifest(context, job)
    with context.database.write() as session:
        fresh = session.get_one(Job, job.id)
        return fresh.status == job.status and begin_stage(session, context.store, fresh, manifest, context.clock())


def _companions_done(context: Context, job_id: str) -> bool:
    """Whether the outputs of all companions are there. One that the store has lost is made again."""
    with context.database.read() as session:
        made = {job.id: composed(session, job) for job in companions_of(session, job_id)}
    lost = [each for each, output in made.items() if output is not None and not context.store.exists(output["key"])]
    for each in lost:
        with context.database.write() as session:
            companion = locked_job(session, each)
            if companion.status == JobStatus.DONE:
                begin_revision(session, context.store, companion, context.clock())
    return not lost and None not in made.values()


def _publish(context: Context, job: Job, stage: Stage) -> bool:
    with context.database.read() as session:
        (output,) = stage_artefacts(session, job.id, stage.name)
        group = group_of(session, job.id)
    if not may_publish(context, job, output):
        return False
    why = None
    if job.main is None:  # a companion's output becomes a part of its main job's
        publish_output(context.store, job, output)
        why = write_beside(context, job.id, output.sha256) if job.audit else None
    with context.database.write() as session:
        fresh = locked_job(session, job.id)
        if fresh.status != stage.status:
            return False  # paused or cancelled meanwhile: what it needs to go on stays in the store
        fresh.published = output.sha256
        if why and add_note(session, job.id, why):
            record_event(session, context.clock(), why, job.id)
        move_job(session, fresh, JobEvent.STAGE_DONE, context.clock())
        remove_leftovers(fresh)
    if job.main is not None:
        return False
    try:
        for each in group:
            discard_intermediates(context, each)
    except StorageError as e:
        text = "job %s: its composed output stays in the store until it is cleaned: %s"
        log.warning(text, job.id, e, extra={"job": job.id})
    return False


def _manifest(context: Context, job: Job) -> Manifest:
    with context.database.read() as session:
        return job_manifest(session, job.id)
