"""Orders go out as a person and Celery can read them, outcomes come in, and rubbish does no harm."""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import kombu
import pytest
import redis

from farm.broker import Broker, celery_app, check_broker, redis_client
from farm.coordinator.service import Coordinator
from farm.database.models import Event, Worker
from farm.errors import AttemptStopped, BrokerError
from farm.local.redis import EmbeddedRedis
from farm.messages import (
    OUTCOMES,
    Artefact,
    Completed,
    Failed,
    GivenBack,
    Goodbye,
    Hello,
    Message,
    Order,
    Progress,
    Started,
    load_outcome,
    queue_of,
    stop_key,
)
from farm.settings import Settings
from farm.signing import Signer
from farm.supervision import Supervisor
from farm.transport import ASIDE
from tests.integration.coordinator.conftest import Bench
from workers.reporting import ProgressReporter, Reporter

pytestmark = pytest.mark.integration

ARTEFACT = Artefact(key="a/b", size=3, sha256="0" * 64, frames=5)
OUTCOMES_OF_ALL_KINDS: list[Message] = [
    Hello(worker="w0", incarnation="a", host="h", device="cpu0", pid=1),
    Started(token="t", worker="w0"),
    Progress(token="t", worker="w0", frames=3),
    Completed(token="t", worker="w0", artefact=ARTEFACT, spent={"decode": 0.5}, notes=("a → b",)),
    Failed(token="t", worker="w0", cause="infrastructure", reason="killed\n", permanent=True),
    GivenBack(token="t", worker="w0", reason="told to stop"),
    Goodbye(worker="w0", incarnation="a"),
]


def order(stage: str = "detect") -> Order:
    return Order.model_validate(
        {
            "job": "abc", "stage": stage, "chunk": 2, "chunks": 12, "attempt": 1, "token": "feed" * 6,
            "fingerprint": "f", "plan": "plans/p", "source": "/in.mp4", "inputs": [ARTEFACT], "options": {},
            "model_sha256": "1" * 64,
        }
    )  # fmt: skip


@pytest.fixture
def here(bench: Bench, redis_server: object) -> Iterator[Settings]:
    """The settings of a farm whose Redis runs."""
    settings = bench.context.settings
    server = EmbeddedRedis(settings, Supervisor(print))
    server.start()
    yield settings
    server.stop()


@pytest.fixture
def client(here: Settings) -> Iterator[redis.Redis]:
    with redis_client(here) as client:
        yield client


@pytest.fixture
def broker(here: Settings) -> Iterator[Broker]:
    broker = Broker(here)
    yield broker
    broker.close()


@pytest.fixture
def reporter(here: Settings) -> Iterator[Reporter]:
    reporter = Reporter(here)
    yield reporter
    reporter.close()


@pytest.fixture
def signer(here: Settings) -> Signer:
    return Signer.load(here.key_path)


def nothing_expected(body: object) -> None:
    pytest.fail(f"nobody sent {body!r}")


def lying_in(client: redis.Redis, queue: str) -> Any:
    (message,) = client.lrange(queue, 0, -1)
    return json.loads(message)


@pytest.mark.parametrize("stage", ["detect", "redact", "compose"])
def test_an_order_lies_in_its_workers_queue(broker: Broker, client: redis.Redis, signer: Signer, stage: str) -> None:
    broker.publish(order(stage), queue_of("cpu0@host"))
    message = lying_in(client, "worker:cpu0@host")
    headers = message["headers"]
    assert headers["task"] == stage
    assert headers["id"] == order().token
    assert (headers["argsrepr"], headers["kwargsrepr"]) == ("()", f"job=abc, stage={stage}, chunk=3/12")
    assert message["content-type"] == "application/json"
    _, kwargs, _ = json.loads(base64.b64decode(message["body"]))
    assert {k: kwargs[k] for k in ("job", "stage", "chunk")} == {"job": "abc", "stage": stage, "chunk": "3/12"}
    assert Order.model_validate_json(kwargs["order"]["signed"]) == order(stage)
    assert kwargs["order"] == signer.sign(order(stage).model_dump(mode="json"), "worker:cpu0@host")
    assert broker.waiting(["cpu0@host", "cpu1@host"]) == {order().token}
    assert broker.waiting(["cpu1@host"]) == set()


def test_tokens_are_read_from_the_messages_headers_only(broker: Broker, client: redis.Redis) -> None:
    mentions = order().model_copy(update={"token": "beef" * 6, "source": order().token})
    broker.publish(mentions, queue_of("w0"))
    for rubbish in (b"rubbish", b"\xff\x00", b"{}", b"[]", b'{"headers": null}', b'{"headers": {"id": []}}'):
        client.lpush(queue_of("w0"), rubbish)
    assert broker.waiting(["w0"]) == {"beef" * 6}


def test_a_queue_is_deleted_with_its_orders(broker: Broker, client: redis.Redis) -> None:
    for worker in ("w0", "w1"):
        broker.publish(order(), queue_of(worker))
    broker.delete_queue("w0")
    assert (client.llen(queue_of("w0")), client.llen(queue_of("w1"))) == (0, 1)


def test_outcomes_of_all_kinds_arrive_in_order_once(broker: Broker, reporter: Reporter, client: redis.Redis) -> None:
    for outcome in OUTCOMES_OF_ALL_KINDS:
        reporter.send(outcome)
    found: list[Message] = []
    broker.receive(lambda body: found.append(load_outcome(body)), wait=2)
    assert found == OUTCOMES_OF_ALL_KINDS
    assert broker.receive(nothing_expected, wait=0.01) == 0
    assert client.llen(OUTCOMES) == 0
    assert not client.exists("unacked")


def test_waiting_for_outcomes_ends(broker: Broker) -> None:
    began = time.monotonic()
    assert broker.receive(nothing_expected, wait=0.2) == 0
    assert 0.1 < time.monotonic() - began < 2


def test_an_outcome_that_could_not_be_handled_comes_again(broker: Broker, reporter: Reporter) -> None:
    reporter.send(OUTCOMES_OF_ALL_KINDS[1])

    def refuse(_: object) -> None:
        raise LookupError("the database is away")

    with pytest.raises(LookupError):
        broker.receive(refuse, wait=2)
    found: list[object] = []
    assert broker.receive(found.append, wait=2) == 1
    assert load_outcome(found[0]) == OUTCOMES_OF_ALL_KINDS[1]


def test_an_outcome_that_arrives_while_the_connection_closes_is_left_in_the_queue(
    broker: Broker, reporter: Reporter, client: redis.Redis
) -> None:
    found: list[object] = []
    assert broker.receive(found.append, wait=0.05) == 0  # leaves a BRPOP waiting
    reporter.send(OUTCOMES_OF_ALL_KINDS[1])
    broker.reset()
    assert found == []
    assert client.llen(OUTCOMES) == 1
    assert broker.receive(found.append, wait=2) == 1


def as_json(connection: kombu.Connection, body: object, **how: Any) -> None:
    kombu.Producer(connection).publish(body, exchange="", routing_key=OUTCOMES, **how)


RUBBISH: dict[str, Callable[[kombu.Connection, redis.Redis], object]] = {
    "no outcome": lambda c, _: as_json(c, {"kind": "nonsense"}),
    "an unknown field": lambda c, _: as_json(c, {"kind": "started", "token": "t", "worker": "w", "x": 1}),
    "a number": lambda c, _: as_json(c, 7),
    "nothing": lambda c, _: as_json(c, None),
    "not a message": lambda _, r: r.lpush(OUTCOMES, b"rubbish"),
    "not text": lambda _, r: r.lpush(OUTCOMES, b"\xff\x00"),
    "an empty message": lambda _, r: r.lpush(OUTCOMES, b"{}"),
    "a pickle": lambda c, _: as_json(c, {"kind": "started"}, serializer="pickle"),
    "JSON that is none": lambda c, _: as_json(c, b"{", content_type="application/json", content_encoding="utf-8"),
    "nested deeply": lambda _, r: r.lpush(OUTCOMES, b"[" * 100_000 + b"]" * 100_000),
    "a body nested deeply": lambda _, r: r.lpush(
        OUTCOMES, json.dumps({"body": base64.b64encode(b"[" * 100_000).decode()})
    ),
    "a large number": lambda _, r: r.lpush(OUTCOMES, b"1" * 100_000),
    "50 MB": lambda _, r: r.lpush(OUTCOMES, b'{"body": "' + b"A" * 50_000_000 + b'"}'),
    "an encoding that is none": lambda c, _: as_json(
        c, b"{}", content_type="application/json", content_encoding="nonsense"
    ),
}


def test_rubbish_is_moved_aside_and_the_loop_goes_on(
    bench: Bench, here: Settings, client: redis.Redis, reporter: Reporter
) -> None:
    """All of it in one queue, before a word that counts; none of it comes again, and a person can see it."""
    stop, coordinator = threading.Event(), Coordinator(bench.context)
    with celery_app(here, "rubbish").connection_for_write() as connection:
        for put in RUBBISH.values():
            put(connection, client)
        as_json(connection, OUTCOMES_OF_ALL_KINDS[1].model_dump(mode="json"))  # nobody signed it
    reporter.send(OUTCOMES_OF_ALL_KINDS[0])
    stop.wait = lambda timeout=None: False  # type: ignore[method-assign]  # no pause after a defect
    loop = threading.Thread(target=coordinator.run, args=[stop])
    loop.start()
    try:
        until = time.monotonic() + 30
        while not coordinator.ended.is_set() and time.monotonic() < until:
            with bench.context.database.read() as session:
                if session.get(Worker, "w0") and session.query(Event).filter(Event.text.contains("aside")).count():
                    break
            time.sleep(0.02)
    finally:
        stop.set()
        loop.join()
    with bench.context.database.read() as session:
        assert session.get(Worker, "w0") is not None
        told = [e.text for e in session.query(Event) if "moved aside" in e.text]
    assert 0 < len(told) <= 5
    assert all(text.startswith("outcomes: a message was moved aside: ") for text in told)
    assert client.llen(OUTCOMES) == 0
    assert client.llen(ASIDE) == len(RUBBISH) + 1
    assert all(len(raw) <= 4096 for raw in client.lrange(ASIDE, 0, -1))


def test_a_stop_key_reaches_its_worker_only(broker: Broker, reporter: Reporter, client: redis.Redis) -> None:
    report = ProgressReporter(reporter, order(), "w0", 0.0)
    report(1)
    broker.stop(order().token, "w1")
    report(2)
    broker.stop(order().token, "w0")
    with pytest.raises(AttemptStopped):
        report(3)
    assert 0 < client.ttl(stop_key(order().token, "w0")) <= 24 * 3600
    found: list[Any] = []
    broker.receive(found.append, wait=2)
    assert [body["frames"] for body in found] == [1, 2, 3]


def test_emptied_is_said_once_for_every_time(broker: Broker, client: redis.Redis) -> None:
    assert broker.emptied()
    assert not broker.emptied()
    client.flushall()
    assert broker.emptied()
    assert not broker.emptied()


def test_a_password_is_in_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(broker_url="redis://user:s3cret@127.0.0.1:1/0")
    with pytest.raises(BrokerError, match=r"redis://user:\*\*\*@127\.0\.0\.1:1/0 does not answer") as caught:
        check_broker(settings)
    assert "s3cret" not in str(caught.value)
    assert "FARM_BROKER_URL" in str(caught.value)


def test_a_broker_that_answers_is_no_error(here: Settings) -> None:
    check_broker(here)
