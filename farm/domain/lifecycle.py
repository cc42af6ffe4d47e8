"""The transitions of statuses. Whatever changes a status asks here first."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from farm.domain.stages import STAGES, JobStatus, next_stage
from farm.errors import IllegalTransition


class ChunkStatus(StrEnum):
    """The life of one chunk in one stage."""

    PENDING = "pending"
    QUEUED = "queued"
    LEASED = "leased"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class AttemptStatus(StrEnum):
    """The life of one try at one chunk."""

    QUEUED = "queued"
    LEASED = "leased"
    DONE = "done"
    FAILED = "failed"
    LOST = "lost"
    GIVEN_BACK = "given_back"
    CANCELLED = "cancelled"


#: Attempts that have not ended, chunks that are handed out, and chunks that may still be done.
OPEN_ATTEMPTS = (AttemptStatus.QUEUED, AttemptStatus.LEASED)
CHUNKS_OUT = (ChunkStatus.QUEUED, ChunkStatus.LEASED)
OPEN_CHUNKS = (ChunkStatus.PENDING, *CHUNKS_OUT)


class Kind(StrEnum):
    """What an event in the record is about: a status of one of these that changed, or a note for people."""

    JOB = "job"
    CHUNK = "chunk"
    ATTEMPT = "attempt"
    WORKER = "worker"
    NOTE = "note"


class WorkerStatus(StrEnum):
    """The life of a worker. ``draining``: it takes no new order; ``blocked``: nor does it finish the current one."""

    ALIVE = "alive"
    DRAINING = "draining"
    BLOCKED = "blocked"
    GONE = "gone"


class JobEvent(StrEnum):
    """Events of a job."""

    STAGE_DONE = "stage_done"
    FAIL = "fail"
    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"
    REMAKE = "remake"
    REVISE = "revise"


class ChunkEvent(StrEnum):
    """Events of a chunk."""

    DISPATCH = "dispatch"
    START = "start"
    COMPLETE = "complete"
    RELEASE = "release"
    FAIL = "fail"
    CANCEL = "cancel"
    RETRY = "retry"


_J, _C, _JE, _CE = JobStatus, ChunkStatus, JobEvent, ChunkEvent

_JOB: dict[tuple[JobStatus, JobEvent], JobStatus] = {
    **{(s.status, _JE.STAGE_DONE): after.status if (after := next_stage(s)) else _J.DONE for s in STAGES},
    **{(s.status, e): to for s in STAGES for e, to in ((_JE.FAIL, _J.FAILED), (_JE.CANCEL, _J.CANCELLED),
                                                       (_JE.PAUSE, _J.PAUSED))},
    (_J.PAUSED, _JE.CANCEL): _J.CANCELLED,
    (_J.PAUSED, _JE.FAIL): _J.FAILED,
}  # fmt: skip

_INTERRUPTED = {(_JE.RESUME, _J.PAUSED), (_JE.RETRY, _J.FAILED), (_JE.RETRY, _J.CANCELLED)}
_ORDER = [s.status for s in STAGES]

# the statuses in which a chunk's event is possible, and the one that follows
_CHUNK: dict[ChunkEvent, tuple[tuple[ChunkStatus, ...], ChunkStatus]] = {
    _CE.DISPATCH: ((_C.PENDING,), _C.QUEUED),
    _CE.START: ((_C.QUEUED,), _C.LEASED),
    _CE.COMPLETE: (CHUNKS_OUT, _C.DONE),
    _CE.RELEASE: (CHUNKS_OUT, _C.PENDING),
    _CE.FAIL: (CHUNKS_OUT, _C.FAILED),
    _CE.CANCEL: (OPEN_CHUNKS, _C.CANCELLED),
    _CE.RETRY: ((_C.FAILED, _C.CANCELLED), _C.PENDING),
}


def job_after(now: JobStatus, event: JobEvent, interrupted: JobStatus | None = None) -> JobStatus:
    """The job's next status. ``interrupted``: the status that resume, retry, remake and revise go back to.

    Raises IllegalTransition, with a message for the user.
    """
    if interrupted and (event, now) in _INTERRUPTED:
        return interrupted
    # remade is what has been made; revised are masks, and what they are made of where that is gone
    last = now if event is _JE.REMAKE else _J.REVIEWING if (event, now) == (_JE.REVISE, _J.DONE) else None
    if last in _ORDER and interrupted in _ORDER[: _ORDER.index(last) + 1]:
        return interrupted
    after = _JOB.get((now, event))
    if after is None:
        raise IllegalTransition(f"cannot {event.value.replace('_', ' ')} a job that is {now.value}")
    return after


def chunk_after(now: ChunkStatus, event: ChunkEvent) -> ChunkStatus:
    """The chunk's next status. Raises IllegalTransition."""
    before, after = _CHUNK[event]
    if now not in before:
        raise IllegalTransition(f"cannot {event.value} a chunk that is {now.value}")
    return after


def chunk_before(event: ChunkEvent) -> tuple[ChunkStatus, ...]:
    """The statuses in which ``event`` is possible: the condition of a conditional UPDATE."""
    return _CHUNK[event][0]


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """The limits per chunk: attempts that fail by the task's own error, attempts lost to infrastructure, attempts lost
    because the farm around them was restarted or lost its messages, and deaths that are alike. ``job_errors``: of all
    chunks of a job together, failures and deaths.

    Nothing blames the chunk for the third kind, but a chunk may have brought down the whole farm: it has to end, too.
    """

    task_errors: int
    infrastructure_losses: int
    farm_losses: int
    deaths: int
    job_errors: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """What :class:`RetryLimits` limits, counted; the latest failure is included.

    ``deaths``: how many ended as the latest one did, see :func:`alike`; 0 if that was no death.
    """

    task_errors: int = 0
    losses: int = 0
    farm_losses: int = 0
    deaths: int = 0
    job_errors: int = 0


class DeathKind(StrEnum):
    """How the process of an attempt ended: killed by something else, or by its worker since it hung or took too much
    memory.
    """

    KILLED = "killed"
    HUNG = "hung"
    MEMORY = "memory"


#: The steps of a stage run ahead of the frames that are done by up to so many: a queue on each side, and a batch.
_AHEAD = 16


@dataclass(frozen=True, slots=True)
class Death:
    """A process ended when it had done ``frames`` of its chunk."""

    kind: DeathKind
    frames: int

    def is_like(self, other: "Death") -> bool:
        """Whether one chunk's two deaths have the same cause, as far as that can be known."""
        if DeathKind.MEMORY in (self.kind, other.kind):  # memory grows over many frames
            return self.kind is other.kind
        return abs(self.frames - other.frames) <= _AHEAD


def alike(deaths: Sequence[Death]) -> int:
    """How many of a chunk's deaths are like the last one, itself included: at the same frame, as far as that is known,
    or for their memory.
    """
    return sum(death.is_like(deaths[-1]) for death in deaths)


def after_failure(limits: RetryLimits, failures: Failures, *, permanent: bool) -> ChunkEvent:
    """RELEASE where a chunk is tried again, FAIL where it has failed for good."""
    exhausted = (
        failures.task_errors >= limits.task_errors
        or failures.losses >= limits.infrastructure_losses
        or failures.farm_losses >= limits.farm_losses
        or failures.deaths >= limits.deaths
        or failures.job_errors >= limits.job_errors
    )
    return ChunkEvent.FAIL if permanent or exhausted else ChunkEvent.RELEASE
