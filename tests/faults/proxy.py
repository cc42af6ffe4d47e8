"""A TCP proxy before a Redis: a partition of the network, and messages that arrive late, twice, altered or never.

It reads the commands of its clients. A command that publishes a message (``LPUSH QUEUE MESSAGE``) can be replaced by
one that changes nothing and answers with a number, too (``LLEN QUEUE``); the proxy then pushes the message itself,
when and as often as :class:`Mischief` says. Answers pass as they are.
"""

import base64
import contextlib
import heapq
import json
import random
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import redis

#: The queues of orders begin so; the other queue is that of the outcomes.
ORDERS = b"worker:"
OUTCOMES = b"outcomes"
#: Whether a message is an order, and its text as Redis holds it: what becomes of it, as (seconds of delay, text).
Fate = Callable[[bytes], list[tuple[float, bytes]]]


@dataclass(slots=True)
class Mischief:
    """What happens to the messages of a proxy: ``kind`` is one of :data:`KINDS`. ``done``: how many it happened to."""

    kind: str
    dice: random.Random
    #: Only messages to queues that begin so.
    queues: bytes = b""
    #: The share of the messages that are dropped or altered.
    share: float = 0.4
    done: int = 0

    def fate(self, queue: bytes, text: bytes) -> list[tuple[float, bytes]] | None:
        """When and as what a message is pushed; None: as it came."""
        if not queue.startswith((ORDERS, OUTCOMES)) or not queue.startswith(self.queues):
            return None
        fate = KINDS[self.kind](self, text)
        self.done += fate is not None
        return fate

    def _triple(self, text: bytes) -> list[tuple[float, bytes]]:
        return [(self.dice.uniform(0, 1.0), text) for _ in range(3)]

    def _late(self, text: bytes) -> list[tuple[float, bytes]]:
        return [(self.dice.uniform(0.5, 3.0), text)]

    def _stale(self, text: bytes) -> list[tuple[float, bytes]]:
        return [(self.dice.uniform(9.0, 10.0), text)]  # longer than a lease of the harness

    def _shuffled(self, text: bytes) -> list[tuple[float, bytes]]:
        return [(self.dice.uniform(0, 0.8), text)]

    def _dropped(self, _: bytes) -> list[tuple[float, bytes]] | None:
        return [] if self.dice.random() < self.share else None

    def _refused(self, _: bytes) -> list[tuple[float, bytes]]:
        return []

    def _altered(self, text: bytes) -> list[tuple[float, bytes]] | None:
        return [(0.0, altered(text, self.dice))] if self.dice.random() < self.share else None

    def _forged(self, text: bytes) -> list[tuple[float, bytes]] | None:
        changed = forged(text)
        return None if changed == text else [(0.0, changed)]


KINDS: dict[str, Callable[[Mischief, bytes], list[tuple[float, bytes]] | None]] = {
    "tripled": Mischief._triple,
    "delayed": Mischief._late,
    "stale": Mischief._stale,
    "reordered": Mischief._shuffled,
    "dropped": Mischief._dropped,
    "altered": Mischief._altered,
    "forged": Mischief._forged,
    "refused": Mischief._refused,
}


def altered(text: bytes, dice: random.Random) -> bytes:
    """A message with one byte flipped, or with one value of its body changed."""
    if dice.random() < 0.5:
        at = dice.randrange(len(text))
        return text[:at] + bytes([text[at] ^ (1 << dice.randrange(7))]) + text[at + 1 :]
    message = json.loads(text)
    body = json.loads(base64.b64decode(message["body"]))
    values = list(_values(body))
    if values:
        holder, key = dice.choice(values)
        holder[key] = _changed(holder[key], dice)
    message["body"] = base64.b64encode(json.dumps(body).encode()).decode()
    return json.dumps(message).encode()


def forged(text: bytes) -> bytes:
    """An order that finds no face, if it is one that detects; all else is as it was."""
    message = json.loads(text)
    body = base64.b64decode(message["body"]).decode()
    changed = re.sub(r'(\\*"threshold\\*": ?)[0-9.]+', r"\g<1>0.999", body)
    message["body"] = base64.b64encode(changed.encode()).decode()
    return json.dumps(message).encode() if changed != body else text


def _values(tree: Any) -> list[tuple[Any, Any]]:
    """Every number, word and flag inside JSON, as (the object or array that holds it, its key there)."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    found: list[tuple[Any, Any]] = []
    for key, value in items:
        if isinstance(value, dict | list):
            found += _values(value)
        elif value is not None:
            found.append((tree, key))
    return found


def _changed(value: object, dice: random.Random) -> object:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + dice.choice([-1, 1, 0.999])
    text = str(value)
    at = dice.randrange(len(text) + 1)
    return text[:at] + dice.choice("0a/.") + text[at + 1 :]


@dataclass(slots=True)
class Proxy:
    """Listens on a port of its own and forwards to the Redis at ``target``.

    ``partition``: None, or how the network is split: "silent" (nothing passes, nobody is told) or "refusing"
    (connections end, new ones are refused).
    """

    target: int
    mischief: Mischief | None = None
    partition: str | None = None
    port: int = 0
    _server: socket.socket = field(init=False)
    _pairs: list[tuple[socket.socket, socket.socket]] = field(default_factory=list)
    _late: "list[tuple[float, int, bytes, bytes]]" = field(default_factory=list)
    _count: "count[int]" = field(default_factory=count)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        for work in (self._accept, self._push_late):
            threading.Thread(target=work, name="proxy", daemon=True).start()

    @property
    def url(self) -> str:
        """The address for FARM_BROKER_URL."""
        return f"redis://127.0.0.1:{self.port}/0"

    def split(self, how: str) -> None:
        """Begin a partition."""
        self.partition = how
        if how == "refusing":
            self._end_all()

    def heal(self) -> None:
        """End the partition."""
        self.partition = None

    def close(self) -> None:
        """End all connections."""
        self._closed.set()
        self._server.close()
        self._end_all()

    def _end_all(self) -> None:
        with self._lock:
            pairs, self._pairs = self._pairs, []
        for pair in pairs:
            _end(*pair)

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            if self.partition == "refusing":
                _end(client)
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target), timeout=5)
                server.settimeout(None)
            except OSError:  # Redis is away
                _end(client)
                continue
            with self._lock:
                self._pairs.append((client, server))
            for work in (self._commands, self._answers):
                threading.Thread(target=work, args=[client, server], name="proxy", daemon=True).start()

    def _passes(self) -> None:
        while self.partition == "silent" and not self._closed.is_set():
            time.sleep(0.02)

    def _answers(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                self._passes()
                client.sendall(data)
        _end(client, server)

    def _commands(self, client: socket.socket, server: socket.socket) -> None:
        waiting = b""
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                self._passes()
                waiting += data
                out = b""
                while (parsed := _parsed(waiting)) is not None:
                    words, size = parsed
                    out += self._command(words, waiting[:size])
                    waiting = waiting[size:]
                server.sendall(out)
        _end(client, server)

    def _command(self, words: list[bytes], raw: bytes) -> bytes:
        mischief = self.mischief
        if mischief is None or len(words) != 3 or words[0].upper() != b"LPUSH":
            return raw
        _, queue, text = words
        fate = mischief.fate(queue, text)
        if fate is None:
            return raw
        with self._lock:
            for delay, copy in fate:
                heapq.heappush(self._late, (time.monotonic() + delay, next(self._count), queue, copy))
        if mischief.kind == "refused":  # its sender is told
            return b"*1\r\n$4\r\nLLEN\r\n"  # a wrong number of arguments
        return b"*2\r\n$4\r\nLLEN\r\n$%d\r\n%s\r\n" % (len(queue), queue)

    def _push_late(self) -> None:
        with redis.Redis(port=self.target, socket_timeout=2) as client:
            while not self._closed.wait(0.01):
                with self._lock:
                    due = []
                    while self._late and self._late[0][0] <= time.monotonic():
                        due.append(heapq.heappop(self._late))
                for _, _, queue, text in due:
                    with contextlib.suppress(redis.RedisError):  # then it is lost, as in a Redis that was killed
                        client.lpush(queue, text)


def _parsed(data: bytes) -> tuple[list[bytes], int] | None:
    """The first command in ``data`` and its length; None if it is not complete."""
    end = data.find(b"\r\n")
    if end < 0:
        return None
    assert data[:1] == b"*", data[:40]
    words, at = [], end + 2
    for _ in range(int(data[1:end])):
        end = data.find(b"\r\n", at)
        if end < 0 or len(data) < end + 4 + (size := int(data[at + 1 : end])):
            return None
        words.append(data[end + 2 : end + 2 + size])
        at = end + 4 + size
    return words, at


def _end(*sockets: socket.socket) -> None:
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            each.close()
