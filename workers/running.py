"""Runs one order and reports its outcome, however the work ends."""

import logging
from collections.abc import Callable
from concurrent.futures import Future
from importlib import import_module
from typing import TYPE_CHECKING, cast

from farm import liveness
from farm.broker import BROKER_ERRORS
from farm.domain.stages import work_named
from farm.errors import AttemptStopped, DamagedArtefact, DeviceLost, FarmError, StorageError
from farm.logs import about
from farm.messages import Completed, Failed, GivenBack, Message, Order, Started
from farm.settings import Settings
from farm.storage.base import Storage
from workers.reporting import ProgressReporter, Reporter

if TYPE_CHECKING:  # these import what is heavy
    from workers.stages.orders import Report, Result, Tools

    Run = Callable[[Order, Storage, Tools, Report], Result]

log = logging.getLogger(__name__)


def stage_function(stage: str) -> "Run":
    """The function that runs orders of ``stage``: ``run`` in the stage's module."""
    return cast("Run", import_module(work_named(stage).module).run)


class OrderRunner:
    """Runs orders, in the child process. ``tools``: a future, done when they are loaded."""

    def __init__(
        self, settings: Settings, worker: str, reporter: Reporter, store: Storage, tools: "Future[Tools]"
    ) -> None:
        self._interval = settings.progress_seconds
        self.worker = worker
        self._reporter = reporter
        self._store = store
        self._tools = tools
        #: Why this process cannot work on any more; a new one may.
        self.unusable: str | None = None

    def run(self, body: object) -> None:
        """Run the order whose JSON value is ``body`` and report its outcome. Raises pydantic.ValidationError.

        When Redis is away the outcome is lost, and the coordinator's sweep reclaims the attempt.
        """
        order = Order.model_validate(body)
        liveness.begin(order.token)
        try:
            with about(job=order.job, stage=order.stage, chunk=order.chunk + 1, attempt=order.token):
                self._report(order)
        finally:
            liveness.end()

    def _report(self, order: Order) -> None:
        try:
            self._reporter.send(Started(token=order.token, worker=self.worker))
            self._reporter.send(self._outcome(order))
        except BROKER_ERRORS as e:
            log.error("Redis cannot be reached; attempt %s was not reported: %s", order.token, e)

    def _outcome(self, order: Order) -> Message:
        """Do the work and return its outcome. Catches every Exception."""
        place = f"{order.chunk + 1}/{order.chunks}"
        log.info("job %s, %s, chunk %s, attempt %d", order.job, order.stage, place, order.attempt)
        try:
            return self._completed(order)
        except AttemptStopped as e:
            log.info("%s", e)
            return GivenBack(token=order.token, worker=self.worker, reason=str(e))
        except DamagedArtefact as e:
            log.error("%s", e)
            return Failed(
                token=order.token, worker=self.worker, cause="infrastructure", reason=e.message, damaged=e.key
            )
        except FarmError as e:
            log.error("%s", e)
            self.unusable = str(e) if isinstance(e, DeviceLost) else None
            cause = "infrastructure" if isinstance(e, StorageError) else "task"
            return Failed(token=order.token, worker=self.worker, cause=cause, reason=str(e), permanent=e.permanent)
        except OSError as e:
            log.exception("an error of the operating system")
            reason = f"{type(e).__name__}: {e}"
            return Failed(token=order.token, worker=self.worker, cause="infrastructure", reason=reason)
        except Exception as e:
            log.exception("a defect")  # the traceback is for the log, the person gets one line
            reason = f"defect in {order.stage}: {type(e).__name__}: {e}"
            return Failed(token=order.token, worker=self.worker, reason=reason)

    def _completed(self, order: Order) -> Completed:
        report = ProgressReporter(self._reporter, order, self.worker, self._interval)
        result = stage_function(order.stage)(order, self._store, self._tools.result(), report)
        return Completed(
            token=order.token,
            worker=self.worker,
            artefact=result.artefact,
            reused=result.reused,
            spent=result.spent,
            notes=result.notes,
            damaged=result.damaged,
        )
