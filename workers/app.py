"""The Celery application of one worker, in its parent process and in the child that does the work.

The first child is forked, as long as its parent has a single thread: that saves it half a second of imports. A later
one is spawned (:func:`fork_while_alone`): then Celery hands the application over pickled. :class:`WorkerApp` is pickled
as its settings and the worker's name, device and process id, from which the child builds it anew.
"""

import contextlib
import logging
import os
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from billiard import popen_fork
from billiard.context import SpawnProcess
from celery import Celery, signals
from celery.loaders.app import AppLoader
from celery.worker.control import Panel

from farm import liveness
from farm.broker import configure
from farm.domain.detectors import DetectOptions
from farm.domain.stages import WORKER_STAGES
from farm.errors import FarmError
from farm.logs import begin_log
from farm.messages import TASKS, queue_of
from farm.processes import die_with
from farm.settings import Settings
from farm.signing import Signer
from farm.storage.opening import open_storage
from workers.child import LifeFiles
from workers.reporting import Reporter
from workers.running import OrderRunner, stage_function

if TYPE_CHECKING:
    from workers.stages.orders import Tools
    from workers.stages.toolbox import Toolbox

#: What Flower asks a worker. Whoever can write to Redis could send the rest: end workers, or change how they work.
_QUESTIONS = {"active", "active_queues", "ping", "registered", "reserved", "revoked", "scheduled", "stats"}

log = logging.getLogger(__name__)


def log_of(settings: Settings, device: str) -> Path:
    """The log of the worker of ``device``, in which its parent and its child write."""
    return settings.logs / f"worker-{device}.log"


class WorkerApp(Celery):
    """Has one task per stage and consumes the worker's own queue. The child runs orders with :attr:`runner`."""

    def __init__(
        self,
        settings: Settings,
        worker: str,
        device: str,
        parent: int | None = None,
        detect: DetectOptions | None = None,
    ) -> None:
        """``parent``: in a spawned child, the process id of its parent. ``detect``: of a job that will soon come."""
        super().__init__("blurfarm", broker=settings.celery_url, loader=AppLoader)  # as farm.broker.celery_app
        configure(self, settings, queue_of(worker))
        self.settings, self.worker, self.device = settings, worker, device
        self._parent, self._built_in, self._detect = parent, os.getpid(), detect
        for stage in TASKS:
            self._add_task(stage)
        for command in Panel.data.keys() - _QUESTIONS:
            del Panel.data[command]
        # instead of Celery's own loggers, whose lines hold what a message quotes as it is
        signals.setup_logging.connect(self._begin_log, weak=False)
        signals.worker_process_init.connect(self._begin, weak=False)  # sent in the child only

    def __reduce__(self) -> tuple[type["WorkerApp"], tuple[Settings, str, str, int]]:
        return WorkerApp, (self.settings, self.worker, self.device, os.getpid())

    def _add_task(self, stage: str) -> None:
        def run(order: object, **_readable: str) -> None:
            self.runner.run(
                self._signer.open(order, queue_of(self.worker))
            )  # the other keyword arguments are for display in Flower
            if self.runner.unusable:  # Celery starts another child, which tries the device anew
                raise SystemExit(self.runner.unusable)

        self.task(name=stage, lazy=False, shared=False)(run)

    def _begin_log(self, **_: object) -> None:
        name = "worker" if self._parent is None and self._built_in == os.getpid() else "worker child"
        begin_log(name, log_of(self.settings, self.device), worker=self.worker)

    def _begin(self, **_: object) -> None:
        """Build the runner, which loads heavy modules while the worker waits for its first order."""
        die_with(self._built_in if self._parent is None else self._parent)
        liveness.share(LifeFiles(self.settings, self.device).of(os.getpid()))
        log.info("%s: ready for orders", self.runner.worker)

    @cached_property
    def _signer(self) -> Signer:
        return Signer.load(self.settings.key_path)

    @cached_property
    def runner(self) -> OrderRunner:
        """Runs the orders. Built once, in the child."""
        settings, preload = self.settings, ThreadPoolExecutor(1, "preload")
        tools: Future[Toolbox] = preload.submit(_load_tools, settings, self.device)
        if self._detect is not None:
            preload.submit(_prepare, tools, self._detect)
        return OrderRunner(
            settings, self.worker, Reporter(settings), open_storage(settings), cast("Future[Tools]", tools)
        )


def fork_while_alone() -> None:
    """Have Celery's pool fork a child as long as this process has one thread, as it has until the pool has begun.

    With more, a lock that another thread holds would stay locked in the child: then it is spawned, as it is on systems
    whose threads cannot be counted here. No GPU is touched and no heavy module imported in this process.
    """
    spawn = SpawnProcess._Popen  # type: ignore[attr-defined]  # noqa: SLF001 - billiard offers one start method for all children of a process

    def begin(process: Any) -> Any:  # noqa: ANN401 - billiard has no types
        try:
            alone = len([*Path("/proc/self/task").iterdir()]) == 1
        except OSError:
            alone = False
        return popen_fork.Popen(process) if alone else spawn(process)

    if sys.platform == "linux":
        SpawnProcess._Popen = staticmethod(begin)  # type: ignore[attr-defined]  # noqa: SLF001


def _load_tools(settings: Settings, device: str) -> "Toolbox":
    from workers.stages.toolbox import Toolbox  # noqa: PLC0415 - cv2, av and onnxruntime: in the child only

    return Toolbox(settings, device)


def _prepare(tools: "Future[Toolbox]", detect: DetectOptions) -> None:
    """Import and load what a job will need, in its order, while it is still being planned."""
    for stage in WORKER_STAGES:
        with contextlib.suppress(FarmError):  # the job's order fails with it
            stage_function(stage.name)
            if stage.needs == "runtime":
                tools.result().prepare(detect)
    with contextlib.suppress(FarmError):
        tools.result().ffmpeg  # noqa: B018 - it is checked once in a process
