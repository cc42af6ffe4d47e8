"""Whoever can write to Redis decides nothing: what is not signed for its queue is moved aside, and told."""

import base64
import json
from collections.abc import Callable
from typing import cast

import pytest
import redis

from farm.broker import Broker
from farm.coordinator.dispatch import dispatch, publish
from farm.coordinator.outcomes import accept
from farm.coordinator.service import Coordinator
from farm.coordinator.sweep import Sweeper
from farm.database.models import Event
from farm.domain.manifest import Manifest
from farm.messages import OUTCOMES, Artefact, Completed, Hello, Message, Outcome, Refused, load_outcome, queue_of
from farm.signing import Signer
from farm.transport import ASIDE
from tests.integration.coordinator.conftest import Bench, ends, later, send_out, tokens
from workers.reporting import Reporter

pytestmark = pytest.mark.integration
AddJob = Callable[..., Manifest]
FORGED = Artefact(key="segments/other/0_0_5.mp4", size=3, sha256="0" * 64, frames=5)


def events(bench: Bench) -> list[tuple[str | None, str]]:
    with bench.context.database.read() as session:
        return [
            (e.job_id, e.text) for e in session.query(Event).order_by(Event.id) if "aside" in e.text and e.chunk is None
        ]


def received(broker: Broker) -> list[Message]:
    found: list[Message] = []
    broker.receive(lambda body: found.append(load_outcome(body)), wait=2)
    return found


def take(bench: Bench, broker: Broker) -> None:
    """As the coordinator does."""
    for outcome in received(broker):
        accept(bench.context, cast("Outcome", outcome))


def put(client: redis.Redis, queue: str, body: object, headers: object = None) -> None:
    """A message as kombu writes it."""
    coded = base64.b64encode(json.dumps(body).encode()).decode()
    properties = {"body_encoding": "base64", "delivery_tag": "t", "delivery_info": {"exchange": "", "routing_key": ""}}
    message = {"body": coded, "content-type": "application/json", "content-encoding": "utf-8"}
    client.lpush(queue, json.dumps({**message, "headers": headers or {}, "properties": properties}))


@pytest.fixture
def signer(bench: Bench, server: object) -> Signer:
    return Signer.load(bench.context.settings.key_path)


def test_a_forged_outcome_changes_nothing_and_is_told(
    bench: Bench, broker: Broker, client: redis.Redis, add_job: AddJob
) -> None:
    send_out(bench, broker, add_job)
    forged = Completed(token=tokens(bench)[0], worker="w0", artefact=FORGED).model_dump(mode="json")
    other = Signer(b"o" * 32)
    for body in (forged, other.sign(forged, OUTCOMES), {"signed": json.dumps(forged), "mac": "0" * 64}):
        put(client, OUTCOMES, body)
    coordinator = Coordinator(bench.context, sole=True)
    coordinator._leading.take()
    for _ in range(10):
        coordinator.step()
    assert ends(bench) == [("queued", None)]
    assert bench.chunk().status == "queued"
    text = "outcomes: a message was moved aside: it is not signed with this farm's key for this queue"
    assert events(bench) == [(None, text)] * 3
    assert client.llen(ASIDE) == 3
    coordinator._broker.close()


def test_an_order_is_worth_nothing_as_an_outcome_or_for_another_worker(
    broker: Broker, client: redis.Redis, signer: Signer, bench: Bench, add_job: AddJob
) -> None:
    send_out(bench, broker, add_job)
    (genuine,) = client.lrange(queue_of("w0"), 0, -1)
    assert isinstance(genuine, bytes)
    for queue in (queue_of("w1"), OUTCOMES):
        client.lpush(queue, genuine)
    envelope = json.loads(base64.b64decode(json.loads(genuine)["body"]))[1]["order"]
    put(client, OUTCOMES, envelope)
    assert broker.waiting(["w0"]) == {tokens(bench)[0]}
    assert broker.waiting(["w1"]) == set()
    refused = received(broker)
    assert [(type(m), m.queue) for m in refused if isinstance(m, Refused)] == [(Refused, OUTCOMES)] * 2
    assert len(refused) == 2


def test_an_altered_order_counts_as_lost_for_the_sweep(
    bench: Bench, broker: Broker, client: redis.Redis, sweeper: Sweeper, add_job: AddJob
) -> None:
    send_out(bench, broker, add_job)
    (genuine,) = client.lrange(queue_of("w0"), 0, -1)
    message = json.loads(genuine)
    body = json.loads(base64.b64decode(message["body"]))
    body[1]["order"]["signed"] = body[1]["order"]["signed"].replace('"attempt":1', '"attempt":2')
    message["body"] = base64.b64encode(json.dumps(body).encode()).decode()
    client.delete(queue_of("w0"))
    client.lpush(queue_of("w0"), json.dumps(message))
    later(bench, sweeper, 40, "w0")
    assert ends(bench) == [("lost", "farm")]


def test_the_chunk_of_a_refused_order_is_assigned_again_at_once(bench: Bench, broker: Broker, add_job: AddJob) -> None:
    send_out(bench, broker, add_job)
    refused = Refused(queue=queue_of("w0"), reason="it is no order (KeyError)", token=tokens(bench)[0])
    accept(bench.context, refused.model_copy(update={"queue": queue_of("w1")}))
    assert ends(bench) == [("queued", None)]  # another worker's
    accept(bench.context, refused)
    assert ends(bench) == [("lost", None)]  # counts for no limit
    job = bench.job().id
    text = "a message was moved aside: it is no order (KeyError)"
    assert events(bench) == [(None, f"worker:w1: {text}"), (job, f"worker:w0: {text}")]
    bench.clock.pass_(1)
    (again,) = bench.orders()
    accept(bench.context, refused)  # a second time: the attempt has ended
    assert ends(bench) == [("lost", None), ("queued", None)]
    bench.start(again)
    accept(bench.context, refused.model_copy(update={"token": again.token}))  # its worker has begun the genuine one
    assert ends(bench) == [("lost", None), ("leased", None)]


def test_genuine_messages_that_come_again_later_change_nothing(
    bench: Bench, broker: Broker, client: redis.Redis, add_job: AddJob, signer: Signer
) -> None:
    """A recorded order and all outcomes of a chunk, before and after the chunk was done by another attempt."""
    send_out(bench, broker, add_job)
    (recorded,) = client.lrange(queue_of("w0"), 0, -1)
    assert isinstance(recorded, bytes)
    reporter = Reporter(bench.context.settings)
    artefact = FORGED.model_copy(update={"key": "first/try"})
    reporter.send(Completed(token=tokens(bench)[0], worker="w0", artefact=artefact))
    (outcome,) = client.lrange(OUTCOMES, 0, -1)
    assert isinstance(outcome, bytes)
    client.delete(OUTCOMES)
    accept(bench.context, Refused(queue=queue_of("w0"), reason="r", token=tokens(bench)[0]))
    bench.clock.pass_(1)
    (again,) = bench.orders()
    bench.start(again)
    for _ in range(2):
        client.lpush(OUTCOMES, outcome)
    take(bench, broker)
    assert bench.chunk().status == "leased"
    bench.complete(again)
    done = bench.chunk().artefact
    client.lpush(OUTCOMES, outcome)
    client.lpush(queue_of("w0"), recorded)
    take(bench, broker)
    assert bench.chunk().artefact == done != artefact.model_dump(mode="json")
    reporter.close()


def test_keys_of_another_type_are_mended(
    bench: Bench, broker: Broker, client: redis.Redis, sweeper: Sweeper, add_job: AddJob
) -> None:
    """Queues that are strings, to write to and to read from, and what kombu once kept in Redis."""
    add_job(chunks=1)
    bench.hello()
    dispatch(bench.context)
    for key in (queue_of("w0"), OUTCOMES, "unacked", "unacked_index", "unacked_mutex", ASIDE):
        client.set(key, "rubbish")
    publish(bench.context, broker)
    assert client.type(queue_of("w0")) == b"list"
    client.delete(queue_of("w0"))
    client.hset(queue_of("w0"), "a", "b")
    sweeper.sweep()
    reporter = Reporter(bench.context.settings)
    hello = Hello(worker="w0", incarnation="a", host="h", device="cpu0", pid=1)
    reporter.send(hello)
    assert received(broker) == [hello]
    client.set(OUTCOMES, "rubbish")
    assert received(broker) == []
    reporter.send(hello)
    assert received(broker) == [hello]
    client.lpush(OUTCOMES, "rubbish")  # the list of what is moved aside is a string, too
    assert [type(m) for m in received(broker)] == [Refused]
    reporter.close()


def test_a_signed_message_of_another_version_is_told_once(bench: Bench, client: redis.Redis, signer: Signer) -> None:
    for _ in range(3):
        put(client, OUTCOMES, signer.sign({"kind": "started", "token": "t", "worker": "w", "new": 1}, OUTCOMES))
    coordinator = Coordinator(bench.context, sole=True)
    coordinator._leading.take()
    for _ in range(6):
        coordinator.step()
    coordinator._broker.close()
    with bench.context.database.read() as session:
        said = [e.text for e in session.query(Event) if "another version" in e.text]
    assert said == ["outcomes of another version of the farm are dropped: started.new: Extra inputs are not permitted"]
    assert client.llen(OUTCOMES) == 0


def test_reports_about_a_flood_are_few(broker: Broker, client: redis.Redis) -> None:
    for n in range(300):
        client.lpush(OUTCOMES, f"rubbish {n}")
    found: list[Message] = []
    for _ in range(3):
        broker.receive(lambda body: found.append(load_outcome(body)), wait=0.5)
    assert len(found) == 5
    assert client.llen(ASIDE) == 100
    assert client.llen(OUTCOMES) == 0
