"""Simulated workers, and queues in memory in place of Redis, for tests that take thousands of steps."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from farm.broker import Broker
from farm.domain.artefacts import artefact_name
from farm.domain.detection import (
    ChunkDetections,
    Detection,
    FrameDetections,
    dump_chunk,
    dump_frame,
)
from farm.domain.geometry import Box
from farm.messages import (
    Artefact,
    Completed,
    Failed,
    GivenBack,
    Goodbye,
    Held,
    Hello,
    Order,
    Outcome,
    Progress,
    Started,
    queue_of,
)
from farm.storage.base import Storage
from farm.storage.inputs import with_inputs
from tests.integration.coordinator.conftest import CHUNK_FRAMES, painted

RUNTIME = "openvino-f32"


class QueuesInMemory(Broker):
    """What the coordinator uses of Redis, as lists in memory. Any call may be the last that works for a while.

    ``orders``: by queue; ``outcomes``: sent and not received; ``stops``: (token, worker) of each stop key.
    ``fails``: the next call raises, ``before`` or ``after`` it had its effect.
    ``known``: it was not emptied since it was last asked.
    """

    def __init__(self) -> None:
        self.fails = ""
        self.empty()

    def empty(self) -> None:
        """FLUSHALL, or a restart without persistence."""
        self.orders: defaultdict[str, list[Order]] = defaultdict(list)
        self.outcomes: list[Outcome] = []
        self.stops: set[tuple[str, str]] = set()
        self.known = False

    def _call(self, when: str) -> None:
        if self.fails == when:
            self.fails = ""
            raise ConnectionError("Redis is away")

    def publish(self, order: Order, queue: str) -> None:
        self._call("before")
        self.orders[queue].append(order)
        self._call("after")

    def emptied(self) -> bool:
        self._call("before")
        known, self.known = self.known, True
        self._call("after")
        return not known

    def waiting(self, workers: Iterable[str]) -> set[str]:
        self._call("before")
        return {order.token for worker in workers for order in self.orders[queue_of(worker)]}

    def take_back(self, worker: str, token: str) -> bool:
        self._call("before")
        queue = self.orders[queue_of(worker)]
        found = next((order for order in queue if order.token == token), None)
        if found is not None:
            queue.remove(found)
        self._call("after")
        return found is not None

    def delete_queue(self, worker: str) -> None:
        self._call("before")
        self.orders.pop(queue_of(worker), None)
        self._call("after")

    def stop(self, token: str, worker: str) -> None:
        self._call("before")
        self.stops.add((token, worker))
        self._call("after")

    def close(self) -> None:
        """There is no connection."""


@dataclass
class SimulatedWorker:
    """A worker that speaks the protocol and does no work. ``held``: the order that it has taken and not finished."""

    name: str
    up: bool = False
    supervisor: int = 0
    started: int = 0
    held: Order | None = None
    frames: int = 0
    said: list[Outcome] = field(default_factory=list)

    def begin(self, now: float, *, host_restarted: bool) -> Hello:
        """A new process, of the same supervisor or of a new one; what the former one held is lost."""
        self.supervisor += host_restarted
        self.started += 1
        self.up, self.held = True, None
        self._start = now
        return self.hello()

    @property
    def incarnation(self) -> str:
        """As real workers name it: supervisor and start, which compare as text."""
        return f"s{self.supervisor}/{self._start:017.6f}-{self.started:04}"

    def hello(self) -> Hello:
        """A heartbeat."""
        holds = (Held(token=self.held.token, frames=self.frames),) if self.held else ()
        return Hello(
            worker=self.name, incarnation=self.incarnation, host="h", device="cpu0", pid=1, holds=holds,
            encoders=("libx264",), runtimes=(RUNTIME,),
        )  # fmt: skip

    def goodbye(self) -> Goodbye:
        """It stops."""
        self.up, self.held = False, None
        return Goodbye(worker=self.name, incarnation=self.incarnation)

    def take(self, order: Order) -> Started:
        """It takes an order from its queue."""
        self.held, self.frames = order, 0
        return Started(token=order.token, worker=self.name)

    def progress(self) -> Progress:
        """One frame more of the order that it holds."""
        assert self.held is not None
        self.frames += 1
        return Progress(token=self.held.token, worker=self.name, frames=self.frames)

    def complete(self, store: Storage) -> Completed:
        """It has done the order that it holds."""
        return Completed(token=self._end().token, worker=self.name, artefact=result_of(store, self._last))

    def fail(self, cause: str, *, permanent: bool = False) -> Failed:
        """It has failed with the order that it holds."""
        values = {"token": self._end().token, "worker": self.name, "cause": cause, "permanent": permanent}
        return Failed.model_validate({**values, "reason": f"simulated {cause}"})

    def give_back(self) -> GivenBack:
        """It returns the order that it holds."""
        return GivenBack(token=self._end().token, worker=self.name, reason="stopped by the coordinator")

    def _end(self) -> Order:
        assert self.held is not None
        self._last, self.held = self.held, None
        return self._last


def result_of(store: Storage, order: Order) -> Artefact:
    """What a worker writes for an order: detections that can be linked, and otherwise what identifies the inputs."""
    order = with_inputs(order, store)
    frames = sum(artefact.frames for artefact in order.inputs) or CHUNK_FRAMES
    digests = [artefact.sha256 for artefact in order.inputs]
    start = order.chunk * CHUNK_FRAMES
    name = artefact_name(order.stage, order.fingerprint, f"0_{start}_{start + CHUNK_FRAMES}", digests, ".mp4")
    with store.put(name) as draft:
        if order.stage == "detect":
            draft.path.write_text(_detections(order.chunk, frames))
        else:
            draft.path.write_text(f"{order.stage} {hashlib.sha256(''.join(digests).encode()).hexdigest()}")
    return draft.artefact(frames).model_copy(update=painted(order))


def _detections(chunk: int, frames: int) -> str:
    """One face that stands still."""
    found = (Detection(Box(10, 10, 20, 20), 0.9),)
    lines = [dump_frame(FrameDetections(chunk * CHUNK_FRAMES + n, False, found)) for n in range(frames)]
    return "\n".join([*lines, dump_chunk(ChunkDetections(frames))]) + "\n"
