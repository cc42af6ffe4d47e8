"""What a worker's parent process does beside Celery: heartbeats, an end to a child that hangs, and reports for one
that was killed.
"""

import logging
import threading
import time
from collections import deque
from typing import Any

from billiard.exceptions import WorkerLostError
from celery import signals
from celery.worker import state

from farm.broker import BROKER_ERRORS
from farm.messages import Goodbye, Hello, Message
from farm.settings import Settings
from workers.child import Child, kill
from workers.reporting import Reporter

log = logging.getLogger(__name__)

#: A child that works sees within a few seconds that its attempt is unwanted; one that does not by then hangs.
_HANGS_SECONDS = 10


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

    def connect(self) -> None:
        """Act on Celery's signals of this process."""
        signals.worker_ready.connect(self._begin_heartbeat, weak=False)
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
                reporter.send(self._hello.model_copy(update={"holds": tuple(held)}), patient=False)
                self._end_hanging(reporter)
                self._child.clear(state.requests)
            except BROKER_ERRORS as e:
                log.warning("no heartbeat: %s", e)
                reporter.close()
                reporter = Reporter(self._settings)
            self._wake.wait(self._settings.heartbeat_seconds)

    def _end_hanging(self, reporter: Reporter) -> None:
        """Kill the child whose attempt has been unwanted for a while: Celery starts another one.

        Raises one of BROKER_ERRORS.
        """
        held = dict(state.requests)
        unwanted = [token for token in held if reporter.is_unwanted(token, self._hello.worker)]
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
        if isinstance(exception, WorkerLostError):
            self._reports.append(self._child.death(task_id, f"its process was killed: {exception}"))
            self._wake.set()
