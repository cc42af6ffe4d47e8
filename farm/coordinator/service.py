"""The coordinator's loop: receive outcomes, advance jobs, dispatch chunks, sweep. Only the leading coordinator runs it.

One thread decides, another does the slow steps.
"""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

from pydantic import ValidationError

from farm.broker import BROKER_ERRORS, Broker
from farm.coordinator.advance import advance, ready
from farm.coordinator.dispatch import dispatch, publish, rebalance, stop_cancelled, take_back_held, under_way
from farm.coordinator.leading import Leadership, LeadLost
from farm.coordinator.outcomes import accept
from farm.coordinator.repair import repair
from farm.coordinator.retention import Retention
from farm.coordinator.sweep import Sweeper
from farm.database.events import record_event
from farm.errors import FarmError
from farm.jobs.context import Context
from farm.messages import load_outcome

log = logging.getLogger(__name__)

# outcomes wake the loop; these limit how long a change that another process made in the database goes unseen
_IDLE_SECONDS, _BUSY_SECONDS = 0.15, 0.5
_QUICK_SECONDS = 0.5  # the loop waits this long for a slow step, so that what follows a quick one begins at once
_SWEEP_SECONDS = 1.0
_FOLLOW_SECONDS = 0.5
_TOLD = 20


class Coordinator:
    """Runs until its event is set. While Redis or the database is unavailable, it waits.

    ``sole``: no other coordinator can lead this farm. ``tell`` shows a line to the person who runs this one.
    """

    def __init__(self, context: Context, *, sole: bool = False, tell: Callable[[str], None] | None = None) -> None:
        self._context = context
        self._tell = tell
        self._broker = Broker(context.settings)
        self._sweeper = Sweeper(context, self._broker)
        self._leading = Leadership(context.database, sole=sole, clock=context.clock)
        self._followed = ""
        self._repaired = False
        self._slow = ThreadPoolExecutor(1, thread_name_prefix="advance")
        self._advancing: dict[str, Future[None]] = {}
        self._damaged: dict[str, str] = {}  # by job: an artefact to be made again
        self._retention = Retention(context)
        self._swept = 0.0
        self._heard = False
        self._told: set[str] = set()
        self._wait = _IDLE_SECONDS
        self._led = False
        self.ended = threading.Event()

    @property
    def leads(self) -> bool:
        """Whether this coordinator led when it last looked."""
        return self._leading.held

    @property
    def led(self) -> bool:
        """Whether this coordinator leads, or did when it ended."""
        return self._led or self.leads

    def run(self, stop: threading.Event) -> None:
        """The loop. Sets ``self.ended`` after its last write; closing the connections may take longer."""
        try:
            while not stop.is_set():
                self._turn(stop)
        finally:
            self._retention.stop()
            self._slow.shutdown(wait=True, cancel_futures=True)
            self._led = self.leads
            self._leading.release()
            self.ended.set()
            self._broker.close()

    def _turn(self, stop: threading.Event) -> None:
        try:
            if self.leads or self._take_lead():
                self.step()
            else:
                stop.wait(_FOLLOW_SECONDS)
        except LeadLost:
            log.warning("lost the lead to another coordinator")
            self._forget()
        except BROKER_ERRORS as e:
            if not stop.is_set():
                log.warning("Redis: %s; trying again", e)
            self._broker.reset()
            stop.wait(1)
        except FarmError as e:
            log.error("%s; trying again", e)
            stop.wait(1)
        except Exception:
            log.exception("a defect; trying again")  # one failed turn must not stop all jobs
            self._broker.reset()
            stop.wait(1)

    def _take_lead(self) -> bool:
        if self._leading.take():
            log.info("this coordinator leads")
            self._followed, self._repaired = "", False
        elif self._followed != self._leading.leader:
            self._followed = self._leading.leader
            text = f"another coordinator ({self._followed}) leads; waiting"
            log.info("%s", text)
            if self._tell is not None:
                self._tell(text)
        return self.leads

    def _forget(self) -> None:
        """Drop state that would be stale if this coordinator leads again, and stop receiving outcomes."""
        self._broker.reset()
        self._sweeper = Sweeper(self._context, self._broker)
        for future in self._advancing.values():
            future.cancel()
        self._wait = _IDLE_SECONDS

    def step(self) -> None:
        """One turn of the leader. Outcomes come first: a worker whose messages wait here is not silent.

        Raises LeadLost.
        """
        if not self._repaired:
            repair(self._context)
            self._repaired = True
        # a new Redis is noticed before the first order is published: else that would count as lost with an old one
        for part in (self._receive, self._advance, self._sweep, self._dispatch, self._publish):
            self._leading.keep()
            part()

    def _receive(self) -> None:
        self._heard = self._broker.receive(self._handle, self._wait) > 0

    def _handle(self, body: object) -> None:
        self._leading.keep()  # raises: then the message goes back for the leader
        try:
            outcome = load_outcome(body)
        except ValidationError as e:
            self._dropped(e)
            return
        log.debug("%s", outcome)
        reply = accept(self._context, outcome)
        for token, worker in reply.stop:
            self._broker.stop(token, worker)
        if reply.gone is not None:
            self._broker.delete_queue(reply.gone)
        if reply.damaged is not None:
            self._damaged |= [reply.damaged]

    def _dropped(self, error: ValidationError) -> None:
        """Tell, once, about an outcome that is signed and yet none: its worker is of another version of the farm."""
        first = error.errors()[0]
        text = (
            f"outcomes of another version of the farm are dropped: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        )
        if text not in self._told and len(self._told) < _TOLD:
            self._told.add(text)
            log.error("%s", text)
            with self._context.database.write() as session:
                record_event(session, self._context.clock(), text)

    def _dispatch(self) -> None:
        dispatch(self._context)
        if self._heard and rebalance(self._context, self._broker):  # a worker may just have become idle
            dispatch(self._context)
        self._wait = _BUSY_SECONDS if not self._advancing and under_way(self._context) else _IDLE_SECONDS

    def _publish(self) -> None:
        publish(self._context, self._broker)

    def _sweep(self) -> None:
        if time.monotonic() - self._swept >= _SWEEP_SECONDS:
            self._sweeper.sweep()
            take_back_held(self._context, self._broker)
            stop_cancelled(self._context, self._broker)
            rebalance(self._context, self._broker)
            self._retention.tend()
            self._swept = time.monotonic()

    def _advance(self) -> None:
        for job, future in list(self._advancing.items()):
            if future.done():
                del self._advancing[job]
                if not future.cancelled() and (error := future.exception()):
                    log.error("job %s: %s", job, error, exc_info=error, extra={"job": job})
        for job in {*ready(self._context), *self._damaged}:
            if job not in self._advancing:
                self._advancing[job] = self._slow.submit(advance, self._context, job, self._damaged.pop(job, None))
                wait([self._advancing[job]], timeout=_QUICK_SECONDS)
