"""From a worker to the coordinator: outcomes go into one queue, stop keys come back."""

import time
from functools import cached_property

import kombu

from farm import liveness
from farm.broker import BROKER_ERRORS, celery_app, redis_client
from farm.errors import AttemptStopped
from farm.messages import DRAINED, OUTCOMES, Message, Order, Progress, stop_key
from farm.settings import Settings
from farm.signing import Signer

# minutes: losing an outcome costs the work that led to it
_RETRY = {"max_retries": 200, "interval_start": 0.2, "interval_step": 0.5, "interval_max": 5}


_LOOK_SECONDS = 1.0  # between two looks for a stop key
_DRAINED_SECONDS = 3600


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

    def why_stop(self, token: str, worker: str) -> str | None:
        """Why the attempt ``token`` of ``worker`` should stop; None if it should not. Raises one of BROKER_ERRORS."""
        value = self._redis.get(stop_key(token, worker))
        if value is None:
            return None
        return "its worker stops" if value == DRAINED.encode() else "stopped by the coordinator"

    def drain(self, token: str, worker: str) -> None:
        """Have the child of ``worker`` stop the attempt ``token`` and give it back. Raises one of BROKER_ERRORS."""
        self._redis.set(stop_key(token, worker), DRAINED, ex=_DRAINED_SECONDS)

    def close(self) -> None:
        """Close the connections."""
        self._connection.release()
        self._redis.close()


class ProgressReporter:
    """Called with the number of frames done; reports it once per interval, and raises soon when told to stop."""

    def __init__(self, reporter: Reporter, order: Order, worker: str, interval: float) -> None:
        """``worker``: the worker's name. ``interval``: seconds between two reports."""
        self._reporter, self._order, self._worker, self._interval = reporter, order, worker, interval
        self._due = time.monotonic() + interval
        self._look = time.monotonic()  # when to look for a stop key again: that is cheap, and waited for

    def __call__(self, frames: int) -> None:
        """Report ``frames`` if the interval is over; a call is a sign of life in any case. Raises AttemptStopped."""
        liveness.done(frames)
        now, order = time.monotonic(), self._order
        if now < min(self._due, self._look):
            return
        self._look = now + _LOOK_SECONDS
        try:
            if now >= self._due:
                self._due = now + self._interval
                self._reporter.send(Progress(token=order.token, worker=self._worker, frames=frames), patient=False)
            why = self._reporter.why_stop(order.token, self._worker)
        except BROKER_ERRORS:
            return  # without Redis the work goes on; the coordinator decides what becomes of the lease
        if why is not None:
            raise AttemptStopped(why)
