"""``farm verify --job``: follows a finished job from its output back to its source, by what the database says."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from farm.database.models import Chunk, Job
from farm.digests import file_digest
from farm.domain.artefacts import artefact_name, digest_in, fingerprint_facts, key_of, pts_key, stage_fingerprint
from farm.domain.manifest import Manifest, dump_manifest
from farm.domain.options import load_options
from farm.domain.stages import STAGES, JobStatus, Stage
from farm.errors import IllegalTransition
from farm.jobs.beginning import stage_rows
from farm.jobs.context import Context
from farm.jobs.placing import PICTURES_CONTAINER
from farm.jobs.plans import job_manifest
from farm.jobs.queries import find_job
from farm.media.composing.containers import output_suffix
from farm.messages import Artefact
from farm.storage.base import is_whole


@dataclass(frozen=True, slots=True)
class Link:
    """One link of the chain: what it is about, whether it holds, and why (not)."""

    name: str
    holds: bool
    text: str


@dataclass(frozen=True, slots=True)
class Proof:
    """A job's chain. ``part``: only a part or a sample of the source was asked for."""

    job: str
    source: Path
    output: Path
    pictures: bool
    part: bool
    links: tuple[Link, ...]

    @property
    def holds(self) -> bool:
        """Whether every link does."""
        return all(link.holds for link in self.links)


def prove(context: Context, job_id: str) -> Proof:
    """Check source, plan, the artefacts of every stage and the output of a job that is done against each other.

    Artefacts that were deleted after the output was published are checked by what the database says of them. Reads
    everything that is there. Raises NotFound, IllegalTransition for a job that is not done, JobFailed for one of
    another version, StorageError.
    """
    with context.database.read() as session:
        job = find_job(session, job_id)
        if job.status != JobStatus.DONE:
            raise IllegalTransition(f"job {job.id} is {job.status}", hint="only a job that is done can be verified")
        manifest = job_manifest(session, job.id)
        rows = {stage.name: stage_rows(session, job.id, stage.name) for stage in STAGES[1:]}
    links = (
        _source(manifest),
        _plan(context, job, manifest),
        *(_stage(context, job, manifest, stage, rows) for stage in STAGES[1:]),
        *_output(job, rows[STAGES[-1].name]),
    )
    pictures = job.container == PICTURES_CONTAINER
    return Proof(job.id, Path(manifest.source.path), Path(job.output), pictures, manifest.picked, links)


def _source(manifest: Manifest) -> Link:
    path = Path(manifest.source.path)
    try:
        same = file_digest(path) == manifest.source.digest
    except OSError as e:
        return Link("source", False, f"{path} cannot be read: {e.strerror}")
    return Link("source", same, f"{path} is {'' if same else 'not '}the file that was submitted")


def _plan(context: Context, job: Job, manifest: Manifest) -> Link:
    text = dump_manifest(manifest)
    if digest_in(job.plan) != hashlib.sha256(text.encode()).hexdigest():
        return Link("plan", False, f"the plan in the database is not {job.plan}")
    keys = [job.plan, *(pts_key(job.plan, chunk) for chunk in manifest.chunks)]
    wrong, gone = _in_store(context, keys)
    said = f"{manifest.frames} frames in {len(manifest.chunks)} chunks{gone}"
    return Link("plan", wrong is None, wrong or said)


def _stage(context: Context, job: Job, manifest: Manifest, stage: Stage, rows: dict[str, list[Chunk]]) -> Link:
    """Whether a stage's artefacts are named by what they were made of, and are whole."""
    if wrong := next(_wrong(job, manifest, stage, rows), None):
        return Link(stage.name, False, wrong)
    made = [Artefact.model_validate(row.artefact) for row in rows[stage.name]]
    damaged, gone = _in_store(context, [artefact.key for artefact in made])
    if damaged:
        return Link(stage.name, False, damaged)
    covered = f", {sum(a.covered or 0 for a in made)} frames to be covered" if made[0].covered is not None else ""
    return Link(stage.name, True, f"{len(made)} artefact{'' if len(made) == 1 else 's'}{covered}{gone}")


def _wrong(job: Job, manifest: Manifest, stage: Stage, rows: dict[str, list[Chunk]]) -> Iterator[str]:
    """What is not as it should be in the rows of a stage."""
    options = load_options(job.options)
    facts = fingerprint_facts(manifest, job.model_sha256, options, job.container, job.plan)
    of, suffix = stage_fingerprint(stage.name, facts), output_suffix(job.container, options.compose)
    mine = rows[stage.name]
    before = [row.artefact for row in rows[stage.inputs]] if stage.inputs else []
    chunks = [chunk.name for chunk in manifest.chunks] if stage.per_chunk else [""]
    if len(mine) != len(chunks) or any(row.artefact is None for row in mine):
        yield f"{len(mine)} of {len(chunks)} chunks are done"
        return
    for row, chunk in zip(mine, chunks, strict=True):
        artefact = Artefact.model_validate(row.artefact)
        inputs = before[row.index : row.index + 1] if stage.per_chunk else before
        if stage.inputs and row.inputs != inputs:
            yield f"chunk {row.index + 1} did not read what {stage.inputs} wrote"
        read = before if stage.by == "coordinator" else inputs
        name = artefact_name(stage.name, of, chunk, [str((a or {}).get("sha256")) for a in read], suffix)
        if artefact.key != key_of(name, artefact.sha256):
            yield f"{artefact.key} is not what chunk {row.index + 1} was made of"
        masks = Artefact.model_validate(row.inputs[0]) if stage.paints else None
        if masks and (artefact.masks, artefact.covered) != (masks.sha256, masks.covered):
            yield f"chunk {row.index + 1} was not painted with the masks of its tracks"


def _in_store(context: Context, keys: list[str]) -> tuple[str | None, str]:
    """The first artefact that is damaged, in words, and how many are not there any more."""
    there = [key for key in keys if context.store.exists(key)]
    damaged = next((key for key in there if not is_whole(context.store, key)), None)
    gone = len(keys) - len(there)
    return damaged and f"{damaged} is damaged", f" ({gone} deleted since)" if gone else ""


def _output(job: Job, rows: list[Chunk]) -> Iterator[Link]:
    """Whether the published video is what was composed. Pictures were checked when they were written."""
    path = Path(job.output)
    if job.container == PICTURES_CONTAINER or not rows or rows[0].artefact is None:
        return
    try:
        same = file_digest(path) == rows[0].artefact["sha256"]
    except OSError as e:
        yield Link("output", False, f"{path} cannot be read: {e.strerror}")
    else:
        yield Link("output", same, f"{path} is {'' if same else 'not '}what was composed")
