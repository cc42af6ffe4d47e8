"""What a worker's parent process does beside Celery: heartbeats, and reports for a child that was killed."""

import logging
import threading
from collections import deque
from typing import Any

from billiard.exceptions import WorkerLostError
from celery import signals

from farm.broker import BROKER_ERRORS
from farm.messages import Failed, Goodbye, Hello, Message
from farm.settings import Settings
from workers.reporting import Reporter

log = logging.getLogger(__name__)


class Presence:
    """Tells the coordinator that the worker is there, from Celery's start to its shutdown.

    A thread sends: what Celery calls must not wait for Redis.
    """

    def __init__(self, settings: Settings, hello: Hello) -> None:
        self._settings = settings
        self._hello = hello
        self._reports: deque[Message] = deque()
        self._stopping = threading.Event()
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
            try:
                reporter.send(self._hello, patient=False)
                while self._reports:
                    reporter.send(self._reports[0], patient=False)
                    self._reports.popleft()
            except BROKER_ERRORS as e:
                log.warning("no heartbeat: %s", e)
                reporter.close()
                reporter = Reporter(self._settings)
            self._wake.wait(self._settings.heartbeat_seconds)

    def _say_goodbye(self, **_: object) -> None:
        self._stopping.set()
        goodbye = Goodbye(worker=self._hello.worker, incarnation=self._hello.incarnation)
        try:
            Reporter(self._settings).send(goodbye, patient=False)
        except BROKER_ERRORS:
            log.warning("no goodbye: Redis is away")

    def _report_killed_child(self, task_id: str, exception: BaseException, **_: Any) -> None:  # noqa: ANN401 - Celery's
        """Have the failure of an attempt reported whose process was killed (out of memory, by hand)."""
        if isinstance(exception, WorkerLostError):
            reason = f"killed: {exception}"
            self._reports.append(
                Failed(token=task_id, worker=self._hello.worker, cause="infrastructure", reason=reason)
            )
            self._wake.set()
