"""Whether it is known yet whose faces a job's tracks show, and what was decided for each track because of that."""

import json
from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, exists, select
from sqlalchemy.orm import Session

from farm.database.models import Chunk, Job
from farm.domain.artefacts import key_of, references_name
from farm.domain.faces import Reference, load_references
from farm.domain.people import Known
from farm.domain.recognisers import PeopleOptions
from farm.errors import DamagedArtefact, JobFailed
from farm.jobs.context import Context
from farm.messages import Artefact
from farm.storage.base import Storage, opened

#: The author of the edits that follow from whom a job covers.
RULE = "rule"

_DECIDED = exists().where(Chunk.job_id == Job.id, Chunk.stage == "people")
#: Of jobs for which it is still to be decided whom they cover.
UNDECIDED: ColumnElement[bool] = Job.options[("people", "recogniser")].as_string().is_not(None) & ~_DECIDED


def is_undecided(session: Session, job: Job) -> bool:
    """Whether it is still to be decided for a job whom it covers."""
    return session.scalar(select(Job.id).where(Job.id == job.id, UNDECIDED)) is not None


def biometric(context: Context, job_id: str) -> list[str]:
    """What the store holds of a job that tells people apart, a line each. ``job_id``: exactly. Raises StorageError."""
    with context.database.read() as session:
        job = session.get_one(Job, job_id)
        asked = session.scalars(select(Chunk.artefact).where(Chunk.job_id == job_id, Chunk.stage == "recognise"))
        faces = [artefact["key"] for artefact in asked if artefact]
    photos, held = job.options.get("people", {}).get("references"), []
    if photos and context.store.exists(key_of(references_name(job.plan), photos)):
        held.append("the faces on its photos, until `farm clean` or retention takes its tracks")
    if any(map(context.store.exists, faces)):
        held.append("the faces of its tracks, until it was decided whom it covers")
    return held


def store_references(store: Storage, plan: str, text: str) -> None:
    """Write the faces on a job's photos. ``plan``: the key of its manifest. Raises StorageError."""
    with store.put(references_name(plan)) as draft:
        draft.path.write_text(text)


def has_references(store: Storage, plan: str, options: PeopleOptions) -> bool:
    """Whether the store holds the faces on a job's photos, where it has any. Raises StorageError."""
    return options.references is None or store.exists(key_of(references_name(plan), options.references))


def job_references(store: Storage, plan: str, options: PeopleOptions) -> Sequence[Reference]:
    """The faces on a job's photos; none where it has no photos. Raises JobFailed where the store has lost them."""
    if options.references is None:
        return ()
    try:
        with opened(store, key_of(references_name(plan), options.references)) as path:
            return load_references(path.read_text())
    except DamagedArtefact as e:
        hint = "submit the video again with the photos"
        raise JobFailed("the faces on the photos are not in the store any more", hint=hint) from e


def dump_known(known: Mapping[int, Known]) -> str:
    """What is known of each track, as JSON."""
    return json.dumps({str(track): one.row() for track, one in known.items()})


def job_known(session: Session, store: Storage, job_id: str) -> dict[int, Known]:
    """What is known of each track of a job; nothing where no faces were told apart, or the store has lost it."""
    row = session.scalars(select(Chunk).where(Chunk.job_id == job_id, Chunk.stage == "people")).first()
    if row is None or row.artefact is None:
        return {}
    try:
        with opened(store, Artefact.model_validate(row.artefact).key) as path:
            return {int(track): Known(**one) for track, one in json.loads(path.read_text()).items()}
    except DamagedArtefact:
        return {}
