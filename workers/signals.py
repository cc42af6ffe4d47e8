"""What a worker's parent process does beside Celery: heartbeats, and a word for a child that was killed."""

import logging
import os
import socket
import threading
from typing import Any

from billiard.exceptions import WorkerLostError
from celery import signals

from farm.broker import BROKER_ERRORS
from farm.messages import Failed, Goodbye, Hello
from farm.settings import load_settings
from workers import identity
from workers.reporting import Reporter

log = logging.getLogger(__name__)
_stopping = threading.Event()


@signals.worker_ready.connect
def _begin_heartbeat(**_: object) -> None:
    threading.Thread(target=_heartbeat, name="heartbeat", daemon=True).start()


def _heartbeat() -> None:
    settings = load_settings()
    reporter = Reporter(settings)
    hello = Hello(
        worker=identity.name(),
        incarnation=identity.incarnation(),
        host=socket.gethostname(),
        device=identity.device(),
        pid=os.getpid(),
    )
    while not _stopping.is_set():
        try:
            reporter.send(hello, patient=False)
        except BROKER_ERRORS as e:
            log.warning("no heartbeat: %s", e)
            reporter.close()
            reporter = Reporter(settings)
        _stopping.wait(settings.heartbeat_seconds)


@signals.worker_shutdown.connect
def _say_goodbye(**_: object) -> None:
    _stopping.set()
    reporter = Reporter(load_settings())
    try:
        reporter.send(Goodbye(worker=identity.name(), incarnation=identity.incarnation()), patient=False)
    except BROKER_ERRORS:
        log.warning("could not say goodbye: Redis is away")


@signals.task_failure.connect
def _report_killed_child(task_id: str, exception: BaseException, **_: Any) -> None:  # noqa: ANN401 - Celery's
    """The process that does the work was killed (out of memory, by hand): the parent speaks for it."""
    if isinstance(exception, WorkerLostError):
        reporter = Reporter(load_settings())
        reporter.send(
            Failed(token=task_id, worker=identity.name(), cause="infrastructure", reason=f"killed: {exception}")
        )
        reporter.close()


@signals.worker_process_init.connect
def _preload(**_: object) -> None:
    from workers.running import preload  # noqa: PLC0415 - the parent never needs it

    preload()
