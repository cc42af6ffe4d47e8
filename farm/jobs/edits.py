"""What people do with the masks of a job: edits, their record, approval, and a new revision of the output."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sqlalchemy.orm import Session

from farm.database.edits import append_edits, job_edits, last_edit
from farm.database.events import record_event
from farm.database.models import Job
from farm.database.statuses import locked_job, move_job, set_back
from farm.digests import has_digest
from farm.domain.containers import PICTURES_CONTAINER
from farm.domain.detectors import NOTHING
from farm.domain.edits import Action, Edit, check_text, effective
from farm.domain.lifecycle import JobEvent
from farm.domain.stages import JobStatus, stage_named
from farm.errors import EditError, IllegalTransition, OutputError
from farm.jobs.beginning import stage_rows
from farm.jobs.companions import locked_with_main
from farm.jobs.context import Context
from farm.jobs.plans import job_manifest, restore_plan
from farm.jobs.queries import find_job
from farm.jobs.recognition import is_undecided
from farm.jobs.retrying import resumable_stage
from farm.storage.base import Storage

#: More edits than a person or a sensible rule makes: each is looked at for every box.
_MOST = 10_000
#: What takes another edit back is possible with any number of them.
_ALWAYS = (Action.UNDO, Action.RESTORE)


def edits_of(context: Context, job_id: str) -> list[Edit]:
    """All edits of a job, in order, also those that were undone. Raises NotFound."""
    with context.database.read() as session:
        return job_edits(session, find_job(session, job_id).id)


def add_edits(context: Context, job_id: str, make: Callable[[list[Edit]], list[Edit]]) -> list[Edit]:
    """Append edits to a job. ``make`` returns them for the job's edits so far; number and time are filled in.

    Raises NotFound, EditError, and what ``make`` raises: then nothing was added.
    """
    with context.database.write() as session:
        job = locked_job(session, find_job(session, job_id).id)
        before = job_edits(session, job.id)
        edits = make(before)
        after = [*before, *(replace(edit, number=len(before) + n) for n, edit in enumerate(edits, 1))]
        if job.options.get("detect", {}).get("detector") == NOTHING and _covers(before) and not _covers(after):
            raise EditError(f"job {job.id} looks for no faces: without this edit nothing would be covered")
        if len(before) + len(edits) > _MOST and any(edit.action not in _ALWAYS for edit in edits):
            raise EditError(f"job {job.id} has {len(before)} edits; it takes {_MOST} at most")
        return append_edits(session, job, edits, context.clock())


def _covers(edits: list[Edit]) -> bool:
    """Whether edits cover anything by themselves."""
    return any(edit.action in (Action.COVER, Action.REPLACE) for edit in effective(edits))


def undo(before: list[Edit], number: int | None, author: str, reason: str) -> Edit:
    """The edit that undoes another one, by default the last one in effect. Raises EditError where there is none."""
    left = effective(before)
    if number is None:
        if not left:
            raise EditError("there is no edit to undo")
        number = left[-1].number
    undone = {edit.number for edit in before} - {edit.number for edit in left}
    if number not in {edit.number for edit in before}:
        raise EditError(f"there is no edit {number}", hint="`farm edit JOB log` lists them")
    check_said(author, reason)
    if number in undone and next(edit for edit in before if edit.number == number).action is not Action.UNDO:
        raise EditError(f"edit {number} is undone already")
    return Edit(action=Action.UNDO, undoes=number, author=author, reason=reason)


def approve(context: Context, job_id: str, author: str, reason: str) -> str:
    """Let a job that waits for a person go on, with all edits that it has. Returns the id of the job to follow: its
    main job's, where it has one.

    Raises NotFound, IllegalTransition for a job that does not wait.
    """
    check_said(author, reason)
    with context.database.write() as session:
        job = locked_job(session, find_job(session, job_id).id)
        if not job.review and job.approved >= 0:
            raise IllegalTransition(f"job {job.id} was approved already: it is {job.status}")
        if job.status != JobStatus.REVIEWING or not job.review:
            hint = f"farm resume {job.id} first" if job.status == JobStatus.PAUSED and job.review else None
            raise IllegalTransition(f"job {job.id} does not wait for approval: it is {job.status}", hint=hint)
        if is_undecided(session, job):
            hint = f"follow it: farm watch {job.id}"
            raise IllegalTransition(f"job {job.id}: it is not known yet whose faces its tracks show", hint=hint)
        job.review, job.approved, job.audited = False, last_edit(session, job.id), None
        record_event(session, context.clock(), f"approved by {author}" + (f": {reason}" if reason else ""), job.id)
        return job.main or job.id


def check_said(author: str, reason: str) -> None:
    """Raise EditError for an author or a reason that cannot be kept."""
    try:
        check_text(author, reason)
    except ValueError as e:
        raise EditError(str(e)) from e


def revise(context: Context, job_id: str) -> tuple[str, bool]:
    """Begin a new revision of a job that is done: its masks are made anew, and of segments those whose masks changed.

    Returns the id of the job to follow (see :func:`approve`), and whether there is anything to do: not where its masks
    contain all of its edits, and its output and its tracks are there. Raises NotFound, IllegalTransition for a job that
    is not done, SourceError for a source that is gone or was changed, OutputError where what lies under the output's
    name is not what was published, JobFailed, StorageError.
    """
    with context.database.read() as session:
        job = find_job(session, job_id)
        manifest, latest = job_manifest(session, job.id), last_edit(session, job.id)
        tracks = [artefact["key"] for row in stage_rows(session, job.id, "edit") for artefact in row.inputs]
    if job.status != JobStatus.DONE:
        raise IllegalTransition(f"job {job.id} is not done: it is {job.status}", hint=what_to_do(job))
    if job.masked == latest and Path(job.output).exists() and all(map(context.store.exists, tracks)):
        return job.main or job.id, False
    from farm.media.reading.chunk import check_source  # noqa: PLC0415 - PyAV, which the coordinator begins without

    check_source(Path(manifest.source.path), manifest.source)
    with context.database.read() as session:
        check_output(session, job)
    restore_plan(context, job.id)
    with context.database.write() as session:
        fresh = locked_with_main(session, job.id)
        if fresh.status != JobStatus.DONE:
            raise IllegalTransition(f"job {job.id} is {fresh.status} by now")
        begin_revision(session, context.store, fresh, context.clock())
        revise_main(session, context.store, fresh, context.clock())
    return job.main or job.id, True


def begin_revision(session: Session, store: Storage, job: Job, now: float) -> None:
    """Have the masks of a job that is done, and has been locked, made anew, and what follows from them."""
    hold_back(session, store, job)
    job.repairs, job.approved = 0, last_edit(session, job.id)
    move_job(session, job, JobEvent.REVISE, now, f"edits up to {job.approved}")


def revise_main(session: Session, store: Storage, companion: Job, now: float) -> None:
    """Have the main job of a companion that is made anew take its new output."""
    main = locked_job(session, companion.main) if companion.main is not None else None
    if main is not None and main.status == JobStatus.DONE:
        begin_revision(session, store, main, now)


def what_to_do(job: Job) -> str:
    """What to do with a job that is not done."""
    match job.status:
        case JobStatus.FAILED | JobStatus.CANCELLED:
            return f"farm retry {job.id}"
        case JobStatus.PAUSED:
            return f"farm resume {job.id}"
        case JobStatus.REVIEWING if job.review:
            return f"farm approve {job.id}"
    return f"follow it: farm watch {job.id}"


def hold_back(session: Session, store: Storage, job: Job) -> None:
    """Set a job that does not run back to its masks, or to before them where the store has lost what they are made of.

    What was encoded before is used where its masks do not change.
    """
    stage = stage_named("edit")
    lost = stage_rows(session, job.id, stage.name)
    if not all(store.exists(artefact["key"]) for row in lost for artefact in row.inputs):
        stage, lost = resumable_stage(session, store, job, stage_named("link"))
    set_back(session, job, stage, lost)


def check_output(session: Session, job: Job) -> None:
    """Raise OutputError where the output's name holds anything but what the job, or its main job, published last."""
    job = session.get_one(Job, job.main) if job.main is not None else job
    output = Path(job.output)
    if job.container == PICTURES_CONTAINER:
        if output.is_dir() and any(output.iterdir()):
            raise OutputError(f"{output} holds pictures", hint="move the folder away, then repeat the command")
    elif output.exists() and not has_digest(output, job.published):
        raise OutputError(f"{output} was changed since it was published", hint="move it away, then repeat the command")
