"""The messages between coordinator and workers: JSON, signed (:mod:`farm.signing`), validated on both sides.

An *order* tells a worker what to do with one chunk; each worker has a queue of its own. An *outcome* is what a worker
reports; all outcomes go to one queue and identify the attempt by its random token. Neither carries credentials.
"""

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, TypeAdapter

from farm.domain.lifecycle import DeathKind
from farm.domain.stages import WORKER_ERRANDS, WORKER_STAGES

#: The names of the Celery tasks: the stages that workers do, in order, and errands.
TASKS = tuple(work.name for work in (*WORKER_STAGES, *WORKER_ERRANDS))
#: The queue that carries the outcomes of all workers.
OUTCOMES = "outcomes"
#: Is in the text of every event about refused messages.
MOVED_ASIDE = "moved aside"


def _of_workers(stage: str) -> str:
    if stage not in TASKS:
        raise ValueError(f"{stage!r} is no task of workers")
    return stage


class Message(BaseModel):
    """Base of all messages: immutable, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Artefact(Message):
    """An immutable object in the store: its key, size in bytes, SHA-256 and number of frames.

    ``psnr``: of a segment, in decibels, between the encoder's input and its decoded output outside the redacted areas.
    ``covered``: of tracks, the number of frames to be covered; of a segment, the number of frames that were covered,
    and ``masks``: the SHA-256 of the tracks that said where. ``copied``: of a segment, the number of frames whose
    packets are the source's.
    """

    key: str
    size: int
    sha256: str
    frames: int
    psnr: float | None = None
    covered: int | None = None
    masks: str | None = None
    copied: int | None = None


class Order(Message):
    """One attempt at one chunk of one stage, or at one errand.

    ``fingerprint`` is that of the stage: a worker computes it from the rest of the order, and refuses another one.
    ``plan`` is the key of the manifest. ``inputs`` are the artefacts to read: the chunk's tracks for redact, all
    segments in order for compose. Those of all chunks are in the store: ``listed`` is the key of their list, see
    :mod:`farm.storage.inputs`. ``options`` is ``asdict(JobOptions)``. ``request``: what is to be done beside
    what they say. ``known``: an artefact that was accepted for the same work before; it is used if the store still
    holds it.
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
    listed: str = ""
    known: Artefact | None = None
    model_sha256: str
    options: dict[str, dict[str, object]]
    request: dict[str, JsonValue] = {}
    container: str = ""

    def readable(self) -> dict[str, str]:
        """The fields that Flower shows to a person."""
        return {"job": self.job, "stage": self.stage, "chunk": f"{self.chunk + 1}/{self.chunks}"}


class Held(Message):
    """An order that a worker has taken and not finished. ``frames``: done; None: its frames were not begun yet.

    ``idle``: for how many seconds its process has given no sign of life.
    """

    token: str
    frames: int | None = None
    idle: float = 0.0


class Hello(Message):
    """A worker is up. Repeated as its heartbeat, so that nothing depends on the first one arriving.

    Whatever an earlier ``incarnation`` of the same worker held is lost. An incarnation is ``SUPERVISOR/START``: the
    process that started the worker, and when, by the clock of the worker's host. ``holds``: the orders that it has
    taken and not finished. ``encoders``: FFmpeg's names of the encoders that this worker has opened; ``runtimes``:
    those that its detectors can use. ``draining``: it takes no more orders, and stops.
    """

    kind: Literal["hello"] = "hello"
    worker: str
    incarnation: str
    host: str
    device: str
    pid: int
    holds: tuple[Held, ...] = ()
    encoders: tuple[str, ...] = ()
    runtimes: tuple[str, ...] = ()
    draining: bool = False


class Goodbye(Message):
    """A worker stops and holds nothing any more."""

    kind: Literal["goodbye"] = "goodbye"
    worker: str
    incarnation: str


class AttemptOutcome(Message):
    """Base of what ``worker`` reports about the attempt ``token``."""

    token: str
    worker: str


class Started(AttemptOutcome):
    """A worker took an order."""

    kind: Literal["started"] = "started"


class Progress(AttemptOutcome):
    """Frames of the chunk done so far."""

    kind: Literal["progress"] = "progress"
    frames: int


class Completed(AttemptOutcome):
    """The result is in the store. ``reused``: it was there already. ``spent``: CPU seconds by part.

    ``damaged``: keys of artefacts that were not what their key says, and were set aside.

    ``notes``: what the person who submitted the job should know about it.
    """

    kind: Literal["completed"] = "completed"
    artefact: Artefact
    reused: bool = False
    spent: dict[str, float] = {}
    notes: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()


class Failed(AttemptOutcome):
    """An attempt failed. ``cause``: the task's own error, or the infrastructure's (a killed process, a lost store).

    ``permanent``: another attempt would fail in the same way. ``damaged``: the key of an artefact that the store does
    not hold as it was written; that is no fault of the attempt. ``death``: its process was killed when it had done
    ``frames``; None where its frames were not begun.
    """

    kind: Literal["failed"] = "failed"
    cause: Literal["task", "infrastructure"] = "task"
    reason: str
    permanent: bool = False
    damaged: str | None = None
    death: DeathKind | None = None
    frames: int = 0


class GivenBack(AttemptOutcome):
    """A worker returns an order undone, because it is stopping or was told to stop. Does not count as a failure."""

    kind: Literal["given_back"] = "given_back"
    reason: str


class Refused(Message):
    """The reader of ``queue`` moved ``count`` messages aside: they were damaged, or not signed with the farm's key.

    ``token``: of the attempt that the last one says that it is the order of; nobody has signed that.
    """

    kind: Literal["refused"] = "refused"
    queue: str
    reason: str
    token: str = ""
    count: int = 1

    def __str__(self) -> str:
        messages = "a message was" if self.count == 1 else f"{self.count} messages were"
        return f"{self.queue}: {messages} {MOVED_ASIDE}: {self.reason}"


Outcome = Annotated[
    Hello | Goodbye | Started | Progress | Completed | Failed | GivenBack | Refused, Field(discriminator="kind")
]
_OUTCOME: TypeAdapter[Outcome] = TypeAdapter(Outcome)


def load_outcome(body: object) -> Outcome:
    """An outcome from its JSON value. Raises pydantic.ValidationError."""
    return _OUTCOME.validate_python(body)


#: The value of a stop key that the worker's own parent set: the worker stops before the chunk is done.
DRAINED = "drained"


def stop_key(token: str, worker: str) -> str:
    """The Redis key whose presence tells ``worker`` to stop the attempt ``token``."""
    return f"blurfarm:stop:{token}:{worker}"


def queue_of(worker: str) -> str:
    """The queue that ``worker`` (``device@host``) takes its orders from."""
    return f"worker:{worker}"
