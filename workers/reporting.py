"""The way from a worker to the coordinator: outcomes into one queue, stop keys back."""

import time
from typing import Any

import kombu

from farm.broker import BROKER_ERRORS, celery_app, redis_client
from farm.errors import AttemptStopped
from farm.messages import OUTCOMES, Message, Order, Progress, stop_key
from farm.settings import Settings
from workers import identity

# an outcome is worth waiting for: the work behind it took longer
_RETRY = {"max_retries": 200, "interval_start": 0.2, "interval_step": 0.5, "interval_max": 5}


class Reporter:
    """Sends outcomes over a connection of its own. Not to be shared between threads."""

    def __init__(self, settings: Settings) -> None:
        self._connection: kombu.Connection = celery_app(settings, "reporter").connection_for_write()
        self._redis = redis_client(settings)
        self._producer: Any = None

    def send(self, outcome: Message, *, patient: bool = True) -> None:
        """Send one outcome. Raises one of BROKER_ERRORS, when patient only after minutes without Redis."""
        if self._producer is None:
            self._producer = kombu.Producer(self._connection)
        self._producer.publish(
            outcome.model_dump(mode="json"),
            exchange="",
            routing_key=OUTCOMES,
            serializer="json",
            retry=patient,
            retry_policy=_RETRY if patient else None,
        )

    def is_unwanted(self, token: str, worker: str) -> bool:
        """Whether the coordinator told ``worker`` to stop this attempt. Raises one of BROKER_ERRORS."""
        return bool(self._redis.exists(stop_key(token, worker)))

    def close(self) -> None:
        """Close the connections."""
        self._connection.release()
        self._redis.close()


class ProgressReporter:
    """Called with the frames done after every frame; reports now and then, and raises when told to stop."""

    def __init__(self, reporter: Reporter, order: Order, settings: Settings) -> None:
        self._reporter, self._order, self._interval = reporter, order, settings.progress_seconds
        self._due = time.monotonic() + self._interval

    def __call__(self, frames: int) -> None:
        """Report ``frames`` if it is time. Raises AttemptStopped."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + self._interval
        worker = identity.name()
        try:
            self._reporter.send(Progress(token=self._order.token, worker=worker, frames=frames), patient=False)
            stopped = self._reporter.is_unwanted(self._order.token, worker)
        except BROKER_ERRORS:
            return  # Redis is away: the work goes on, the lease is the coordinator's care
        if stopped:
            raise AttemptStopped
