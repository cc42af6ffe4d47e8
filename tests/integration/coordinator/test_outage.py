"""A Redis that goes away and comes back only makes the coordinator wait."""

import contextlib
import threading
import time
from collections.abc import Callable

import pytest
from billiard.exceptions import WorkerLostError
from celery import Celery

from farm.broker import BROKER_ERRORS, Broker, celery_app, redis_client
from farm.coordinator.dispatch import dispatch, publish
from farm.coordinator.service import Coordinator
from farm.database.models import Attempt
from farm.domain.artefacts import key_of
from farm.domain.manifest import Manifest
from farm.local.redis import EmbeddedRedis
from farm.messages import Artefact, Completed, Hello, queue_of
from farm.settings import Settings
from tests.integration.coordinator.conftest import Bench, ends, tokens, wait_until
from workers.child import Child
from workers.reporting import Reporter
from workers.signals import Presence

pytestmark = pytest.mark.integration
AddJob = Callable[..., Manifest]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kombu tries for seconds before it says that there is no Redis."""

    def impatient_app(settings: Settings, name: str = "blurfarm") -> Celery:
        app = celery_app(settings, name)
        app.conf.broker_connection_timeout = 0.3
        return app

    monkeypatch.setattr("farm.broker.celery_app", impatient_app)


def test_publishing_goes_on_with_a_redis_that_came_back(bench: Bench, server: EmbeddedRedis, add_job: AddJob) -> None:
    add_job(chunks=1)
    bench.hello()
    dispatch(bench.context)
    with contextlib.closing(Broker(bench.context.settings)) as broker:
        assert broker.emptied()
        server.stop()
        with pytest.raises(BROKER_ERRORS):
            publish(bench.context, broker)
        server.start()
        assert publish(bench.context, broker) == 1
        assert broker.waiting(["w0"]) == {tokens(bench)[0]}


def test_the_loop_outlives_its_redis(bench: Bench, server: EmbeddedRedis, add_job: AddJob) -> None:
    add_job()  # of two chunks: linking would miss what is not in the store
    bench.hello()
    stop, coordinator = threading.Event(), Coordinator(bench.context)
    loop = threading.Thread(target=coordinator.run, args=[stop])
    loop.start()
    reporter = Reporter(bench.context.settings)
    try:
        with redis_client(bench.context.settings) as client:
            wait_until(lambda: client.llen(queue_of("w0")) == 2)
        server.stop()
        server.start()
        with redis_client(bench.context.settings) as client:
            wait_until(lambda: client.llen(queue_of("w0")) == 2)
        assert ends(bench) == [("lost", None), ("queued", None)]
        artefact = Artefact(key=key_of(bench.chunk().name, "0" * 64), size=1, sha256="0" * 64, frames=5)
        reporter.send(Completed(token=tokens(bench)[1], worker="w0", artefact=artefact))
        wait_until(lambda: bench.chunk().status == "done")
    finally:
        reporter.close()
        stop.set()
        loop.join()
    assert coordinator.ended.is_set()
    with bench.context.database.read() as session:
        assert session.query(Attempt).count() == 4


def test_the_report_of_a_killed_child_waits_for_redis_and_keeps_nobody_waiting(
    bench: Bench, server: EmbeddedRedis
) -> None:
    settings = bench.context.settings.model_copy(update={"heartbeat_seconds": 0.2})
    hello = Hello(
        worker="w0", incarnation="i", host="h", device="cpu0", pid=1, encoders=(), runtimes=("onnxruntime-f32",)
    )
    presence = Presence(settings, hello, Child(settings, "w0", "cpu0", bench.context.store))
    server.stop()
    presence._begin_heartbeat()
    try:
        began = time.monotonic()
        presence._report_killed_child("t0", WorkerLostError("signal 9"))
        assert time.monotonic() - began < 0.5
        server.start()
        with contextlib.closing(Broker(settings)) as broker:
            bodies: list[object] = []
            wait_until(lambda: broker.receive(bodies.append, 0.1) and any("t0" in str(body) for body in bodies))
        assert [body for body in bodies if "t0" in str(body)] == [
            {"kind": "failed", "token": "t0", "worker": "w0", "cause": "infrastructure", "permanent": False,
             "damaged": None, "reason": "its process was killed: signal 9", "death": None, "frames": 0}
        ]  # fmt: skip
    finally:
        presence._stopping.set()
