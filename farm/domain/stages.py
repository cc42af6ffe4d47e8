"""The stages of a job, and the errands that workers do for it beside them: two tables that all else derives from.

A new stage is a row here, a status where it needs one of its own, and the module that implements it. A new errand is a
row and a module.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class JobStatus(StrEnum):
    """The life of a job."""

    PLANNING = "planning"
    DETECTING = "detecting"
    LINKING = "linking"
    REVIEWING = "reviewing"
    REDACTING = "redacting"
    COMPOSING = "composing"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def over(self) -> bool:
        """Whether the job has ended: done, failed or cancelled."""
        return self in _OVER


_OVER = frozenset({JobStatus.DONE, JobStatus.FAILED, JobStatus.CANCELLED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What stages and errands have in common.

    - ``by``: who does it; ``module`` implements it, as a function ``run``.
    - ``inputs``: the stage whose artefacts it reads. A row per chunk reads the artefact of its own chunk, a single row
      reads all of them in order.
    - ``key``: pattern of its artefacts' names, see :func:`farm.domain.artefacts.artefact_name`. Its ``inputs``
      stand for what was read and for the request: without them, what was asked for otherwise would count as the same.
    - ``covers``: the facts that its fingerprint covers (see :func:`farm.domain.artefacts.fingerprint_facts`), beside
      the fingerprint of ``inputs``.
    - ``needs``: what of a job a worker must have to do it.
    - ``paints``: it covers the frames that its inputs name, and reports how many and from which inputs.
    - ``per_chunk``: it has one row per chunk, otherwise a single row, or, of an errand, a row per request.
    """

    name: str
    by: Literal["submit", "worker", "coordinator"]
    module: str
    inputs: str | None = None
    key: str
    covers: tuple[str, ...]
    needs: Literal["runtime", "encoder"] | None = None
    paints: bool = False
    per_chunk: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage(Work):
    """One stage.

    - ``status``: the job's while the stage runs.
    - ``after``: the stage that has to be done before this one begins.
    - ``edited``: its artefacts are also made of the job's edits of masks; ``sounds``: its requests say those of sound,
      and where the outputs of companion jobs are.
    - ``asked``: a person may ask for single chunks to be done otherwise: by the ``request`` of their rows.
    - ``counts_frames``: its progress is counted in frames and shown to people.
    - ``intermediate``: its artefacts are deleted once the output is published.
    """

    status: JobStatus
    after: str | None = None
    edited: bool = False
    asked: bool = False
    sounds: bool = False
    counts_frames: bool = False
    intermediate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Errand(Work):
    """What a worker does for a job beside its stages, in any status. Who asks for it waits for it; its failure fails
    no job. What it does is said by the ``request`` of its order, which is part of its artefact's name.
    """


STAGES: tuple[Stage, ...] = (
    Stage(
        name="plan",
        by="submit",
        module="farm.jobs.submit",
        status=JobStatus.PLANNING,
        key="plans/{fingerprint}/manifest.json",
        covers=("manifest",),
    ),
    Stage(
        name="detect",
        by="worker",
        module="workers.stages.detect",
        status=JobStatus.DETECTING,
        after="plan",
        key="detections/{fingerprint}/{chunk}.{inputs}.jsonl",
        covers=("source", "model", "options.detect", "options.source"),
        needs="runtime",
        asked=True,
        per_chunk=True,
        counts_frames=True,
    ),
    Stage(
        name="link",
        by="coordinator",
        module="farm.coordinator.linking",
        status=JobStatus.LINKING,
        after="detect",
        inputs="detect",
        key="tracks/{fingerprint}/{chunk}.{inputs}.jsonl",
        covers=("options.link",),
        per_chunk=True,
    ),
    Stage(
        name="edit",
        by="coordinator",
        module="farm.coordinator.editing",
        status=JobStatus.REVIEWING,
        after="link",
        inputs="link",
        key="masks/{fingerprint}/{chunk}.{inputs}.jsonl",
        covers=(),
        edited=True,
        per_chunk=True,
    ),
    Stage(
        name="redact",
        by="worker",
        module="workers.stages.redact",
        status=JobStatus.REDACTING,
        after="edit",
        inputs="edit",
        key="segments/{fingerprint}/{chunk}.{inputs}.mp4",
        covers=("options.redact", "encoder"),
        needs="encoder",
        paints=True,
        per_chunk=True,
        counts_frames=True,
        intermediate=True,
    ),
    Stage(
        name="compose",
        by="worker",
        module="workers.stages.compose",
        status=JobStatus.COMPOSING,
        after="redact",
        inputs="redact",
        key="outputs/{fingerprint}/output.{inputs}{suffix}",
        covers=("plan", "container", "options.compose"),
        sounds=True,
        counts_frames=True,
        intermediate=True,
    ),
)

WORKER_STAGES = tuple(stage for stage in STAGES if stage.by == "worker")

ERRANDS: tuple[Errand, ...] = (
    Errand(
        name="carry",
        by="worker",
        module="workers.stages.carry",
        key="carried/{fingerprint}/box.{inputs}.json",
        covers=("source", "options.source"),
    ),
    Errand(
        name="audit",
        by="worker",
        module="workers.stages.audit",
        inputs="redact",
        key="audits/{fingerprint}/{chunk}.{inputs}.jsonl",
        covers=(),
        needs="runtime",
        per_chunk=True,
    ),
    # deleted as soon as it was decided whom to cover: it tells people apart
    Errand(
        name="recognise",
        by="worker",
        module="workers.stages.recognise",
        inputs="link",
        key="faces/{fingerprint}/{chunk}.{inputs}.jsonl",
        covers=("options.people",),
        per_chunk=True,
    ),
    Errand(
        name="people",
        by="coordinator",
        module="farm.coordinator.recognising",
        inputs="link",
        key="people/{fingerprint}/people.{inputs}.json",
        covers=("options.people",),
    ),
)

WORKER_ERRANDS = tuple(errand for errand in ERRANDS if errand.by == "worker")


def stage_named(name: str) -> Stage:
    """The stage of this name. Raises KeyError."""
    return {stage.name: stage for stage in STAGES}[name]


def work_named(name: str) -> Work:
    """The stage or the errand of this name. Raises KeyError."""
    return {work.name: work for work in (*STAGES, *ERRANDS)}[name]


def stage_at(status: JobStatus) -> Stage | None:
    """The stage that runs while a job has this status; None where none does."""
    return next((stage for stage in STAGES if stage.status is status), None)


def next_stage(stage: Stage) -> Stage | None:
    """The stage that begins when ``stage`` is done; None after the last one."""
    return next((following for following in STAGES if following.after == stage.name), None)
