"""``farm verify --job``: follows a finished job from its output back to its source, by what the database says."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError
from sqlalchemy.orm import Session

from farm.database.models import Chunk, Job
from farm.digests import file_digest
from farm.domain.artefacts import digest_in, key_of, pts_key
from farm.domain.containers import PICTURES_CONTAINER
from farm.domain.manifest import Manifest, dump_manifest
from farm.domain.options import load_options
from farm.domain.sound import load_spans
from farm.domain.stages import STAGES, JobStatus, Stage, work_named
from farm.errors import IllegalTransition, VerificationError
from farm.jobs.beginning import planned_rows, stage_rows
from farm.jobs.companions import companions_of, refuse_companion
from farm.jobs.context import Context
from farm.jobs.plans import job_manifest
from farm.jobs.queries import find_job
from farm.messages import Artefact
from farm.storage.base import is_whole

if TYPE_CHECKING:
    from farm.media.verifying.verify_sound import SoundEdits


@dataclass(frozen=True, slots=True)
class Link:
    """One link of the chain: what it is about, whether it holds, and why (not)."""

    name: str
    holds: bool
    text: str


@dataclass(frozen=True, slots=True)
class Proof:
    """A job's chain. ``part``: only a part or a sample of the source was asked for. ``sound``: what was asked of it,
    where the output is a video. ``video``: the index of the source's main video. ``resize_to``: see
    :class:`farm.domain.options.SourceOptions`.
    """

    job: str
    source: Path
    output: Path
    pictures: bool
    part: bool
    links: tuple[Link, ...]
    sound: "SoundEdits | None" = None
    video: int | None = None
    resize_to: str | None = None

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
        refuse_companion(job)
        if job.status != JobStatus.DONE:
            raise IllegalTransition(f"job {job.id} is {job.status}", hint="only a job that is done can be verified")
        companions = companions_of(session, job.id)
    manifest, chain, rows = _chain(context, job)
    spans = load_spans(rows[0].request.get("sound", [])) if rows else ()
    of_others = [
        replace(link, name=f"{link.name} of stream {each.stream}")
        for each in companions
        for link in _chain(context, each)[1]
    ]
    pictures = job.container == PICTURES_CONTAINER
    asked = load_options(job.options)
    options, resize_to = asked.compose, asked.source.resize_to
    from farm.media.verifying.verify_sound import SoundEdits  # noqa: PLC0415 - PyAV: the coordinator begins without

    sound = None if pictures else SoundEdits(manifest, job.container, options, spans)
    links = (*chain, *of_others, *_output(job, rows))
    paths, video = (Path(manifest.source.path), Path(job.output)), manifest.source.video.index
    return Proof(job.id, *paths, pictures, manifest.picked, links, sound, video, resize_to)


def _chain(context: Context, job: Job) -> tuple[Manifest, list[Link], list[Chunk]]:
    """The plan of a job, the links up to its last stage, and the rows of that."""
    with context.database.read() as session:
        manifest = job_manifest(session, job.id)
        stages = [
            (stage, rows, _planned(session, job, manifest, stage, rows))
            for stage in STAGES[1:]
            for rows in [stage_rows(session, job.id, stage.name)]
        ]
    links = [_source(manifest), _plan(context, job, manifest), *(_stage(context, *stage) for stage in stages)]
    return manifest, links, stages[-1][1]


def _source(manifest: Manifest) -> Link:
    source = manifest.source
    path, what = Path(source.path), "the file that was submitted"
    if source.original:
        what = f"the repaired copy of {source.original}, whose own content is not checked"
    try:
        same = file_digest(path) == source.digest
    except OSError as e:
        gone = "; repaired copies are cleaned: submit the video again" if source.original else ""
        return Link("source", False, f"{path} cannot be read: {e.strerror}{gone}")
    return Link("source", same, f"{path} is {'' if same else 'not '}{what}")


def _plan(context: Context, job: Job, manifest: Manifest) -> Link:
    text = dump_manifest(manifest)
    if digest_in(job.plan) != hashlib.sha256(text.encode()).hexdigest():
        return Link("plan", False, f"the plan in the database is not {job.plan}")
    keys = [job.plan, *(pts_key(job.plan, chunk) for chunk in manifest.chunks)]
    wrong, gone = _in_store(context, keys)
    said = f"{manifest.frames} frames in {len(manifest.chunks)} chunks{gone}"
    return Link("plan", wrong is None, wrong or said)


def _planned(session: Session, job: Job, manifest: Manifest, stage: Stage, rows: list[Chunk]) -> list[Chunk]:
    """The rows that a stage should have begun with; none where the artefacts that it reads are not there."""
    try:
        planned = planned_rows(session, job, manifest, stage)
        if stage.sounds and [row.request for row in planned] != [row.request for row in rows]:  # or was retried with
            planned = planned_rows(session, job, manifest, stage, undone=True)
        return planned
    except (VerificationError, ValidationError):  # the link of the stage before says which
        return []


def _stage(context: Context, stage: Stage, mine: list[Chunk], planned: list[Chunk]) -> Link:
    """Whether a stage's artefacts are named by what they were made of, and are whole."""
    if wrong := next(_wrong(stage, mine, planned), None):
        return Link(stage.name, False, wrong)
    made = [Artefact.model_validate(row.artefact) for row in mine]
    damaged, gone = _in_store(context, [artefact.key for artefact in made])
    if damaged:
        return Link(stage.name, False, damaged)
    covered = f", {sum(a.covered or 0 for a in made)} frames to be covered" if made[0].covered is not None else ""
    return Link(stage.name, True, f"{len(made)} artefact{'' if len(made) == 1 else 's'}{covered}{gone}")


def _wrong(stage: Stage, mine: list[Chunk], planned: list[Chunk]) -> Iterator[str]:
    """What is not as it should be in the rows of a stage. ``planned``: as they should have begun."""
    done = [row for row in mine if row.artefact is not None]
    if not len(mine) == len(done) == len(planned):
        yield f"{len(done)} of {len(planned) or len(mine)} chunks are done with what {stage.inputs} wrote"
        return
    for row, begun in zip(mine, planned, strict=True):
        artefact = Artefact.model_validate(row.artefact)
        if row.inputs != begun.inputs:
            yield f"chunk {row.index + 1} did not read what {stage.inputs} wrote"
        if artefact.key != key_of(begun.name, artefact.sha256):
            yield f"{artefact.key} is not what chunk {row.index + 1} was made of"
        if unpainted(row, artefact):
            yield f"chunk {row.index + 1} was not painted with the masks of its tracks"


def unpainted(chunk: Chunk, artefact: Artefact) -> str | None:
    """Why an artefact cannot have been painted with the chunk's masks; None if it can, or paints nothing."""
    if not work_named(chunk.stage).paints:
        return None
    masks = Artefact.model_validate(chunk.inputs[0])
    if artefact.masks != masks.sha256:
        return "a segment that was painted with other masks"
    if artefact.covered != masks.covered:
        return f"{artefact.covered} covered frames, the masks cover {masks.covered}"
    return None


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
