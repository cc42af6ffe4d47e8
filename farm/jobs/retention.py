"""What is kept of jobs that have ended, and for how long: artefacts in the store, rows in the database.

Artefacts are named by content and shared by jobs. A group of them (``detections/FINGERPRINT``) is discarded inside a
transaction that excludes every other one which changes jobs. A job relies on a group from the transaction on that
inserts a row which names it. So either that row is seen here, or the job finds the group gone, and makes it again.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import ColumnElement, delete, exists, func, or_, select, text, true
from sqlalchemy.orm import Session, aliased

from farm.database.models import Attempt, Chunk, Edit, Event, Job, Note, Plan, Worker
from farm.database.statuses import locked_job
from farm.domain.artefacts import IMPORTS, REPAIRED, artefact_folder, is_image_folder
from farm.domain.stages import ERRANDS, STAGES, JobStatus
from farm.errors import NotFound, StorageError
from farm.jobs.context import Context, claim_store
from farm.models.store import ModelStore
from farm.storage.base import NOTHING, Extent

_OVER = tuple(status.value for status in JobStatus if status.over)
#: A group that no row names is kept for this long: its job may be about to be stored.
_FRESH_SECONDS = 3600
#: A writer may verify for hours what it has written.
_UNFINISHED_SECONDS = 24 * 3600
_BATCH = 100  # groups or jobs per transaction, which others wait for
_FOLDERS = (*(work.key.partition("/")[0] for work in (*STAGES, *ERRANDS)), IMPORTS, REPAIRED)
_OURS = re.compile(rf"({'|'.join(_FOLDERS)})/[0-9a-f]{{32}}")


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What a cleaning freed, or would free.

    ``artefacts``: of jobs that have ended; ``orphans``: artefacts that no job names; ``unfinished``: what killed
    writers left; ``jobs``: how many jobs the database no longer lists.
    """

    artefacts: Extent = NOTHING
    orphans: Extent = NOTHING
    unfinished: Extent = NOTHING
    jobs: int = 0

    @property
    def parts(self) -> dict[str, Extent]:
        """The parts by their names."""
        return {"artefacts": self.artefacts, "orphans": self.orphans, "unfinished": self.unfinished}

    @property
    def freed(self) -> Extent:
        """The whole."""
        return self.artefacts + self.orphans + self.unfinished


def clean(
    context: Context, older_than: float, *, dry_run: bool = False, stopped: Callable[[], bool] = lambda: False
) -> Cleaned:
    """Delete what is left of jobs that ended more than ``older_than`` seconds ago, and what belongs to no job.

    A failed or cancelled job keeps its plan and its repaired source for as long as it is listed, so that ``farm retry``
    can make the rest again; any job keeps the masks that were imported for it, which nothing can make again. Jobs are
    listed for the time that the settings name. ``dry_run``: only measure. ``stopped`` ends this early. Raises
    StorageError, also where another database uses the same store: its jobs cannot be seen here.
    """
    now = context.clock()
    users = claim_store(context)
    if users > 1:
        raise StorageError(
            f"the store {context.settings.store_root} is used by {users} databases: nothing was deleted",
            hint="give each farm a store of its own; the line of a database that is gone may be removed from .owners",
        )
    keep = or_(Job.status.not_in(_OVER), Job.finished_at.is_(None), Job.finished_at >= now - older_than)
    main = aliased(Job)  # which may still take a companion's output
    keep = or_(keep, exists().where(main.id == Job.main, main.status.not_in(_OVER)))
    plan_kept = or_(keep, Job.status != JobStatus.DONE)
    groups = (
        group for group in context.store.groups() if _OURS.fullmatch(group.prefix) or is_image_folder(group.prefix)
    )
    artefacts, orphans = NOTHING, NOTHING
    while not stopped() and (batch := {group.prefix: group for group in islice(groups, _BATCH)}):
        with _excluding(context, reading=dry_run) as session:
            needed = _named(session, keep, batch) | _plans(session, plan_kept, batch)
            needed |= _images(session, batch) | _imports(session, batch) | _copies(session, plan_kept, batch)
            named = _named(session, true(), batch) | _plans(session, true(), batch) | _copies(session, true(), batch)
            for prefix in batch.keys() - needed:
                if prefix in named:
                    artefacts += batch[prefix].extent
                elif batch[prefix].age >= max(older_than, _FRESH_SECONDS):
                    orphans += batch[prefix].extent
                else:
                    continue
                if not dry_run:
                    context.store.discard(prefix)
    if not dry_run:
        context.store.purge()
    seconds = max(older_than, _UNFINISHED_SECONDS)
    downloads = ModelStore(context.settings).remove_unfinished(seconds, dry_run=dry_run)
    unfinished = context.store.remove_unfinished(seconds, dry_run=dry_run) + Extent(len(downloads), sum(downloads))
    jobs = _old_jobs(context, now - context.settings.retain_rows)
    if not dry_run:  # last: the artefacts of a job that is not listed are kept for longer
        jobs = _forget(context, jobs, now - context.settings.retain_rows)
    return Cleaned(artefacts, orphans, unfinished, len(jobs))


def stored(context: Context) -> Extent:
    """How much the store holds. Takes the longer the more files there are."""
    return sum((group.extent for group in context.store.groups()), NOTHING)


def discard_intermediates(context: Context, job_id: str) -> None:
    """Delete the intermediate artefacts of a job that is done, unless another job that is not done shares them.

    Segments are kept where the settings say so. Raises StorageError.
    """
    kept = STAGES[-1].inputs if context.settings.keep_segments else None
    stages = [stage.name for stage in STAGES if stage.intermediate and stage.name != kept]
    with _excluding(context) as session:
        rows = session.execute(select(Chunk.stage, Chunk.fingerprint).where(Chunk.job_id == job_id).distinct())
        mine = {artefact_folder(row.stage, row.fingerprint) for row in rows if row.stage in stages}
        for prefix in mine - _named(session, (Job.id != job_id) & (Job.status != JobStatus.DONE), mine):
            context.store.discard(prefix)
    context.store.purge()


@contextmanager
def _excluding(context: Context, reading: bool = False) -> Iterator[Session]:
    """A transaction during which no other one changes jobs, or has changed them and not ended."""
    if reading:
        with context.database.read() as session:
            yield session
        return
    with context.database.write() as session:  # SQLite has one writer at a time
        if session.get_bind().dialect.name == "postgresql":
            session.execute(text("SET LOCAL lock_timeout = '10s'"))  # all others queue behind this one
            session.execute(text("LOCK TABLE jobs IN EXCLUSIVE MODE"))
        yield session


def _named(session: Session, jobs: ColumnElement[bool], prefixes: Iterable[str]) -> set[str]:
    """Those of some groups that rows of chunks of these jobs name."""
    fingerprints = [prefix.rpartition("/")[2] for prefix in prefixes]
    rows = select(Chunk.stage, Chunk.fingerprint).join(Job).where(Chunk.fingerprint.in_(fingerprints), jobs).distinct()
    return {artefact_folder(row.stage, row.fingerprint) for row in session.execute(rows)}


def _plans(session: Session, jobs: ColumnElement[bool], prefixes: Iterable[str]) -> set[str]:
    """Those of some groups that are the plans of these jobs."""
    group = func.substr(Job.plan, 1, len(artefact_folder("plan", "0" * 32)))
    return set(session.scalars(select(group).where(group.in_(list(prefixes)), jobs).distinct()))


def _images(session: Session, prefixes: Iterable[str]) -> set[str]:
    """Those of some groups that hold a picture which any job or edit names: a new revision needs it."""
    wanted = set(filter(is_image_folder, prefixes))
    keys = (Job.options["redact"]["image"].as_string(), Edit.body["override"]["image"].as_string())
    named = {key for column in keys for key in session.scalars(select(column).distinct()) if key} if wanted else set()
    return wanted & {key.rpartition("/")[0] for key in named}


def _imports(session: Session, prefixes: Iterable[str]) -> set[str]:
    """Those of some groups that edits name."""
    group = func.substr(Edit.body["masks"].as_string(), 1, len(f"{IMPORTS}/") + 32)
    return set(session.scalars(select(group).where(group.in_(list(prefixes))).distinct()))


def _copies(session: Session, jobs: ColumnElement[bool], prefixes: Iterable[str]) -> set[str]:
    """Those of some groups that are the repaired sources of these jobs."""
    group = func.substr(Job.options["source"]["copy"].as_string(), 1, len(f"{REPAIRED}/") + 32)
    return set(session.scalars(select(group).where(group.in_(list(prefixes)), jobs).distinct()))


def _old_jobs(context: Context, before: float) -> list[str]:
    with context.database.read() as session:
        main = aliased(Job)
        needed = exists().where(main.id == Job.main)  # a revision of the main job takes its companions' outputs
        old = (Job.status.in_(_OVER), Job.finished_at < before, ~needed)
        return list(session.scalars(select(Job.id).where(*old)))


def _forget(context: Context, jobs: Iterable[str], before: float) -> list[str]:
    """Delete the rows of jobs that are over since ``before``, and of what belongs to no job; returns the jobs' ids."""
    forgotten = []
    for job_id in jobs:
        with context.database.write() as session:
            try:
                job = locked_job(session, job_id)
            except NotFound:  # another process cleans, too
                continue
            if not JobStatus(job.status).over or job.finished_at is None or job.finished_at >= before:
                continue  # retried meanwhile
            chunks = select(Chunk.id).where(Chunk.job_id == job_id)
            session.execute(delete(Attempt).where(Attempt.chunk_id.in_(chunks)))
            for table in (Chunk, Edit, Note, Event, Plan):
                session.execute(delete(table).where(table.job_id == job_id))
            session.execute(delete(Job).where(Job.id == job_id))
            forgotten.append(job_id)
    with context.database.write() as session:
        session.execute(delete(Event).where(Event.job_id.is_(None), Event.at < before))
        session.execute(delete(Worker).where(~Worker.alive, Worker.held.is_(None), Worker.seen_at < before))
    return forgotten
