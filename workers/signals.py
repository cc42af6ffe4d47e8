"""What a worker's parent process does beside Celery: heartbeats, an end to a child that hangs, reports for one that was
killed, and giving the chunk back if the worker has to stop before it is done.
"""

import logging
import threading
import time
from collections import deque
from math import inf
from typing import Any

from billiard.exceptions import WorkerLostError
from celery import signals
from celery.worker import state

from farm.broker import BROKER_ERRORS
from farm.messages import GivenBack, Goodbye, Hello, Message
from farm.settings import Settings
from workers.child import Child, kill
from workers.reporting import Reporter

log = logging.getLogger(__name__)

#: A child that works sees within a few seconds that its attempt is unwanted; one that does not by then hangs.
_HANGS_SECONDS = 10
_GIVES_BACK_SECONDS = 3  # a child that is told to give its chunk back and does not by then is killed
_LOOK_SECONDS = 0.2


class Presence:
    """Tells the coordinator that the worker is there, from Celery's start to its shutdown.

    A thread sends: what Celery calls must not wait for Redis.
    """

    def __init__(self, settings: Settings, hello: Hello, child: Child) -> None:
        self._settings = settings
        self._hello = hello
        self._child = child
        self._reports: deque[Message] = deque()
        self._stopping = threading.Event()
        self._unwanted: dict[str, float] = {}  # tokens of attempts that should stop, since when
        self._wake = threading.Event()
        self._asked = 0  # how often the worker was told to stop
        self._give_back_at = inf
        self._given_back: dict[str, float] = {}  # tokens of attempts that are to be given back, since when

    def connect(self) -> None:
        """Act on Celery's signals of this process."""
        signals.worker_ready.connect(self._begin_heartbeat, weak=False)
        signals.worker_shutting_down.connect(self._drain, weak=False)
        signals.worker_shutdown.connect(self._say_goodbye, weak=False)
        signals.task_failure.connect(self._report_killed_child, weak=False)

    def _begin_heartbeat(self, **_: object) -> None:
        threading.Thread(target=self._heartbeat, name="heartbeat", daemon=True).start()

    def _heartbeat(self) -> None:
        reporter = Reporter(self._settings)
        while not self._stopping.is_set():
            self._wake.clear()
            held, failed = self._child.look(tuple(state.requests))
            self._reports += failed
            try:
                while self._reports:  # first: what they are about is not held any more
                    reporter.send(self._reports[0], patient=False)
                    self._reports.popleft()
                news = {"holds": tuple(held), "draining": self._asked > 0}
                reporter.send(self._hello.model_copy(update=news), patient=False)
                self._end_hanging(reporter)
                self._give_back(reporter)
                self._child.clear(state.requests)
            except BROKER_ERRORS as e:
                log.warning("no heartbeat: %s", e)
                reporter.close()
                reporter = Reporter(self._settings)
            self._rest()

    def _rest(self) -> None:
        """Wait until the next heartbeat is due, or something is to be done before that."""
        until, asked = time.monotonic() + self._settings.heartbeat_seconds, self._asked
        while time.monotonic() < until and self._asked == asked and not self._wake.wait(_LOOK_SECONDS):
            if time.monotonic() >= self._give_back_at and state.requests:
                return

    def _drain(self, **_: object) -> None:
        """Celery was told to stop. The first time, the chunk is finished, if that takes no longer than it may; the
        second time, it is given back at once. Called in a signal handler: takes no lock.
        """
        self._asked += 1
        may_take = (self._settings.drain_seconds or inf) if self._asked == 1 else 0.0
        self._give_back_at = min(self._give_back_at, time.monotonic() + may_take)

    def _give_back(self, reporter: Reporter) -> None:
        """Have the child give back what it works on once that is due; kill one that does not, and give it back for it.

        Raises one of BROKER_ERRORS.
        """
        now = time.monotonic()
        if now < self._give_back_at:
            return
        for token, request in dict(state.requests).items():
            if token not in self._given_back:
                log.info("attempt %s is given back: this worker stops", token)
                self._given_back[token] = now
                reporter.drain(token, self._hello.worker)
            elif request.worker_pid and now - self._given_back[token] > _GIVES_BACK_SECONDS:
                reason = "its worker stops, and its process did not end the attempt"
                reporter.send(GivenBack(token=token, worker=self._hello.worker, reason=reason), patient=False)
                log.warning("attempt %s does not stop", token)
                kill(request.worker_pid)

    def _end_hanging(self, reporter: Reporter) -> None:
        """Kill the child whose attempt has been unwanted for a while: Celery starts another one.

        Raises one of BROKER_ERRORS.
        """
        held = dict(state.requests)
        unwanted = [token for token in held if reporter.why_stop(token, self._hello.worker)]
        now = time.monotonic()
        self._unwanted = {token: self._unwanted.get(token, now) for token in unwanted}
        for token, since in self._unwanted.items():
            child = held[token].worker_pid
            if child and now - since > _HANGS_SECONDS:
                log.warning("attempt %s does not stop", token)
                kill(child)

    def _say_goodbye(self, **_: object) -> None:
        self._stopping.set()
        goodbye = Goodbye(worker=self._hello.worker, incarnation=self._hello.incarnation)
        try:
            Reporter(self._settings).send(goodbye, patient=False)
        except BROKER_ERRORS:
            log.warning("no goodbye: Redis cannot be reached")

    def _report_killed_child(self, task_id: str, exception: BaseException, **_: Any) -> None:  # noqa: ANN401 - Celery's
        """Have the failure of an attempt reported whose process was killed (out of memory, by hand)."""
        if isinstance(exception, WorkerLostError) and task_id not in self._given_back:
            self._reports.append(self._child.death(task_id, f"its process was killed: {exception}"))
            self._wake.set()
