"""One order from start to outcome: every way it can end is reported."""

import logging
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from farm.broker import BROKER_ERRORS
from farm.errors import AttemptStopped, FarmError, StorageError
from farm.messages import Completed, Failed, GivenBack, Order, Started
from farm.settings import Settings, load_settings
from farm.storage.opening import open_storage
from workers import identity
from workers.reporting import ProgressReporter, Reporter

log = logging.getLogger(__name__)


@lru_cache(maxsize=1)
def _settings() -> Settings:
    return load_settings()


@lru_cache(maxsize=1)
def _reporter() -> Reporter:
    return Reporter(_settings())


@lru_cache(maxsize=1)
def _tools() -> Any:  # noqa: ANN401 - its class is imported late, with everything heavy
    from workers.stages.toolbox import Toolbox  # noqa: PLC0415 - cv2, av and onnxruntime: only where work is done

    return Toolbox(_settings(), identity.device())


def preload() -> None:
    """Import what is heavy while the worker waits for its first order."""
    threading.Thread(target=_tools, name="preload", daemon=True).start()


def run_order(body: dict[str, Any]) -> None:
    """Do one order and report its outcome."""
    order, worker, reporter = Order.model_validate(body), identity.name(), _reporter()
    if worker in order.avoid:
        reporter.send(GivenBack(token=order.token, worker=worker, reason="failed here before"))
        return
    reporter.send(Started(token=order.token, worker=worker))
    log.info(
        "job %s, %s, chunk %d/%d, attempt %d", order.job, order.stage, order.chunk + 1, order.chunks, order.attempt
    )
    try:
        completed = _do(order, ProgressReporter(reporter, order, _settings()))
    except AttemptStopped:
        log.info("told to stop")
        reporter.send(GivenBack(token=order.token, worker=worker, reason="told to stop"))
    except FarmError as e:
        cause = "infrastructure" if isinstance(e, StorageError) else "task"
        log.error("%s", e)
        reporter.send(Failed(token=order.token, worker=worker, cause=cause, reason=str(e), permanent=e.permanent))
    except BROKER_ERRORS as e:  # an OSError: the machine's fault, not the chunk's
        log.exception("the machine failed")
        reason = f"{type(e).__name__}: {e}"
        reporter.send(Failed(token=order.token, worker=worker, cause="infrastructure", reason=reason))
    except Exception as e:
        log.exception("a defect")  # the traceback is for the log, the person gets one line
        reason = f"defect in {order.stage}: {type(e).__name__}: {e}"
        reporter.send(Failed(token=order.token, worker=worker, reason=reason))
    else:
        reporter.send(completed)


def _do(order: Order, report: Callable[[int], None]) -> Completed:
    from workers.stages.compose import run_compose  # noqa: PLC0415 - heavy
    from workers.stages.detect import run_detect  # noqa: PLC0415
    from workers.stages.redact import run_redact  # noqa: PLC0415

    run = {"detect": run_detect, "redact": run_redact, "compose": run_compose}[order.stage]
    result = run(order, open_storage(_settings()), _tools(), report)
    return Completed(
        token=order.token,
        worker=identity.name(),
        artefact=result.artefact,
        reused=result.reused,
        spent={part: round(seconds, 3) for part, seconds in result.spent.items()},
        notes=result.notes,
    )
