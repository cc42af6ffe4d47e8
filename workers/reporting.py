"""From a worker to the coordinator: outcomes go into one queue, stop keys come back."""

import time
from functools import cached_property

import kombu

from farm import liveness
from farm.broker import BROKER_ERRORS, celery_app, redis_client
from farm.errors import AttemptStopped
from farm.messages import OUTCOMES, Message, Order, Progress, stop_key
from farm.settings import Settings
from farm.signing import Signer

# minutes: losing an outcome costs the work that led to it
_RETRY = {"max_retries": 200, "interval_start": 0.2, "interval_step": 0.5, "interval_max": 5}


class Reporter:
    """Sends outcomes over its own connection. Not thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: kombu.Connection = celery_app(settings, "reporter").connection_for_write()
        self._producer = kombu.Producer(self._connection)  # connects when it first sends
        self._redis = redis_client(settings)

    @cached_property
    def _signer(self) -> Signer:
        return Signer.load(self._settings.key_path)

    def send(self, outcome: Message, *, patient: bool = True) -> None:
        """Send one outcome. Raises one of BROKER_ERRORS; when ``patient``, only after minutes without Redis."""
        self._producer.publish(
            self._signer.sign(outcome.model_dump(mode="json"), OUTCOMES),
            exchange="",
            routing_key=OUTCOMES,
            serializer="json",
            retry=patient,
            retry_policy=_RETRY if patient else None,
        )

    def is_unwanted(self, token: str, worker: str) -> bool:
        """Whether the coordinator told ``worker`` to stop the attempt ``token``. Raises one of BROKER_ERRORS."""
        return bool(self._redis.exists(stop_key(token, worker)))

    def close(self) -> None:
        """Close the connections."""
        self._connection.release()
        self._redis.close()


class ProgressReporter:
    """Called with the number of frames done; reports it once per interval, and raises when told to stop."""

    def __init__(self, reporter: Reporter, order: Order, worker: str, interval: float) -> None:
        """``worker``: the worker's name. ``interval``: seconds between two reports."""
        self._reporter, self._order, self._worker, self._interval = reporter, order, worker, interval
        self._due = time.monotonic() + interval

    def __call__(self, frames: int) -> None:
        """Report ``frames`` if the interval is over; a call is a sign of life in any case. Raises AttemptStopped."""
        liveness.done(frames)
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + self._interval
        progress = Progress(token=self._order.token, worker=self._worker, frames=frames)
        try:
            self._reporter.send(progress, patient=False)
            stopped = self._reporter.is_unwanted(self._order.token, self._worker)
        except BROKER_ERRORS:
            return  # without Redis the work goes on; the coordinator decides what becomes of the lease
        if stopped:
            raise AttemptStopped
