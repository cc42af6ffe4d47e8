"""A job's plan: kept in the database, with a copy for the workers in the store, which is made again when damaged."""

from array import array
from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from farm.database.models import Job, Plan
from farm.domain.artefacts import key_of_plan, name_of, pts_key
from farm.domain.manifest import Manifest, dump_manifest, dump_pts, load_manifest
from farm.domain.options import load_options
from farm.errors import JobFailed, SourceError, StorageError
from farm.jobs.context import Context
from farm.storage.base import Storage, is_whole


def job_manifest(session: Session, job_id: str) -> Manifest:
    """The plan of a job. Raises JobFailed for one of another version, whose results this one would not recognise."""
    text = session.scalar(select(Plan.manifest).where(Plan.job_id == job_id))
    said = f"job {job_id}: planned by another version of the farm"
    if not text:
        raise JobFailed(f"{said}, which kept its plan elsewhere", hint="submit the video again")
    try:
        manifest = load_manifest(text)
    except JobFailed as e:
        raise JobFailed(f"job {job_id}: {e.message}", hint=e.hint) from e
    if session.scalar(select(Job.plan).where(Job.id == job_id)) != key_of_plan(text):
        raise JobFailed(f"{said}, which named what it wrote differently", hint="submit the video again")
    return manifest


def store_plan(store: Storage, plan: str, manifest: Manifest, pts: Sequence["array[int]"]) -> None:
    """Write what workers read of a plan, unless the store holds it. ``plan``: its key; ``pts``: of each chunk.

    Raises StorageError.
    """
    for chunk, part in zip(manifest.chunks, pts, strict=True):
        _store(store, pts_key(plan, chunk), dump_pts(part))
    _store(store, plan, dump_manifest(manifest))


def _store(store: Storage, key: str, text: str) -> None:
    if is_whole(store, key):
        return
    with store.put(name_of(key)) as draft:
        draft.path.write_text(text)
    if draft.key != key:
        raise StorageError(f"{draft.key} was written instead of {key}", hint="submit the video again")


def restore_plan(context: Context, job_id: str) -> None:
    """Write again what the store has lost of a job's plan, its frames' times from the source.

    Raises JobFailed, StorageError, SourceError for a source that is gone or was changed.
    """
    with context.database.read() as session:
        job, manifest = session.get_one(Job, job_id), job_manifest(session, job_id)
    if all(is_whole(context.store, pts_key(job.plan, chunk)) for chunk in manifest.chunks):
        _store(context.store, job.plan, dump_manifest(manifest))
        return
    # rare, and the coordinator reads no video otherwise: it begins a third sooner without PyAV and NumPy
    from farm.media.reading.index import cut, index_source  # noqa: PLC0415
    from farm.media.reading.limits import Limits  # noqa: PLC0415
    from farm.media.reading.resizing import probe_as_asked  # noqa: PLC0415

    limits = Limits.of(context.settings)
    options = load_options(job.options).source
    indexed = index_source(probe_as_asked(Path(manifest.source.path), options, limits), options, limits)
    if indexed.source.digest != manifest.source.digest:
        raise SourceError(f"{job.source}: is not the file that was submitted", hint="submit it again")
    store_plan(context.store, job.plan, manifest, cut(indexed.wanted.pts, manifest.chunks))
