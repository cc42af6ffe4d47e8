"""The Celery application of one worker, in its parent process and in the child that does the work.

Celery starts the child by spawn and hands the application over pickled. :class:`WorkerApp` is pickled as its settings
and the worker's name, device and process id, from which the child builds it anew: nothing else passes from parent to
child, neither through the environment nor through modules.
"""

import logging
import os
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from celery import Celery, signals
from celery.loaders.app import AppLoader
from celery.worker.control import Panel

from farm import liveness
from farm.broker import configure
from farm.logs import begin_log
from farm.messages import TASKS, queue_of
from farm.processes import die_with
from farm.settings import Settings
from farm.signing import Signer
from farm.storage.opening import open_storage
from workers.child import LifeFiles
from workers.reporting import Reporter
from workers.running import OrderRunner

if TYPE_CHECKING:
    from workers.stages.orders import Tools

#: What Flower asks a worker. Whoever can write to Redis could send the rest: end workers, or change how they work.
_QUESTIONS = {"active", "active_queues", "ping", "registered", "reserved", "revoked", "scheduled", "stats"}

log = logging.getLogger(__name__)


def log_of(settings: Settings, device: str) -> Path:
    """The log of the worker of ``device``, in which its parent and its child write."""
    return settings.logs / f"worker-{device}.log"


class WorkerApp(Celery):
    """Has one task per stage and consumes the worker's own queue. The child runs orders with :attr:`runner`."""

    def __init__(self, settings: Settings, worker: str, device: str, parent: int | None = None) -> None:
        """``parent``: in the child, the process id of its parent."""
        super().__init__("blurfarm", broker=settings.celery_url, loader=AppLoader)  # as farm.broker.celery_app
        configure(self, settings, queue_of(worker))
        self.settings, self.worker, self.device = settings, worker, device
        self._parent = parent
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
        name = "worker" if self._parent is None else "worker child"
        begin_log(name, log_of(self.settings, self.device), worker=self.worker)

    def _begin(self, **_: object) -> None:
        """Build the runner, which loads heavy modules while the worker waits for its first order."""
        if self._parent is not None:
            die_with(self._parent)
        liveness.share(LifeFiles(self.settings, self.device).of(os.getpid()))
        log.info("%s: ready for orders", self.runner.worker)

    @cached_property
    def _signer(self) -> Signer:
        return Signer.load(self.settings.key_path)

    @cached_property
    def runner(self) -> OrderRunner:
        """Runs the orders. Built once, in the child."""
        settings = self.settings
        tools: Future[Tools] = ThreadPoolExecutor(1, "preload").submit(_load_tools, settings, self.device)
        return OrderRunner(settings, self.worker, Reporter(settings), open_storage(settings), tools)


def _load_tools(settings: Settings, device: str) -> "Tools":
    from workers.stages.toolbox import Toolbox  # noqa: PLC0415 - cv2, av and onnxruntime: in the child only

    return Toolbox(settings, device)
