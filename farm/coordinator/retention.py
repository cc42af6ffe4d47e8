"""Runs beside the coordinator's loop: deletes what is kept no longer, and bounds the logs."""

import logging
import threading
import time

from farm.errors import FarmError
from farm.jobs.context import Context
from farm.jobs.retention import clean
from farm.processes import rotate_logs

log = logging.getLogger(__name__)

_LOGS_SECONDS, _CLEAN_SECONDS = 60.0, 3600.0


class Retention:
    """Works in a thread of its own, as cleaning may take long. After a crash at any point the next pass goes on."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._rotated = self._cleaned = float("-inf")

    def tend(self) -> None:
        """Begin what is due, unless the last call's work is not done yet."""
        if time.monotonic() - self._rotated >= _LOGS_SECONDS and (self._thread is None or not self._thread.is_alive()):
            self._thread = threading.Thread(target=self._work, name="retention", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the work soon, and wait for that."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        settings = self._context.settings
        try:
            self._rotated = time.monotonic()
            rotate_logs(settings.home / "logs", settings.log_megabytes)
            if time.monotonic() - self._cleaned >= _CLEAN_SECONDS:
                self._cleaned = time.monotonic()
                done = clean(self._context, settings.retain_artefacts, stopped=self._stop.is_set)
                if done.freed.files or done.jobs:
                    log.info("cleaned: %d bytes in %d files, %d jobs", done.freed.size, done.freed.files, done.jobs)
        except FarmError as e:
            log.warning("cleaning: %s; trying again in %.0f s", e, _CLEAN_SECONDS)
        except Exception:
            log.exception("a defect in cleaning; trying again in %.0f s", _CLEAN_SECONDS)
