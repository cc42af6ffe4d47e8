"""Whom a job covers: asks workers for the faces of its tracks, decides, and makes edits of that.

The faces tell people apart. They are deleted as soon as it was decided.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from sqlalchemy.orm import Session

from farm.database.edits import append_edits, job_edits
from farm.database.events import record_event
from farm.database.models import Chunk, Job
from farm.database.statuses import delete_chunks, insert_done, locked_job
from farm.domain.edits import OF_TRACKS, Action, Edit, effective
from farm.domain.faces import Face, load_face
from farm.domain.manifest import Manifest
from farm.domain.masks import anchored, with_ends
from farm.domain.options import load_options
from farm.domain.people import Decided, decide
from farm.domain.recognisers import PeopleOptions, Whom
from farm.domain.stages import JobStatus
from farm.errors import JobFailed
from farm.jobs.beginning import stage_rows
from farm.jobs.context import Context
from farm.jobs.errands import errand_row, gathered
from farm.jobs.plans import job_manifest
from farm.jobs.recognition import RULE, dump_known, job_references
from farm.jobs.tracks import linked_tracks, read_tracks
from farm.messages import Artefact
from farm.storage.base import Storage, opened


def recognised(context: Context, job: Job) -> bool:
    """Whether it was decided for the tracks of a job whom it covers; does the next step where it was not.

    Raises JobFailed where the faces cannot be had, StorageError.
    """
    options = load_options(job.options).people
    if options.named is None:
        return True
    with context.database.read() as session:
        manifest, tracks = job_manifest(session, job.id), linked_tracks(session, job)
        decided = stage_rows(session, job.id, "people")
        people = errand_row(job, manifest, "people", 0, {}, tracks)
    if not any(row.name == people.name for row in decided):
        try:
            found = gathered(context, job.id, "recognise", partial(_wanted, manifest, tracks), JobStatus.REVIEWING)
        except JobFailed as e:
            raise JobFailed(f"whose faces the tracks show cannot be found out: {e.message}", hint=e.hint) from e
        if found is None or not _decide(context, job, manifest, options, (tracks, found), people):
            return False
    _forget(context, job.id)
    return True


def _wanted(manifest: Manifest, tracks: Sequence[Artefact], _session: Session, job: Job) -> list[Chunk]:
    """The errands that look at the faces of each chunk's tracks."""
    return [errand_row(job, manifest, "recognise", index, {}, [artefact]) for index, artefact in enumerate(tracks)]


def _decide(
    context: Context,
    job: Job,
    manifest: Manifest,
    options: PeopleOptions,
    read: tuple[Sequence[Artefact], Sequence[Artefact]],
    people: Chunk,
) -> bool:
    """Decide, and record that as edits, and as the row ``people``. ``read``: tracks and faces."""
    store, (tracks, faces) = context.store, read
    end = manifest.chunks[-1].pts_end
    decided = decide(
        lambda: with_ends(read_tracks(store, tracks), end),
        _faces(store, faces),
        job_references(store, job.plan, options),
        Whom(options.whom),
        options.likeness,
        manifest.source.video.time_base,
    )
    with context.database.read() as session:
        theirs = [edit for edit in effective(job_edits(session, job.id)) if _is_of_a_person(edit)]
    anchors = anchored(theirs, read_tracks(store, tracks))
    with store.put(people.name) as draft:
        draft.path.write_text(dump_known(decided.known))
    with context.database.write() as session:
        fresh, now = locked_job(session, job.id), context.clock()
        if fresh.status != JobStatus.REVIEWING or not fresh.open_chunks:
            return False  # paused, cancelled or done meanwhile
        delete_chunks(session, [row.id for row in stage_rows(session, job.id, "people")])
        insert_done(session, people, draft.artefact(0).model_dump(mode="json"))
        told = {track for track in anchors.values() if track is not None}
        _edit(session, fresh, decided, told, now)
        text = f"{len({edit.track for edit in decided.edits})} of {len(decided.known)} tracks are not covered"
        record_event(session, now, f"by --{_OPTIONS[Whom(options.whom)]}, {text}" if decided.edits else text, job.id)
    return True


_OPTIONS = {Whom.BUT: "keep", Whom.ONLY: "only", Whom.EVERYONE: "recogniser"}


def _edit(session: Session, job: Job, decided: Decided, told: set[int], now: float) -> None:
    """Append the rule's edits in place of those that it made of other tracks.

    ``told``: tracks that a person has made an edit of, which counts; the rule then says nothing of them.
    """
    every = job_edits(session, job.id)
    before = [edit for edit in effective(every) if edit.author == RULE]
    after = [replace(edit, author=RULE) for edit in decided.edits if edit.track not in told]
    if [edit.body() for edit in before] == [edit.body() for edit in after]:
        return
    said = "decided anew, of other tracks"
    undone = [Edit(action=Action.UNDO, undoes=edit.number, author=RULE, reason=said) for edit in before]
    append_edits(session, job, [*undone, *after], now)


def _is_of_a_person(edit: Edit) -> bool:
    return edit.author != RULE and edit.action in OF_TRACKS and edit.action is not Action.STYLE


def _faces(store: Storage, artefacts: Sequence[Artefact]) -> Iterator[Face]:
    for artefact in artefacts:
        with opened(store, artefact.key) as path, path.open(encoding="ascii") as lines:
            yield from map(load_face, lines)


def _forget(context: Context, job_id: str) -> None:
    """Delete faces that were used, and then the rows that name them."""
    with context.database.read() as session:
        asked = stage_rows(session, job_id, "recognise")
    for row in asked:
        if row.artefact:
            context.store.delete(row.artefact["key"])
    if asked:
        with context.database.write() as session:
            delete_chunks(session, [row.id for row in asked])
