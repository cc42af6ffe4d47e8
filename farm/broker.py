"""Redis as the farm uses it: a transport that may lose everything. Orders go out, outcomes come in, keys stop workers.

All queues use the default exchange, whose routing needs no binding in Redis: publishing works right after Redis was
emptied.
"""

import contextlib
import logging
import secrets
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Any

import kombu
import redis
from celery import Celery
from celery.loaders.app import AppLoader
from kombu.exceptions import OperationalError
from redis.backoff import NoBackoff
from redis.retry import Retry

from farm.configuration import masked, told
from farm.errors import BrokerError
from farm.messages import OUTCOMES, Order, queue_of, stop_key
from farm.settings import Settings
from farm.signing import Signer
from farm.transport import install, signed_order

log = logging.getLogger(__name__)

_STOP_SECONDS = 24 * 3600
_EPOCH = "blurfarm:epoch"
_TRANSPORT = {
    "socket_keepalive": True,
    "socket_timeout": 30,
    "socket_connect_timeout": 10,
    "health_check_interval": 10,
}
#: What talking to Redis raises: the clients' own errors, and built-in ones that kombu's virtual transport raises.
BROKER_ERRORS = (redis.RedisError, OperationalError, ConnectionError, TimeoutError)


def celery_app(settings: Settings, name: str = "blurfarm") -> Celery:
    """The Celery application of a process that sends or receives messages, configured by :func:`configure`."""
    app = Celery(name, broker=settings.celery_url, loader=AppLoader)  # by its name, it is imported from the folder here
    configure(app, settings)
    return app


def configure(app: Celery, settings: Settings, queue: str | None = None) -> None:
    """Configure ``app``: JSON only, no result backend. ``queue``: the queue that this process consumes, if any."""
    install()
    transport = {**_TRANSPORT, "key_file": str(settings.key_path)}
    if settings.embedded:
        transport.pop("socket_keepalive")  # unix sockets have no such option
    if queue is not None:
        app.conf.update(task_default_queue=queue, task_queues=[_queue(queue)])
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=False,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_serializer="json",
        accept_content=["json"],
        event_serializer="json",
        task_create_missing_queues=False,
        task_send_sent_event=True,
        worker_prefetch_multiplier=1,
        worker_concurrency=1,
        worker_send_task_events=True,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_pool_start_method="spawn",
        worker_proc_alive_timeout=120,
        worker_lost_wait=1.0,  # for the result of a child that ended: here it has no result
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=transport,
        enable_utc=True,
    )


def _queue(name: str) -> kombu.Queue:
    return kombu.Queue(name, kombu.Exchange(""), routing_key=name)


def redis_client(settings: Settings) -> redis.Redis:
    """A redis-py client of the broker."""
    return redis.Redis.from_url(
        settings.redis_url,
        socket_timeout=30,
        socket_connect_timeout=10,
        health_check_interval=10,
        retry=Retry(NoBackoff(), 0),  # the caller decides whether and when to try again
    )


def check_broker(settings: Settings) -> None:
    """Raises BrokerError when Redis does not answer."""
    try:
        redis_client(settings).ping()
    except redis.RedisError as e:
        where = masked(settings.redis_url)
        raise BrokerError(
            f"Redis at {where} does not answer: {told(e, settings.redis_url)}", hint=_broker_hint(settings)
        ) from e


def _broker_hint(settings: Settings) -> str:
    if settings.embedded:
        return "start the farm with `farm up`, or run `farm doctor`"
    return "check FARM_BROKER_URL and that Redis runs, or unset it to use the embedded one"


class Broker:
    """The coordinator's side of Redis."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._app = celery_app(settings)
        self._redis = redis_client(settings)
        self._connection: kombu.Connection | None = None
        self._consumer: Any = None

    @cached_property
    def _signer(self) -> Signer:
        return Signer.load(self._settings.key_path)

    def publish(self, order: Order, queue: str) -> None:
        """Send an order to a worker's queue. Raises one of BROKER_ERRORS."""
        readable = order.readable()
        self._app.send_task(
            order.stage,
            kwargs={**readable, "order": self._signer.sign(order.model_dump(mode="json"), queue)},
            queue=_queue(queue),  # type: ignore[arg-type]  # the object needs no declaration in this process
            task_id=order.token,
            argsrepr="()",
            kwargsrepr=", ".join(f"{k}={v}" for k, v in readable.items()),
            retry=False,
        )

    def receive(self, handle: Callable[[object], None], wait: float) -> int:
        """Pass all waiting outcomes to ``handle``, waiting up to ``wait`` seconds for the first; returns their number.

        What is not signed with the farm's key is moved aside, and a :class:`farm.messages.Refused` passed for it. A
        message is acknowledged after ``handle`` returned, and requeued if it raised; its error is passed on. Raises one
        of BROKER_ERRORS.
        """
        seen = 0

        def got(body: object, message: kombu.Message) -> None:
            nonlocal seen
            try:
                handle(self._signer.open(body, OUTCOMES))
            except Exception:
                message.requeue()
                raise
            message.ack()
            seen += 1

        connection = self._connected()
        self._consumer.callbacks = [got]
        timeout = wait
        while seen < 200:  # a long queue must not block the rest of the loop
            try:
                connection.drain_events(timeout=timeout)
            except TimeoutError:
                break
            timeout = 0.001
        return seen

    def _connected(self) -> kombu.Connection:
        if self._connection is None:
            self._connection = self._app.connection_for_read()
            self._consumer = kombu.Consumer(self._connection.channel(), [_queue(OUTCOMES)], accept=["json"])
            self._consumer.consume()
        return self._connection

    def reset(self) -> None:
        """Drop the connection, which may be broken; the next call makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*BROKER_ERRORS):
                if self._consumer is not None:  # closing reads the answer to a pending BRPOP
                    self._consumer.callbacks = [lambda _, message: message.requeue()]
                connection.close()

    def stop(self, token: str, worker: str) -> None:
        """Tell a worker to stop an attempt. Raises one of BROKER_ERRORS."""
        self._redis.set(stop_key(token, worker), "1", ex=_STOP_SECONDS)

    def emptied(self) -> bool:
        """Whether Redis was emptied or restarted since the last call; if so, every published order is lost.

        Raises one of BROKER_ERRORS.
        """
        return bool(self._redis.set(_EPOCH, secrets.token_hex(8), nx=True))

    def waiting(self, workers: Iterable[str]) -> set[str]:
        """The tokens of the orders in these workers' queues. Raises one of BROKER_ERRORS."""
        return {token for worker in workers for token in self._orders(worker)}

    def take_back(self, worker: str, token: str) -> bool:
        """Remove an order from a worker's queue; False if it is not there. Raises one of BROKER_ERRORS."""
        message = self._orders(worker).get(token)
        return message is not None and bool(self._redis.lrem(queue_of(worker), 1, message))

    def _orders(self, worker: str) -> dict[str, Any]:
        """The messages in a worker's queue, by token."""
        queue, found = queue_of(worker), {}
        try:
            messages = self._redis.lrange(queue, 0, -1)
        except redis.ResponseError as e:
            if not str(e).startswith("WRONGTYPE"):
                raise
            log.error("the key %s in Redis was of a wrong type: deleted", queue)
            self._redis.delete(queue)
            return {}
        for message in messages:
            assert isinstance(message, bytes)
            with contextlib.suppress(ValueError):  # not an order: for its reader to refuse
                found[signed_order(message, queue, self._signer)[0].token] = message
        return found

    def delete_queue(self, worker: str) -> None:
        """Delete a worker's queue with all orders in it. Raises one of BROKER_ERRORS."""
        self._redis.delete(queue_of(worker))

    def close(self) -> None:
        """Close all connections."""
        self.reset()
        self._app.close()
        self._redis.close()
