"""Redis as the farm uses it: losable transport. Orders go out by name, outcomes come in, keys tell workers to stop.

All queues hang on the default exchange, whose routing needs no binding in Redis: messages find their way right after
somebody emptied it.
"""

import contextlib
import logging
import secrets
from collections.abc import Callable
from typing import Any

import kombu
import redis
from celery import Celery
from kombu.exceptions import KombuError
from redis.backoff import NoBackoff
from redis.retry import Retry

from farm.errors import BrokerError
from farm.messages import OUTCOMES, STAGES, Order, stop_key
from farm.settings import Settings

log = logging.getLogger(__name__)

VISIBILITY_SECONDS = 2 * 3600
_STOP_SECONDS = 24 * 3600
_EPOCH = "blurfarm:epoch"
_TRANSPORT = {
    "visibility_timeout": VISIBILITY_SECONDS,
    "socket_keepalive": True,
    "socket_timeout": 30,
    "socket_connect_timeout": 10,
    "health_check_interval": 10,
}
#: Everything that talking to Redis can raise.
BROKER_ERRORS = (redis.RedisError, KombuError, OSError)


def celery_app(settings: Settings, name: str = "blurfarm") -> Celery:
    """The Celery application of a process that sends or receives messages, configured by :func:`configure`."""
    app = Celery(name, broker=settings.celery_url)
    configure(app, settings)
    return app


def configure(app: Celery, settings: Settings) -> None:
    """Give ``app`` the configuration measured in the design: no result backend, JSON only."""
    transport = dict(_TRANSPORT)
    if settings.embedded:
        transport.pop("socket_keepalive")  # a unix socket has none
    app.conf.update(
        task_acks_late=True,
        task_reject_on_worker_lost=False,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_serializer="json",
        accept_content=["json"],
        event_serializer="json",
        task_default_queue=STAGES[0],
        task_queues=[kombu.Queue(s, kombu.Exchange(""), routing_key=s) for s in STAGES],
        task_create_missing_queues=False,
        task_send_sent_event=True,
        worker_prefetch_multiplier=1,
        worker_concurrency=1,
        worker_send_task_events=True,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_pool_start_method="spawn",
        worker_proc_alive_timeout=120,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=transport,
        visibility_timeout=VISIBILITY_SECONDS,
        result_backend_transport_options={"visibility_timeout": VISIBILITY_SECONDS},
        enable_utc=True,
    )


def redis_client(settings: Settings) -> redis.Redis:
    """A redis-py client of the broker."""
    return redis.Redis.from_url(
        settings.redis_url,
        socket_timeout=30,
        socket_connect_timeout=10,
        health_check_interval=10,
        retry=Retry(NoBackoff(), 0),  # whoever calls decides how often and when again
    )


def check_broker(settings: Settings) -> None:
    """Raises BrokerError when Redis does not answer."""
    try:
        redis_client(settings).ping()
    except (redis.RedisError, OSError) as e:
        where = _without_password(settings.redis_url)
        raise BrokerError(f"Redis at {where} does not answer: {e}", hint=_broker_hint(settings)) from e


def _broker_hint(settings: Settings) -> str:
    if settings.embedded:
        return "start the farm with `farm up`, or run `farm doctor`"
    return "check FARM_BROKER_URL and that Redis runs, or unset it to use the embedded one"


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"


def _drop(message: kombu.Message, error: Exception) -> None:
    """What cannot be read is gone: left unacknowledged it would come back first, before every outcome, for ever."""
    log.error("a message that cannot be read was dropped: %s", error)
    message.ack()


class Broker:
    """The coordinator's side of Redis.

    ``absent``: since when (by the coordinator's clock) an order, by its token, has been neither here nor taken by a
    worker that said so. The sweep keeps it.
    """

    def __init__(self, settings: Settings) -> None:
        self.absent: dict[str, float] = {}
        self._app = celery_app(settings)
        self._redis = redis_client(settings)
        self._connection: kombu.Connection | None = None
        self._consumer: Any = None

    def publish(self, order: Order) -> None:
        """Send an order to its stage's queue. Raises one of BROKER_ERRORS."""
        readable = order.readable()
        self._app.send_task(
            order.stage,
            kwargs={**readable, "order": order.model_dump(mode="json")},
            queue=order.stage,
            task_id=order.token,
            argsrepr="()",
            kwargsrepr=", ".join(f"{k}={v}" for k, v in readable.items()),
            retry=False,
        )

    def receive(self, handle: Callable[[object], None], wait: float) -> int:
        """Hand all waiting outcomes to ``handle``, waiting up to ``wait`` seconds for the first; how many came.

        A message is acknowledged after ``handle`` returned. Raises one of BROKER_ERRORS.
        """
        seen = 0

        def got(body: object, message: kombu.Message) -> None:
            nonlocal seen
            try:
                handle(body)
            except Exception:
                message.requeue()
                raise
            message.ack()
            seen += 1

        connection = self._connected()
        self._consumer.callbacks = [got]
        timeout = wait
        while seen < 200:  # then the clock gets its turn
            try:
                connection.drain_events(timeout=timeout)
            except TimeoutError:
                break
            timeout = 0.001
        return seen

    def _connected(self) -> kombu.Connection:
        if self._connection is None:
            self._connection = self._app.connection_for_read()
            queue = kombu.Queue(OUTCOMES, kombu.Exchange(""), routing_key=OUTCOMES)
            self._consumer = kombu.Consumer(self._connection.channel(), [queue], accept=["json"], on_decode_error=_drop)
            self._consumer.consume()
        return self._connection

    def reset(self) -> None:
        """Forget a broken connection; the next call makes a new one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(*BROKER_ERRORS):
                connection.close()

    def stop(self, token: str, worker: str) -> None:
        """Tell a worker to stop an attempt."""
        self._redis.set(stop_key(token, worker), "1", ex=_STOP_SECONDS)

    def emptied(self) -> bool:
        """Whether Redis was emptied (or started anew) since the last call: then nothing published is there any more."""
        return bool(self._redis.set(_EPOCH, secrets.token_hex(8), nx=True))

    def waiting(self) -> bytes:
        """Everything that lies in the stages' queues, to look for tokens in."""
        parts: list[bytes] = []
        for stage in STAGES:
            parts.extend(self._redis.lrange(stage, 0, -1))  # type: ignore[arg-type]  # the client is not async
        return b"\n".join(parts)

    def close(self) -> None:
        """Close all connections."""
        self.reset()
        self._app.close()
        self._redis.close()
