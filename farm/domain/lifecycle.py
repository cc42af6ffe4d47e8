"""The transitions of statuses. Whatever changes a status asks here first."""

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

_BACK = {(_JE.RESUME, _J.PAUSED), (_JE.RETRY, _J.FAILED), (_JE.RETRY, _J.CANCELLED)}

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
    """The job's next status. ``interrupted``: the status that resume and retry go back to.

    Raises IllegalTransition, with a message for the user.
    """
    if interrupted and (event, now) in _BACK:
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
    """The limits per chunk: attempts that fail by the task's own error, attempts lost to infrastructure, and attempts
    lost because the farm around them was restarted or lost its messages.

    Nothing blames the chunk for the last kind, but a chunk may have brought down the whole farm: it has to end, too.
    """

    task_errors: int
    infrastructure_losses: int
    farm_losses: int


def after_failure(
    limits: RetryLimits, task_errors: int, losses: int, farm_losses: int = 0, *, permanent: bool
) -> ChunkEvent:
    """RELEASE where a chunk is tried again, FAIL where it has failed for good. Counts include the latest failure."""
    exhausted = (
        task_errors >= limits.task_errors or losses >= limits.infrastructure_losses or farm_losses >= limits.farm_losses
    )
    return ChunkEvent.FAIL if permanent or exhausted else ChunkEvent.RELEASE
