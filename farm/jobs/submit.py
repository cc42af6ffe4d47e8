"""``farm submit`` from the prepared request to the first row in the database: plan the source, store the job."""

import secrets
from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from farm.database.edits import append_edits
from farm.database.events import add_note, record_event
from farm.database.models import Attempt, Chunk, Job, Plan
from farm.database.statuses import locked_job, move_job
from farm.domain.artefacts import job_fingerprint, plan_key, pts_key
from farm.domain.edits import Edit, digest_of
from farm.domain.lifecycle import ChunkStatus, JobEvent
from farm.domain.manifest import Manifest, dump_manifest
from farm.domain.stages import JobStatus
from farm.errors import IllegalTransition, JobFailed, OutputError, StorageError
from farm.jobs.auditing import audit_of
from farm.jobs.beginning import begin_stage
from farm.jobs.context import Context, claim_store
from farm.jobs.edits import hold_back
from farm.jobs.exchanging import asked_edits
from farm.jobs.images import KeptImage, put_image
from farm.jobs.placing import Prepared, Request
from farm.jobs.plans import job_manifest, store_plan
from farm.jobs.recognition import has_references, store_references
from farm.jobs.retrying import damaged_artefacts, retry_job
from farm.jobs.space import check_space
from farm.storage.base import Storage


@dataclass(frozen=True, slots=True)
class Submitted:
    """The job, its output, and whether it existed already and goes on. ``warning``: a line for the user."""

    job: str
    output: Path
    resumed: bool
    warning: str | None = None


def submit(context: Context, prepared: Prepared, model_sha256: str, workers: int) -> Submitted:
    """Store the job, or let the same job go on if it is there and unfinished.

    ``workers``: how many will work on it, which the number of chunks is fitted to.
    Raises SourceError, OutputError (also for the output of another unfinished job), EditError for edits that are not
    of this video, StorageError, DatabaseError.
    """
    request, output = prepared.request, prepared.output
    prepared.check_place()  # earlier videos of the same command may have taken hours
    _check_copy(context, request)
    manifest, pts = prepared.plan(workers)
    warning = check_space(context.settings.store_root, prepared, manifest)
    edits = _edits(context, prepared, manifest, pts)
    said = digest_of(edits) if edits else ""
    name = job_fingerprint(manifest.source.digest, model_sha256, request.options, prepared.container, said)
    with context.database.read() as session:
        same = select(Job).where(Job.fingerprint == name).order_by(Job.created_at.desc())
        earlier = list(session.scalars(same))
    if request.chunk_seconds is None:
        manifest, pts = _with_earlier_chunks(context, earlier, manifest, pts)
    plan = plan_key(manifest)
    claim_store(context)
    while True:
        _check_copy(context, request)
        store_plan(context.store, plan, manifest, pts)
        if prepared.image:
            put_image(context.store, prepared.image)
        if request.references is not None:
            store_references(context.store, plan, request.references)
        try:
            unfinished = next((j for j in earlier if j.output == str(output) and j.status != JobStatus.DONE), None)
            if unfinished is not None and unfinished.plan == plan:
                submitted = _resume(context, unfinished.id, output, request)
            else:
                submitted = _add_job(context, prepared, manifest, plan, model_sha256, name, edits)
            return replace(submitted, warning=warning)
        except _PlanDiscarded:
            _edits(context, prepared, manifest, pts)


def _check_copy(context: Context, request: Request) -> None:
    copy = request.options.source.copy
    if copy is not None and not context.store.exists(copy):
        raise StorageError(f"{request.source}: its repaired copy was cleaned just now", hint="repeat the command")


def _edits(context: Context, prepared: Prepared, manifest: Manifest, pts: Sequence["array[int]"]) -> list[Edit]:
    """The edits that were given with a video, unnumbered; what they name is in the store then."""
    asked = prepared.request.edits
    return asked_edits(context.store, asked, manifest, prepared.container, lambda: chain.from_iterable(pts))


def _with_earlier_chunks(
    context: Context, earlier: Sequence[Job], manifest: Manifest, pts: Sequence["array[int]"]
) -> tuple[Manifest, Sequence["array[int]"]]:
    """The chunks of an earlier job with the same fingerprint, so that its finished ones are found again."""
    for job in earlier:
        try:
            with context.database.read() as session:
                before = job_manifest(session, job.id)
        except JobFailed:  # of another version
            continue
        if before.frames != manifest.frames:
            continue
        every = [p for part in pts for p in part]
        cut, start = [], 0
        for chunk in before.chunks:
            cut.append(array("q", every[start : start + chunk.frames]))
            start += chunk.frames
        return replace(manifest, chunks=before.chunks), cut
    return manifest, pts


class _PlanDiscarded(Exception):
    """The plan that was just found or stored is gone: ``farm clean`` knew no job that needs it."""


def _check_plan(store: Storage, plan: str, manifest: Manifest, image: KeptImage | None, copy: str | None) -> None:
    """Raises _PlanDiscarded unless the plan is there. From a transaction on that changes the job's row, it stays.

    So do the ``image`` and the repaired ``copy`` that the job's options name.
    """
    keys = (plan, *(pts_key(plan, chunk) for chunk in manifest.chunks), *([image.key] if image else []))
    keys = (*keys, *([copy] if copy else []))
    if not all(map(store.exists, keys)):
        raise _PlanDiscarded


def _resume(context: Context, job_id: str, output: Path, request: Request) -> Submitted:
    damaged = damaged_artefacts(context, job_id)
    with context.database.write() as session:
        job = locked_job(session, job_id)
        _refuse_claimed(session, job)
        job.overwrite = request.overwrite
        if request.review and not job.review:
            hold_for_review(session, context.store, job)
        if request.audit:
            manifest = job_manifest(session, job.id)
            job.audit, job.strict = audit_of(manifest, request.options.detect).request(), request.strict
        now = context.clock()
        if job.status == JobStatus.PAUSED:
            move_job(session, job, JobEvent.RESUME, now)
        elif job.status in (JobStatus.FAILED, JobStatus.CANCELLED):
            retry_job(session, context.store, job, now, damaged)
        done = (Chunk.job_id == job.id, Chunk.status == ChunkStatus.DONE.value)
        # for the summary: neither these results nor the failures before them are of this submission
        session.execute(update(Chunk).where(*done).values(reused=True))
        session.execute(update(Attempt).where(Attempt.chunk_id.in_(select(Chunk.id).where(*done))).values(reset=True))
        record_event(session, now, "submitted again: resumed", job.id)
    return Submitted(job_id, output, resumed=True)


def hold_for_review(session: Session, store: Storage, job: Job) -> None:
    """Have a job that was submitted without review wait for it, wherever it was. Raises IllegalTransition while it
    encodes.
    """
    late = (JobStatus.REDACTING, JobStatus.COMPOSING)
    if job.status in late:
        hint = f"farm cancel {job.id}, then submit it again with --review"
        raise IllegalTransition(f"job {job.id} is {job.status}: it was submitted without review", hint=hint)
    if job.interrupted in late:
        hold_back(session, store, job)
    job.review = True


def _refuse_claimed(session: Session, job: Job) -> None:
    """Raises OutputError if another unfinished job has the output: the slower of the two would fail in the end."""
    over = [status.value for status in JobStatus if status.over]
    same = select(Job).where(Job.output == job.output, Job.id != job.id, Job.status.not_in(over))
    if earlier := session.scalars(same.limit(1)).first():
        raise OutputError(
            f"{job.output} is the output of job {earlier.id}, which is not finished",
            hint=f"follow it: farm watch {earlier.id}; or farm cancel {earlier.id} first, or choose another name",
        )


def _add_job(
    context: Context, prepared: Prepared, manifest: Manifest, plan: str, model_sha256: str, name: str, edits: list[Edit]
) -> Submitted:
    request, now = prepared.request, context.clock()
    job = Job(
        id=secrets.token_hex(4),
        fingerprint=name,
        status=JobStatus.PLANNING.value,
        source=manifest.source.submitted,
        output=str(prepared.output),
        overwrite=request.overwrite,
        review=request.review,
        audit=audit_of(manifest, request.options.detect).request() if request.audit else None,
        strict=request.strict,
        container=prepared.container,
        options=asdict(request.options),
        plan=plan,
        model_sha256=model_sha256,
        frames=manifest.frames,
        seconds=manifest.seconds,
        created_at=now,
        encoder=manifest.encoder.encoder,
        source_size=manifest.source.size,
    )
    with context.database.write() as session:
        _refuse_claimed(session, job)
        session.add(job)
        session.flush()
        session.add(Plan(job_id=job.id, manifest=dump_manifest(manifest)))
        _check_plan(context.store, plan, manifest, prepared.image, request.options.source.copy)
        whole = all(context.store.exists(edit.masks) for edit in edits if edit.masks is not None)
        if not whole or not has_references(context.store, plan, request.options.people):
            raise _PlanDiscarded
        for text in (*prepared.notes, *manifest.notes):
            add_note(session, job.id, text)
        record_event(session, now, f"submitted: {manifest.frames} frames in {len(manifest.chunks)} chunks", job.id)
        append_edits(session, job, edits, now)
        begin_stage(session, context.store, job, manifest, now)
    return Submitted(job.id, prepared.output, resumed=False)
