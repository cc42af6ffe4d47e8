"""How a stage begins: the transaction that moves the job on also inserts the stage's rows."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from farm.database.edits import job_edits
from farm.database.models import Chunk, Job
from farm.database.statuses import delete_chunks, move_job
from farm.domain.artefacts import artefact_name, fingerprint_facts, stage_fingerprint
from farm.domain.containers import output_suffix
from farm.domain.edits import Action, digest_of, of_masks
from farm.domain.lifecycle import ChunkStatus, JobEvent
from farm.domain.manifest import Manifest
from farm.domain.options import load_options
from farm.domain.sound import sound_spans
from farm.domain.stages import JobStatus, Stage, next_stage, stage_at
from farm.errors import VerificationError
from farm.jobs.companions import streams_request
from farm.messages import Artefact
from farm.storage.base import Storage


def begin_stage(session: Session, store: Storage | None, job: Job, manifest: Manifest, now: float) -> bool:
    """Move a job, whose current stage is done, to the next stage and insert that stage's rows.

    Rows that are done, as the job was set back or revised, remain where they were made of the same and ``store`` holds
    it; without a store none does, and masks never do. False if another transaction was first, or where no stage
    follows. Raises StorageError, and VerificationError where the artefacts that the stage reads are not all there.
    """
    current = stage_at(JobStatus(job.status))
    stage = next_stage(current) if current else None
    if stage is None:
        return False
    rows = planned_rows(session, job, manifest, stage)
    names = {row.index: row.name for row in rows}

    def stays(row: Chunk) -> bool:
        done = row.status == ChunkStatus.DONE and row.artefact is not None and row.name == names.get(row.index)
        return done and store is not None and not stage.edited and store.exists((row.artefact or {})["key"])

    before = stage_rows(session, job.id, stage.name)
    kept = [row for row in before if stays(row)]
    done = {row.index for row in kept}
    if not move_job(session, job, JobEvent.STAGE_DONE, now, open_chunks=len(rows) - len(done)):
        return False
    delete_chunks(session, [row.id for row in before if row.index not in done])
    inputs = {row.index: row.inputs for row in rows}
    for row in kept:  # what it read may have another key by now, for the same content
        row.reused, row.spent, row.inputs = True, {}, inputs[row.index]
    session.add_all(row for row in rows if row.index not in done)
    if stage.edited:
        _forget_people(session, job, rows)
    return True


def _forget_people(session: Session, job: Job, rows: Sequence[Chunk]) -> None:
    """Forget what was decided for other tracks than those that the stage reads: it is decided anew."""
    read = [artefact["key"] for row in rows for artefact in row.inputs]
    before = stage_rows(session, job.id, "people")
    delete_chunks(session, [row.id for row in before if [artefact["key"] for artefact in row.inputs] != read])


def complete_rows(session: Session, job: Job, manifest: Manifest) -> int:
    """Insert those rows of a job's current stage that are missing; returns their number."""
    stage = stage_at(JobStatus(job.status))
    assert stage is not None
    there = {row.index for row in stage_rows(session, job.id, stage.name)}
    if len(there) == (len(manifest.chunks) if stage.per_chunk else 1):
        return 0
    missing = [row for row in planned_rows(session, job, manifest, stage) if row.index not in there]
    session.add_all(missing)
    return len(missing)


def renew_rows(session: Session, job: Job, manifest: Manifest, stage: Stage) -> None:
    """Replace a stage's rows that are not done and ask for edits of the sound that were undone since."""
    if not stage.sounds:
        return
    fresh = {row.index: row for row in planned_rows(session, job, manifest, stage, undone=True)}
    rows = stage_rows(session, job.id, stage.name)
    stale = [row for row in rows if row.status != ChunkStatus.DONE and row.request != fresh[row.index].request]
    delete_chunks(session, [row.id for row in stale])
    session.add_all(fresh[row.index] for row in stale)


def planned_rows(session: Session, job: Job, manifest: Manifest, stage: Stage, *, undone: bool = False) -> list[Chunk]:
    """The rows of a stage as it begins with them, in order; not inserted. Raises as :func:`begin_stage`.

    The names of masks are those of the edits that the job's masks contain; the stage gives them their own. The edits of
    sound are those of the same time; with ``undone``, without those that were undone later.
    """
    inputs = stage_artefacts(session, job.id, stage.inputs) if stage.inputs else []
    if stage.inputs and [a.frames for a in inputs] != [c.frames for c in manifest.chunks]:
        raise VerificationError(f"the artefacts of {stage.inputs} are not those of all chunks")
    if stage.per_chunk:
        rows = [(chunk.name, chunk.frames, inputs[chunk.index : chunk.index + 1]) for chunk in manifest.chunks]
    else:
        rows = [("", job.frames, inputs)]
    options = load_options(job.options)
    facts = fingerprint_facts(manifest, job.model_sha256, options, job.container, job.plan)
    of, suffix = stage_fingerprint(stage.name, facts), output_suffix(job.container, options.compose)

    edits = [digest_of(of_masks(job_edits(session, job.id, job.masked)))] if stage.edited else []
    usual = _sound(session, job, undone=undone) | streams_request(session, job.id) if stage.sounds else {}
    # chunks that were looked at again stay as they are
    said = {row.index: row.request for row in stage_rows(session, job.id, stage.name)} if stage.asked else {}

    def name(chunk: str, mine: list[Artefact], request: dict[str, Any]) -> str:
        read = inputs if stage.by == "coordinator" else mine  # which does all chunks at once
        return artefact_name(stage.name, of, chunk, [*(artefact.sha256 for artefact in read), *edits], suffix, request)

    return [
        Chunk(
            job_id=job.id,
            stage=stage.name,
            index=index,
            frames=frames,
            fingerprint=of,
            name=name(chunk, mine, said.get(index, usual)),
            inputs=[artefact.model_dump(mode="json") for artefact in mine],
            request=said.get(index, usual),
        )
        for index, (chunk, frames, mine) in enumerate(rows)
    ]


def _sound(session: Session, job: Job, *, undone: bool) -> dict[str, Any]:
    """The request for the edits of a job's sound, see :func:`planned_rows`."""
    edits = job_edits(session, job.id, None if undone else job.masked)
    spans = sound_spans(edit for edit in edits if edit.number <= job.masked or edit.action is Action.UNDO)
    return {"sound": [span.row() for span in spans]} if spans else {}


def stage_rows(session: Session, job_id: str, stage: str) -> list[Chunk]:
    """A stage's rows, in order of the chunks."""
    mine = (Chunk.job_id == job_id, Chunk.stage == stage)
    return list(session.scalars(select(Chunk).where(*mine).order_by(Chunk.index)))


def stage_artefacts(session: Session, job_id: str, stage: str) -> list[Artefact]:
    """What a finished stage has written, in order of the chunks. Raises pydantic.ValidationError where it is not."""
    return [Artefact.model_validate(row.artefact) for row in stage_rows(session, job_id, stage)]
