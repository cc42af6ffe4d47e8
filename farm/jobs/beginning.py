"""How a stage begins: the transaction that moves the job on also inserts the stage's rows."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from farm.database.models import Chunk, Job
from farm.database.statuses import move_job
from farm.domain.artefacts import fingerprint_facts, stage_fingerprint
from farm.domain.lifecycle import JobEvent
from farm.domain.manifest import Manifest
from farm.domain.options import load_options
from farm.domain.stages import JobStatus, next_stage, stage_at
from farm.errors import VerificationError
from farm.messages import Artefact


def begin_stage(session: Session, job: Job, manifest: Manifest, now: float) -> bool:
    """Move a job, whose current stage is done, to the next stage and insert that stage's rows.

    False if another transaction was first, or where no stage follows. Raises VerificationError where the artefacts
    that the stage reads are not those of all chunks.
    """
    current = stage_at(JobStatus(job.status))
    stage = next_stage(current) if current else None
    if stage is None:
        return False
    inputs = stage_artefacts(session, job.id, stage.inputs) if stage.inputs else []
    if stage.inputs and [a.frames for a in inputs] != [c.frames for c in manifest.chunks]:
        raise VerificationError(f"the artefacts of {stage.inputs} are not those of all chunks")
    read = [artefact.model_dump(mode="json") for artefact in inputs]
    if stage.per_chunk:
        rows = [(chunk.frames, read[chunk.index : chunk.index + 1]) for chunk in manifest.chunks]
    else:
        rows = [(job.frames, read)]
    if not move_job(session, job, JobEvent.STAGE_DONE, now, open_chunks=len(rows)):
        return False
    facts = fingerprint_facts(manifest, job.model_sha256, load_options(job.options), job.container, job.plan)
    name = stage_fingerprint(stage.name, facts)
    for index, (frames, mine) in enumerate(rows):
        row = Chunk(job_id=job.id, stage=stage.name, index=index, frames=frames, fingerprint=name, inputs=mine)
        session.add(row)
    return True


def stage_rows(session: Session, job_id: str, stage: str) -> list[Chunk]:
    """A stage's rows, in order of the chunks."""
    mine = (Chunk.job_id == job_id, Chunk.stage == stage)
    return list(session.scalars(select(Chunk).where(*mine).order_by(Chunk.index)))


def stage_artefacts(session: Session, job_id: str, stage: str) -> list[Artefact]:
    """What a finished stage has written, in order of the chunks. Raises pydantic.ValidationError where it is not."""
    return [Artefact.model_validate(row.artefact) for row in stage_rows(session, job_id, stage)]
