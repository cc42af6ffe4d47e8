"""The messages between coordinator and workers: JSON, checked on both sides.

An *order* tells a worker what to do with one chunk. An *outcome* is what a worker reports; all outcomes go to one
queue and name the attempt by its random token. Both carry only what a worker may know: no credentials.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from farm.domain.stages import WORKER_STAGES

STAGES = tuple(stage.name for stage in WORKER_STAGES)
#: The Celery queue that carries each stage's orders, and its task's name.
OUTCOMES = "outcomes"


def _of_workers(stage: str) -> str:
    if stage not in STAGES:
        raise ValueError(f"{stage!r} is not a stage of workers")
    return stage


class Message(BaseModel):
    """Base of all messages: immutable, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Artefact(Message):
    """Something immutable in the store: its key, size in bytes, SHA-256 and number of frames.

    ``psnr``: of a segment, decibels between what went into the encoder and what comes out, where nothing is covered.
    """

    key: str
    size: int
    sha256: str
    frames: int
    psnr: float | None = None

    def is_whole(self, found: "Artefact") -> bool:
        """Whether what the store holds, ``found``, is this artefact."""
        return (self.key, self.size, self.sha256) == (found.key, found.size, found.sha256)


class Order(Message):
    """One attempt at one chunk of one stage.

    ``fingerprint`` names the stage's result for this chunk: equal fingerprints, equal results. ``plan`` is the key of
    the manifest. ``inputs`` are the artefacts read: the chunk's tracks for redact, all segments in order for compose.
    ``options`` is ``asdict(JobOptions)``. ``avoid`` names workers that should not take it while others live.
    """

    job: str
    stage: Annotated[str, AfterValidator(_of_workers)]
    chunk: int
    chunks: int
    attempt: int
    token: str
    fingerprint: str
    plan: str
    source: str
    inputs: tuple[Artefact, ...] = ()
    options: dict[str, dict[str, object]]
    container: str = ""
    avoid: tuple[str, ...] = ()

    def readable(self) -> dict[str, str]:
        """What a person wants to see of it in Flower."""
        return {"job": self.job, "stage": self.stage, "chunk": f"{self.chunk + 1}/{self.chunks}"}


class Hello(Message):
    """A worker's process is up; repeated as its heartbeat, so that nothing depends on the first one arriving.

    Whatever an earlier ``incarnation`` of the same worker held is lost. ``encoders``: FFmpeg's names of the encoders
    that this worker has opened; ``runtime``: what runs its models.
    """

    kind: Literal["hello"] = "hello"
    worker: str
    incarnation: str
    host: str
    device: str
    pid: int
    encoders: tuple[str, ...] = ()
    runtime: str = ""


class Goodbye(Message):
    """A worker stops; it holds nothing any more."""

    kind: Literal["goodbye"] = "goodbye"
    worker: str
    incarnation: str


class Started(Message):
    """A worker took an order."""

    kind: Literal["started"] = "started"
    token: str
    worker: str


class Progress(Message):
    """Frames of the chunk done so far."""

    kind: Literal["progress"] = "progress"
    token: str
    worker: str
    frames: int


class Completed(Message):
    """The result is in the store. ``reused``: it was there already. ``spent``: CPU-seconds by part.

    ``notes``: what the person who submitted the job should know of it.
    """

    kind: Literal["completed"] = "completed"
    token: str
    worker: str
    artefact: Artefact
    reused: bool = False
    spent: dict[str, float] = {}
    notes: tuple[str, ...] = ()


class Failed(Message):
    """An attempt failed. ``cause``: the task's own error, or infrastructure (a killed process, a lost store).

    ``permanent``: another attempt cannot help.
    """

    kind: Literal["failed"] = "failed"
    token: str
    worker: str
    cause: Literal["task", "infrastructure"] = "task"
    reason: str
    permanent: bool = False


class GivenBack(Message):
    """A worker did not do an order and says so: it was to be avoided, or is stopping. Counts as no failure."""

    kind: Literal["given_back"] = "given_back"
    token: str
    worker: str
    reason: str


Outcome = Annotated[
    Hello | Goodbye | Started | Progress | Completed | Failed | GivenBack,
    Field(discriminator="kind"),
]
_OUTCOME: TypeAdapter[Outcome] = TypeAdapter(Outcome)


def load_outcome(body: object) -> Outcome:
    """An outcome from its JSON value. Raises pydantic.ValidationError."""
    return _OUTCOME.validate_python(body)


def stop_key(token: str, worker: str) -> str:
    """The Redis key whose presence tells ``worker`` to stop the attempt ``token``."""
    return f"blurfarm:stop:{token}:{worker}"


def queue_of(worker: str) -> str:
    """The queue that ``worker`` (``device@host``) takes its orders from."""
    return f"worker:{worker}"
