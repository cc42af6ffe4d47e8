"""The coordinator's loop: take outcomes, move jobs on, hand work out, sweep.

One thread decides, one does slow steps.
"""

import logging
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor, wait

from pydantic import ValidationError

from farm.broker import BROKER_ERRORS, Broker
from farm.coordinator.advance import advance, ready
from farm.coordinator.dispatch import dispatch, publish, under_way
from farm.coordinator.outcomes import accept
from farm.coordinator.sweep import sweep
from farm.errors import FarmError
from farm.jobs.context import Context
from farm.messages import load_outcome

log = logging.getLogger(__name__)

# outcomes are answered at once; this is how long a job that another process wrote down may wait
_IDLE_SECONDS, _BUSY_SECONDS = 0.15, 0.5
_QUICK_SECONDS = 0.5  # a step that is done within this time is waited for: what follows begins at once
_SWEEP_SECONDS = 1.0


class Coordinator:
    """Runs until its event is set; a Redis or a database that is away for a while only makes it wait."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._broker = Broker(context.settings)
        self._slow = ThreadPoolExecutor(1, thread_name_prefix="advance")
        self._advancing: dict[str, Future[None]] = {}
        self._swept = 0.0
        self._wait = _IDLE_SECONDS
        self.ended = threading.Event()

    def run(self, stop: threading.Event) -> None:
        """The loop. ``self.ended`` is set when nothing is written any more; letting go of Redis may take longer."""
        while not stop.is_set():
            try:
                self.step()
            except BROKER_ERRORS as e:
                log.warning("Redis: %s; trying again", e)
                self._broker.reset()
                stop.wait(1)
            except FarmError as e:
                log.error("%s; trying again", e)
                stop.wait(1)
            except Exception:
                log.exception("a defect; trying again")  # one bad turn must not stop all jobs
                stop.wait(1)
        self._slow.shutdown(wait=True, cancel_futures=True)
        self.ended.set()
        self._broker.close()

    def step(self) -> None:
        """One turn. Outcomes come first: the sweep must not call silent a worker whose words still wait here."""
        self._broker.receive(self._handle, self._wait)
        self._advance()
        dispatch(self._context)
        self._wait = _BUSY_SECONDS if not self._advancing and under_way(self._context) else _IDLE_SECONDS
        publish(self._context, self._broker)
        if time.monotonic() - self._swept >= _SWEEP_SECONDS:
            sweep(self._context, self._broker)
            self._swept = time.monotonic()

    def _handle(self, body: object) -> None:
        try:
            outcome = load_outcome(body)
        except ValidationError as e:
            log.error("dropped a malformed outcome: %s", e)
            return
        log.debug("%s", outcome)
        reply = accept(self._context, outcome)
        for token, worker in reply.stop:
            self._broker.stop(token, worker)
        if reply.gone is not None:
            self._broker.delete_queue(reply.gone)

    def _advance(self) -> None:
        for job, future in list(self._advancing.items()):
            if future.done():
                del self._advancing[job]
                if error := future.exception():
                    log.error("job %s: %s", job, error, exc_info=error)
        for job in ready(self._context):
            if job not in self._advancing:
                self._advancing[job] = self._slow.submit(advance, self._context, job)
                wait([self._advancing[job]], timeout=_QUICK_SECONDS)
