"""Errand carry: follows a box that a person drew through the frames around it. See :mod:`workers.vision.carrying`."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import count
from pathlib import Path

from farm.domain.carrying import Carried, load_carry, thinned
from farm.domain.edits import KeyFrame
from farm.messages import Order
from farm.storage.base import Storage
from workers.stages.orders import Plan, Report, Result, Tools, make_once, read_plan
from workers.stages.spent import Spent
from workers.vision.carrying import Carrier
from workers.vision.motion import Luma, MotionMeter

#: Bytes of small pictures that are held to go through them backward.
_HELD = 256_000_000

#: A frame's pts and small picture; None for a black one.
_Frame = tuple[int, Luma | None]


def run(order: Order, store: Storage, tools: Tools, report: Report) -> Result:
    """Carry a box forward and backward. Memory does not grow with the time that it is carried for.

    Raises SourceError, StorageError, VerificationError, and whatever ``report`` raises.
    """
    spent = Spent()
    plan = read_plan(order, store)
    return make_once(plan, 0, spent, lambda path: _carry(path, _Frames(plan, tools.threads, spent), report))


def _carry(path: Path, source: "_Frames", report: Report) -> int:
    asked = load_carry(source.plan.order.request)
    numbers = count(1)
    drawn = KeyFrame(source.shown_at(asked.drawn.pts), asked.drawn.box)
    begins = source.shown_at(asked.begins)

    def carried(frames: Callable[[MotionMeter], Iterator[_Frame]]) -> tuple[list[KeyFrame], bool]:
        carrier = Carrier(source.plan.manifest.source.video, drawn.box)
        keys: list[KeyFrame] = []
        for pts, picture in frames(carrier.meter):
            report(next(numbers))
            if pts == drawn.pts:
                carrier.begin(pts, picture)
            elif (box := carrier.carry(pts, picture)) is not None:
                keys.append(KeyFrame(pts, box.rounded()))
            if carrier.lost:
                break
        return keys, carrier.lost

    after, lost_after = carried(lambda meter: source.forward(meter, drawn.pts, asked.ends))
    before, lost_before = carried(lambda meter: source.backward(meter, drawn.pts, begins))
    keys = [*reversed(before), drawn, *after]
    source.plan.check_source()
    found = Carried(
        tuple(thinned(keys)), keys[0].pts if lost_before else None, keys[-1].pts if lost_after else None
    )  # fmt: skip
    path.write_text(found.dump())
    return 0


class _Frames:
    """The frames of a source around one of them."""

    def __init__(self, plan: Plan, threads: int, spent: Spent) -> None:
        self.plan, self._threads, self._spent = plan, threads, spent

    def forward(self, meter: MotionMeter, first: int, end: int) -> Iterator[_Frame]:
        """Those from the pts ``first`` on, before ``end``."""
        for number in range(self._chunk_of(first), len(self.plan.manifest.chunks)):
            for pts, picture in self._pictures(number, meter, first):
                if pts >= end:
                    return
                yield pts, picture

    def backward(self, meter: MotionMeter, last: int, begin: int) -> Iterator[_Frame]:
        """Those from the pts ``last`` back to ``begin``. Long chunks are decoded more than once."""
        for number in range(self._chunk_of(last), -1, -1):
            pts = self.plan.pts(self.plan.manifest.chunks[number])
            wanted = [one for one in pts if begin <= one <= last]
            while wanted:
                held: list[_Frame] = []
                room = self._room(meter, len(wanted))
                for frame in self._pictures(number, meter, wanted[-room]):
                    held.append(frame)
                    if frame[0] >= wanted[-1]:
                        break
                yield from reversed(held)
                wanted = wanted[:-room]
            if pts[0] < begin:
                return

    def shown_at(self, pts: int) -> int:
        """The pts of the frame that is shown at a time; of the first one before it."""
        chunk = self.plan.manifest.chunks[self._chunk_of(pts)]
        times = self.plan.pts(chunk)
        return times[max(0, bisect_right(times, pts) - 1)]

    def _room(self, meter: MotionMeter, wanted: int) -> int:
        """How many frames are held at once."""
        width, height = meter.size
        return min(wanted, max(2, _HELD // (width * height)))

    def _chunk_of(self, pts: int) -> int:
        chunks = self.plan.manifest.chunks
        return min(bisect_left(chunks, pts, key=lambda chunk: chunk.pts_end - 1), len(chunks) - 1)

    def _pictures(self, number: int, meter: MotionMeter, first: int) -> Iterator[_Frame]:
        """The frames of a chunk from the pts ``first`` on."""
        chunk = self.plan.manifest.chunks[number]
        with closing(self.plan.decoded(self.plan.pts(chunk), self._threads, self._spent, chunk=chunk)) as frames:
            for decoded in frames:
                pts = decoded.frame.pts
                assert pts is not None
                if pts >= first:
                    yield pts, None if decoded.black else meter.picture(decoded.frame)
