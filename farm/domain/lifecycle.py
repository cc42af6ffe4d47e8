"""The only place that says how statuses change. Everything that changes one asks here first."""

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from farm.errors import IllegalTransition


class JobStatus(StrEnum):
    """The life of a job."""

    PLANNING = "planning"
    DETECTING = "detecting"
    LINKING = "linking"
    REDACTING = "redacting"
    COMPOSING = "composing"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def over(self) -> bool:
        """Whether nothing more happens by itself."""
        return self in _OVER


class ChunkStatus(StrEnum):
    """The life of one chunk in one stage."""

    PENDING = "pending"
    QUEUED = "queued"
    LEASED = "leased"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class AttemptStatus(StrEnum):
    """How one try at one chunk stands or ended."""

    QUEUED = "queued"
    LEASED = "leased"
    DONE = "done"
    FAILED = "failed"
    LOST = "lost"
    GIVEN_BACK = "given_back"
    CANCELLED = "cancelled"


#: Attempts that may still end, chunks that are with a worker or on their way, and chunks that may still be done.
OPEN_ATTEMPTS = (AttemptStatus.QUEUED, AttemptStatus.LEASED)
CHUNKS_OUT = (ChunkStatus.QUEUED, ChunkStatus.LEASED)
OPEN_CHUNKS = (ChunkStatus.PENDING, *CHUNKS_OUT)


class JobEvent(StrEnum):
    """What can happen to a job."""

    STAGE_DONE = "stage_done"
    FAIL = "fail"
    CANCEL = "cancel"
    PAUSE = "pause"
    RESUME = "resume"
    RETRY = "retry"


class ChunkEvent(StrEnum):
    """What can happen to a chunk."""

    DISPATCH = "dispatch"
    START = "start"
    COMPLETE = "complete"
    RELEASE = "release"
    FAIL = "fail"
    CANCEL = "cancel"
    RETRY = "retry"


_J, _C, _JE, _CE = JobStatus, ChunkStatus, JobEvent, ChunkEvent
_OVER = frozenset({_J.DONE, _J.FAILED, _J.CANCELLED})
_STAGES = (_J.PLANNING, _J.DETECTING, _J.LINKING, _J.REDACTING, _J.COMPOSING, _J.DONE)

_JOB: dict[tuple[JobStatus, JobEvent], JobStatus] = {
    **{(a, _JE.STAGE_DONE): b for a, b in pairwise(_STAGES)},
    **{(s, e): to for s in _STAGES[:-1] for e, to in ((_JE.FAIL, _J.FAILED), (_JE.CANCEL, _J.CANCELLED),
                                                      (_JE.PAUSE, _J.PAUSED))},
    (_J.PAUSED, _JE.CANCEL): _J.CANCELLED,
    (_J.PAUSED, _JE.FAIL): _J.FAILED,
}  # fmt: skip

_CHUNK: dict[tuple[ChunkStatus, ChunkEvent], ChunkStatus] = {
    (_C.PENDING, _CE.DISPATCH): _C.QUEUED,
    (_C.QUEUED, _CE.START): _C.LEASED,
    (_C.QUEUED, _CE.COMPLETE): _C.DONE,
    (_C.LEASED, _CE.COMPLETE): _C.DONE,
    (_C.QUEUED, _CE.RELEASE): _C.PENDING,
    (_C.LEASED, _CE.RELEASE): _C.PENDING,
    (_C.QUEUED, _CE.FAIL): _C.FAILED,
    (_C.LEASED, _CE.FAIL): _C.FAILED,
    **{(s, _CE.CANCEL): _C.CANCELLED for s in (_C.PENDING, _C.QUEUED, _C.LEASED)},
    (_C.FAILED, _CE.RETRY): _C.PENDING,
    (_C.CANCELLED, _CE.RETRY): _C.PENDING,
}


def job_after(now: JobStatus, event: JobEvent, interrupted: JobStatus | None = None) -> JobStatus:
    """The job's next status. ``interrupted``: the status to go back to on resume and retry.

    Raises IllegalTransition, in words for the person who asked.
    """
    if event is JobEvent.RESUME and now is JobStatus.PAUSED and interrupted:
        return interrupted
    if event is JobEvent.RETRY and now in (JobStatus.FAILED, JobStatus.CANCELLED) and interrupted:
        return interrupted
    after = _JOB.get((now, event))
    if after is None:
        raise IllegalTransition(f"cannot {event.value.replace('_', ' ')} a job that is {now.value}")
    return after


def chunk_after(now: ChunkStatus, event: ChunkEvent) -> ChunkStatus:
    """The chunk's next status. Raises IllegalTransition."""
    after = _CHUNK.get((now, event))
    if after is None:
        raise IllegalTransition(f"cannot {event.value} a chunk that is {now.value}")
    return after


def chunk_before(event: ChunkEvent) -> tuple[ChunkStatus, ...]:
    """The statuses that ``event`` is possible in: the condition of a conditional UPDATE."""
    return tuple(s for s, e in _CHUNK if e is event)


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """How many attempts of a chunk may fail by the task's own error, and be lost by infrastructure."""

    task_errors: int
    infrastructure_losses: int


def after_failure(limits: RetryLimits, task_errors: int, losses: int, *, permanent: bool) -> ChunkEvent:
    """Whether a chunk goes back to be tried again or has failed for good; counts include the failure just seen."""
    exhausted = task_errors >= limits.task_errors or losses >= limits.infrastructure_losses
    return ChunkEvent.FAIL if permanent or exhausted else ChunkEvent.RELEASE
