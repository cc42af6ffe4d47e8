"""Kombu's Redis transport for a Redis whose writers are not trusted.

Kombu ends its process on a message that it cannot parse, and takes from a message what nobody has signed: how long a
task may run, which tasks to send when it is done. Here a message is read once, before kombu sees it. If it is signed
with the farm's key for its queue, kombu gets a message made anew from what is signed; else it is moved aside, and the
coordinator is told.
"""

import base64
import contextlib
import json
import logging
import time
import uuid
from collections import deque
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import kombu.transport
import kombu.transport.redis as original
import redis

from farm.messages import OUTCOMES, Message, Order, Refused
from farm.signing import Forged, Signer

log = logging.getLogger(__name__)

#: The Redis list of what was moved aside: the newest messages, of each the first bytes.
ASIDE = "blurfarm:aside"
_KEPT, _KEPT_BYTES = 100, 4096
#: An order to join 100,000 segments has about 30 MB.
_LONGEST = 48_000_000
_LONGEST_TOKEN = 64
#: Whoever can write to Redis must not fill the database: reports about refused messages, and the time they are for.
_REPORTS, _SECONDS = 5, 60.0
_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, RecursionError)


def install() -> None:
    """Have kombu use this transport for ``redis``, ``rediss`` and ``redis+socket`` addresses."""
    for scheme in ("redis", "rediss"):
        kombu.transport.TRANSPORT_ALIASES[scheme] = f"{__name__}:Transport"


def signed_order(raw: bytes, queue: str, signer: Signer) -> tuple[Order, object]:
    """The order in a message as it lies in a worker's queue, and its envelope. Raises ValueError."""
    try:
        envelope = _body(raw)[1]["order"]
        return Order.model_validate(signer.open(envelope, queue)), envelope
    except Forged:
        raise
    except _UNREADABLE as e:
        raise ValueError(f"it is no order ({type(e).__name__})") from e


def _signed_outcome(raw: bytes, signer: Signer) -> object:
    try:
        envelope = _body(raw)
        signer.open(envelope, OUTCOMES)
    except Forged:
        raise
    except _UNREADABLE as e:
        raise ValueError(f"it is no outcome ({type(e).__name__})") from e
    return envelope


def _body(raw: bytes) -> Any:  # noqa: ANN401 - anybody's JSON
    if len(raw) > _LONGEST:
        raise ValueError(f"{len(raw)} bytes")
    return json.loads(base64.b64decode(json.loads(raw)["body"]))


class _Client(redis.Redis):
    """Checks what a channel takes from its queues."""

    def __init__(self, *args: Any, channel: "Channel", **more: Any) -> None:  # noqa: ANN401 - redis-py's own
        super().__init__(*args, **more)
        self._channel = channel

    def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:  # noqa: ANN401 - redis-py's own
        """See redis.Redis. For BRPOP, None stands for "nothing in time" and for what was moved aside."""
        parse: Any = super().parse_response
        if command_name != "BRPOP":
            return parse(connection, command_name, **options)
        try:
            reply = parse(connection, command_name, **options)
        except redis.ResponseError:
            if not self._channel.mend():
                raise
            return None
        return reply and self._channel.checked(*reply)


_Channel: Any = original.Channel  # the stubs of kombu know few of its methods


class Channel(_Channel):  # type: ignore[misc]  # see there
    """See the module. ``key_file``, an option of the transport: the path of the farm's key."""

    key_file = ""
    from_transport_options = (*_Channel.from_transport_options, "key_file")
    # nothing of a message stays in Redis once it is read: SQL knows what is under way, and what is lost is sent again
    ack_emulation = False
    do_restore = False
    priority_steps = (0,)

    def __init__(self, *args: Any, **more: Any) -> None:  # noqa: ANN401 - kombu's own
        self._reports: deque[float] = deque(maxlen=_REPORTS)
        self._untold = 0
        super().__init__(*args, **more)

    @cached_property
    def _signer(self) -> Signer:
        return Signer.load(Path(self.key_file))

    def _get_client(self) -> Any:  # noqa: ANN401 - kombu calls what it gets, or takes it as a class
        return partial(_Client, channel=self)

    def checked(self, key: bytes, raw: bytes) -> tuple[bytes, bytes] | None:
        """The message ``raw`` from the queue ``key`` as kombu may read it; None if it was moved aside."""
        queue = key.decode(errors="replace")
        try:
            if queue == OUTCOMES:
                payload = _payload(queue, _signed_outcome(raw, self._signer), {})
            else:
                order, envelope = signed_order(raw, queue, self._signer)
                payload = _payload(queue, *_task(order, envelope))
        except ValueError as e:
            self._refuse(queue, raw, str(e))
            return None
        return key, json.dumps(payload).encode()

    def _refuse(self, queue: str, raw: bytes, reason: str) -> None:
        client = self._create_client()
        with contextlib.suppress(redis.RedisError):  # a full Redis: then it is lost
            client.pipeline().lpush(ASIDE, raw[:_KEPT_BYTES]).ltrim(ASIDE, 0, _KEPT - 1).execute()
        self._untold += 1
        now = time.monotonic()
        if len(self._reports) == _REPORTS and now - self._reports[0] < _SECONDS:
            return
        told = Refused(queue=queue, reason=reason, token=_token(raw), count=self._untold)
        log.error("%s", told)
        with contextlib.suppress(redis.RedisError):  # the coordinator misses the order later
            self._send(told)
            self._reports.append(now)
            self._untold = 0

    def _send(self, outcome: Message) -> None:
        envelope = self._signer.sign(outcome.model_dump(mode="json"), OUTCOMES)
        self._put(OUTCOMES, _payload(OUTCOMES, envelope, {}))

    def mend(self, *queues: str) -> bool:
        """Delete what should be a queue or a binding and is of another type of Redis; whether there was any."""
        client = self._create_client()
        wanted = dict.fromkeys((*queues, *self.active_queues), b"list")
        for exchange in self.state.exchanges or ():
            wanted |= {k % exchange: b"set" for k in (self.keyprefix_queue, self.keyprefix_binding_permanent)}
        wanted[self.keyprefix_binding_deadlines] = b"zset"
        wrong = [key for key, kind in wanted.items() if client.type(key) not in (kind, b"none")]
        for key in wrong:
            log.error("the key %s in Redis was of a wrong type: deleted", key)
            client.delete(key)
        return bool(wrong)

    def _mended(self, call: Any, *args: Any, queues: tuple[str, ...] = (), **more: Any) -> Any:  # noqa: ANN401 - kombu's own
        try:
            return call(*args, **more)
        except redis.ResponseError:
            if not self.mend(*queues):
                raise
            return call(*args, **more)

    # what kombu does with its keys

    def _size(self, queue: str) -> Any:  # noqa: ANN401 - kombu's own
        return self._mended(super()._size, queue, queues=(queue,))

    def _put(self, queue: str, message: Any, **more: Any) -> None:  # noqa: ANN401 - kombu's own
        self._mended(super()._put, queue, message, queues=(queue,), **more)

    def _queue_bind(self, *args: Any) -> None:  # noqa: ANN401 - kombu's own
        self._mended(super()._queue_bind, *args)

    def maybe_refresh_binding_expiry(self) -> None:
        """See kombu."""
        self._mended(super().maybe_refresh_binding_expiry)

    def get_table(self, exchange: str) -> list[tuple[str, ...]]:
        """See kombu. Leaves out what is no binding."""
        return [row for row in self._mended(super().get_table, exchange) if len(row) == 3]

    def _receive_one(self, c: Any) -> Any:  # noqa: ANN401 - kombu's own
        """See kombu. A message to all, as of remote control, that cannot be read is dropped."""
        try:
            return super()._receive_one(c)
        except _UNREADABLE as e:
            log.warning("a message to all processes was dropped: %s", type(e).__name__)
            return None


class Transport(original.Transport):
    """Redis, with :class:`Channel`."""

    Channel = Channel


def _token(raw: bytes) -> str:
    """The token that a message, which nobody has signed, says that it is about."""
    with contextlib.suppress(*_UNREADABLE):
        token = json.loads(raw)["headers"]["id"] if len(raw) <= _LONGEST else ""
        return token if isinstance(token, str) and token.isalnum() and len(token) <= _LONGEST_TOKEN else ""
    return ""


def _task(order: Order, envelope: object) -> tuple[object, dict[str, object]]:
    """Body and headers of the Celery message (protocol 2) of an order. The child opens the envelope again."""
    readable = order.readable()
    headers = {
        "lang": "py",
        "task": order.stage,
        "id": order.token,
        "root_id": order.token,
        "retries": 0,
        "timelimit": [None, None],
        "argsrepr": "()",
        "kwargsrepr": ", ".join(f"{k}={v}" for k, v in readable.items()),
    }
    return [[], {**readable, "order": envelope}, {}], headers


def _payload(queue: str, body: object, headers: dict[str, object]) -> dict[str, object]:
    """A message as kombu's virtual transports write it."""
    return {
        "body": base64.b64encode(json.dumps(body).encode()).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": headers,
        "properties": {
            "body_encoding": "base64",
            "delivery_mode": 2,
            "delivery_tag": uuid.uuid4().hex,
            "delivery_info": {"exchange": "", "routing_key": queue},
            "priority": 0,
        },
    }
