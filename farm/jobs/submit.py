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
from farm.domain.manifest import VIDEO, Manifest, dump_manifest
from farm.domain.stages import JobStatus
from farm.errors import IllegalTransition, JobFailed, OutputError, SourceError, StorageError
from farm.jobs.auditing import audit_of
from farm.jobs.beginning import begin_stage
from farm.jobs.companions import group_of
from farm.jobs.context import Context, claim_store
from farm.jobs.edits import hold_back
from farm.jobs.exchanging import asked_edits
from farm.jobs.images import KeptImage, put_image
from farm.jobs.placing import Prepared, Request
from farm.jobs.plans import job_manifest, store_plan
from farm.jobs.recognition import has_references, store_references
from farm.jobs.retrying import damaged_artefacts, retry_job
from farm.jobs.space import check_space
from farm.jobs.videos import error_of, left_out
from farm.storage.base import Storage


@dataclass(frozen=True, slots=True)
class Submitted:
    """The job, its output, and whether it existed already and goes on. ``warning``: a line for the user. ``chunks``: of
    it and its companions.
    """

    job: str
    output: Path
    resumed: bool
    warning: str | None = None
    chunks: int = 0


@dataclass(frozen=True, slots=True)
class _Planned:
    """A prepared request with its plan. ``pts``: of each chunk; ``key``: of the plan; ``fingerprint``: of the job."""

    prepared: Prepared
    manifest: Manifest
    pts: Sequence["array[int]"]
    model_sha256: str
    edits: tuple[Edit, ...] = ()

    @property
    def key(self) -> str:
        return plan_key(self.manifest)

    @property
    def fingerprint(self) -> str:
        source, options = self.manifest.source.digest, self.prepared.request.options
        said = digest_of(list(self.edits)) if self.edits else ""
        return job_fingerprint(source, self.model_sha256, options, self.prepared.container, said)


def submit(context: Context, prepared: Prepared, model_sha256: str, workers: int) -> Submitted:
    """Store the job and its companions, or let the same job go on if it is there and unfinished.

    ``workers``: how many will work on it, which the number of chunks is fitted to.
    Raises SourceError, OutputError (also for the output of another unfinished job), EditError for edits that are not
    of this video, StorageError, DatabaseError.
    """
    request, output = prepared.request, prepared.output
    prepared.check_place()  # earlier videos of the same command may have taken hours
    _check_copy(context, request)
    prepared, companions = _companions(prepared, model_sha256, workers)
    manifest, pts = prepared.plan(workers)
    warning = check_space(context.settings.store_root, prepared, manifest)
    edits = tuple(_edits(context, prepared, manifest, pts))
    main = _Planned(prepared, manifest, pts, model_sha256, edits)
    with context.database.read() as session:
        same = select(Job).where(Job.fingerprint == main.fingerprint, Job.main.is_(None))
        earlier = list(session.scalars(same.order_by(Job.created_at.desc())))
    if request.chunk_seconds is None:
        manifest, pts = _with_earlier_chunks(context, earlier, manifest, pts)
        main = replace(main, manifest=manifest, pts=pts)
    chunks = sum(len(each.manifest.chunks) for each in (main, *companions))
    claim_store(context)
    while True:
        _check_copy(context, request)
        for planned in (main, *companions):
            store_plan(context.store, planned.key, planned.manifest, planned.pts)
            if request.references is not None:
                store_references(context.store, planned.key, request.references)
        if prepared.image:
            put_image(context.store, prepared.image)
        try:
            unfinished = next((j for j in earlier if j.output == str(output) and j.status != JobStatus.DONE), None)
            if unfinished is not None and unfinished.plan == main.key:
                submitted = _resume(context, unfinished.id, output, request)
            else:
                submitted = _add_jobs(context, main, companions)
            return replace(submitted, warning=warning, chunks=chunks)
        except _PlanDiscarded:
            _edits(context, prepared, manifest, pts)


def _companions(prepared: Prepared, model_sha256: str, workers: int) -> tuple[Prepared, list[_Planned]]:
    """The plans of all companions. A cover that cannot be planned is left out of what was prepared, with a note."""
    planned = []
    for companion in prepared.companions:
        other, path, index = prepared.of(companion), prepared.probe.path, companion.probe.video.index
        try:
            planned.append(_Planned(other, *other.plan(workers), model_sha256))
        except SourceError as e:
            if companion.kind == VIDEO:
                raise error_of(index, path, e) from e
            prepared = prepared.without(companion, left_out(index, path, e))
    return prepared, planned


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
    with context.database.read() as session:
        group = group_of(session, job_id)
    damaged = {each: damaged_artefacts(context, each) for each in group}
    with context.database.write() as session:
        for each in group:
            job = locked_job(session, each)
            if job.main is None:
                _refuse_claimed(session, job)
                job.overwrite = request.overwrite
            _ask_again(session, context.store, job, request)
            _go_on(session, context.store, job, context.clock(), damaged[each])
    return Submitted(job_id, output, resumed=True)


def _ask_again(session: Session, store: Storage, job: Job, request: Request) -> None:
    """Have a job reviewed and audited that was submitted without."""
    if request.review and not job.review and job.main is None:
        hold_for_review(session, store, job)
    if request.audit:
        manifest = job_manifest(session, job.id)
        job.audit, job.strict = audit_of(manifest, request.options.detect).request(), request.strict


def _go_on(session: Session, store: Storage, job: Job, now: float, damaged: frozenset[str]) -> None:
    if job.status == JobStatus.PAUSED:
        move_job(session, job, JobEvent.RESUME, now)
    elif job.status in (JobStatus.FAILED, JobStatus.CANCELLED):
        retry_job(session, store, job, now, damaged)
    done = (Chunk.job_id == job.id, Chunk.status == ChunkStatus.DONE.value)
    # for the summary: neither these results nor the failures before them are of this submission
    session.execute(update(Chunk).where(*done).values(reused=True))
    session.execute(update(Attempt).where(Attempt.chunk_id.in_(select(Chunk.id).where(*done))).values(reset=True))
    record_event(session, now, "submitted again: resumed", job.id)


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
    same = select(Job).where(Job.output == job.output, Job.id != job.id, Job.status.not_in(over), Job.main.is_(None))
    if earlier := session.scalars(same.limit(1)).first():
        raise OutputError(
            f"{job.output} is the output of job {earlier.id}, which is not finished",
            hint=f"follow it: farm watch {earlier.id}; or farm cancel {earlier.id} first, or choose another name",
        )


def _add_jobs(context: Context, main: _Planned, companions: Sequence[_Planned]) -> Submitted:
    prepared, now = main.prepared, context.clock()
    job = _job(main, now)
    with context.database.write() as session:
        _refuse_claimed(session, job)
        _add_job(session, context.store, job, main, now)
        for planned in companions:
            companion = _job(planned, now)
            companion.main, companion.stream = job.id, planned.manifest.source.video.index
            _add_job(session, context.store, companion, planned, now)
    return Submitted(job.id, prepared.output, resumed=False)


def _job(planned: _Planned, now: float) -> Job:
    prepared, manifest = planned.prepared, planned.manifest
    request = prepared.request
    return Job(
        id=secrets.token_hex(4),
        fingerprint=planned.fingerprint,
        status=JobStatus.PLANNING.value,
        source=manifest.source.submitted,
        output=str(prepared.output),
        overwrite=request.overwrite,
        review=request.review,
        audit=audit_of(manifest, request.options.detect).request() if request.audit else None,
        strict=request.strict,
        container=prepared.container,
        options=asdict(request.options),
        plan=planned.key,
        model_sha256=planned.model_sha256,
        frames=manifest.frames,
        seconds=manifest.seconds,
        created_at=now,
        encoder=manifest.encoder.encoder,
        source_size=manifest.source.size,
    )


def _add_job(session: Session, store: Storage, job: Job, planned: _Planned, now: float) -> None:
    manifest, prepared = planned.manifest, planned.prepared
    session.add(job)
    session.flush()
    session.add(Plan(job_id=job.id, manifest=dump_manifest(manifest)))
    _check_plan(store, job.plan, manifest, prepared.image, prepared.request.options.source.copy)
    whole = all(store.exists(edit.masks) for edit in planned.edits if edit.masks is not None)
    if not whole or not has_references(store, job.plan, prepared.request.options.people):
        raise _PlanDiscarded
    for text in (*prepared.notes, *manifest.notes):
        add_note(session, job.id, text)
    record_event(session, now, f"submitted: {manifest.frames} frames in {len(manifest.chunks)} chunks", job.id)
    append_edits(session, job, list(planned.edits), now)
    begin_stage(session, store, job, manifest, now)
