"""Looks again at a part of a video: the detect orders of its chunks get options of their own."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from farm.database.edits import last_edit
from farm.database.events import record_event
from farm.database.models import Chunk, Job
from farm.database.statuses import move_job, set_back
from farm.domain.artefacts import artefact_name
from farm.domain.detectors import DetectOptions
from farm.domain.lifecycle import JobEvent
from farm.domain.manifest import Chunk as Planned
from farm.domain.manifest import Manifest
from farm.domain.options import load_options
from farm.domain.regions import Span
from farm.domain.stages import JobStatus, stage_named
from farm.errors import IllegalTransition
from farm.jobs.beginning import stage_rows
from farm.jobs.companions import locked_with_main
from farm.jobs.context import Context
from farm.jobs.edits import check_output, revise_main, what_to_do
from farm.jobs.marking import Marker
from farm.jobs.plans import restore_plan
from farm.jobs.retrying import resumable_stage
from farm.media.reading.chunk import check_source

#: Seconds before and after the part that belong to it: tracks begin and end there.
MARGIN = 1.0


def redo(
    context: Context, job_id: str, span: Span, change: Callable[[DetectOptions], DetectOptions]
) -> tuple[str, int]:
    """Look again at the chunks of a span. ``change`` makes their options from those of the job.

    Returns the id of the job to follow (see :func:`farm.jobs.edits.approve`), and how many chunks that are. What
    follows is a revision, as of :func:`farm.jobs.edits.revise`: tracks are linked anew, and segments made again whose
    masks changed. A job that waits for review waits again. Raises NotFound, IllegalTransition for a job that is not
    done and does not wait, EditError for a span outside the video, SourceError, OutputError, JobFailed, StorageError.
    """
    marker = Marker(context, job_id, "")
    wanted = [chunk.index for chunk in _chunks(marker.manifest, marker.span(span))]
    with context.database.read() as session:
        job = session.get_one(Job, marker.job)
        _check(job)
        check_source(Path(marker.manifest.source.path), marker.manifest.source)
        if job.status == JobStatus.DONE:
            check_output(session, job)
    restore_plan(context, job.id)
    detect = load_options(job.options).detect
    changed = change(detect)
    request = {} if changed == detect else {"detect": asdict(changed)}
    with context.database.write() as session:
        fresh, stage = locked_with_main(session, job.id), stage_named("detect")
        _check(fresh)
        _, lost = resumable_stage(session, context.store, fresh, stage)
        again = _asked(session, fresh, marker.manifest, wanted, request)
        set_back(session, fresh, stage, [*again, *(row for row in lost if row.index not in wanted)])
        fresh.repairs, fresh.audited = 0, None
        event = JobEvent.REMAKE
        if fresh.status == JobStatus.DONE:
            event, fresh.approved = JobEvent.REVISE, last_edit(session, job.id)
        text = f"looks again at {len(wanted)} chunk{'' if len(wanted) == 1 else 's'}"
        record_event(session, context.clock(), text, job.id)
        move_job(session, fresh, event, context.clock(), text)
        if event is JobEvent.REVISE:
            revise_main(session, context.store, fresh, context.clock())
    return job.main or job.id, len(wanted)


def _check(job: Job) -> None:
    if job.status == JobStatus.DONE or (job.status == JobStatus.REVIEWING and job.review):
        return
    raise IllegalTransition(f"job {job.id} is not done: it is {job.status}", hint=what_to_do(job))


def _chunks(manifest: Manifest, span: tuple[int | None, int | None]) -> list[Planned]:
    """The planned chunks that show any moment of a span, or of :data:`MARGIN` around it."""
    margin = round(MARGIN / manifest.source.video.time_base)
    first = manifest.chunks[0].pts_start if span[0] is None else span[0] - margin
    last = manifest.chunks[-1].pts_end if span[1] is None else span[1] + margin
    return [chunk for chunk in manifest.chunks if chunk.pts_start < last and chunk.pts_end > first]


def _asked(session: Session, job: Job, manifest: Manifest, wanted: list[int], request: dict[str, Any]) -> list[Chunk]:
    """The rows of some chunks, with another request."""
    mine = {row.index: row for row in stage_rows(session, job.id, "detect")}
    rows = [mine[index] for index in wanted]
    for row in rows:
        row.request = request
        row.name = artefact_name("detect", row.fingerprint, manifest.chunks[row.index].name, request=request)
    return rows
