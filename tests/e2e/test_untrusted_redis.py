"""A farm whose Redis somebody writes to: the workers go on, and what they do is what was ordered."""

import base64
import json
import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from farm.settings import load_settings
from tests.e2e.conftest import Farm, assert_exact

pytestmark = pytest.mark.e2e
_HOST = socket.gethostname()
_QUEUES = [f"worker:cpu{n}@{_HOST}" for n in range(2)]
_TASK = {"id": "0" * 24, "task": "detect", "lang": "py"}


@pytest.fixture
def client(farm: Farm) -> Iterator[redis.Redis]:
    with redis.Redis(unix_socket_path=str(load_settings(home=farm.home).redis_socket)) as client:
        yield client


def tracks(farm: Farm) -> list[str]:
    """What the linker wrote, chunk by chunk."""
    files = (farm.home / "store" / "masks").rglob("*.jsonl")
    return [path.read_text() for path in sorted(files, key=lambda path: int(path.name.split("_")[1]))]


def message(body: object, headers: object = _TASK, content_type: object = "application/json") -> str:
    properties = {"body_encoding": "base64", "delivery_tag": "t", "delivery_info": {"exchange": "", "routing_key": ""}}
    coded = base64.b64encode(json.dumps(body).encode()).decode()
    kind = {"content-type": content_type, "content-encoding": "utf-8"}
    return json.dumps({"body": coded, "headers": headers, "properties": properties, **kind})


def rubbish() -> list[str | bytes]:
    order = [[], {"order": {}}, {}]
    return [
        b"rubbish", b"\xff\x00", b"{}", b"[]", b"null", b"7", b"[" * 100_000, b"9" * 10_000,
        message(order, content_type="application/x-python-serialize"), message(order, content_type=None),
        message(order, headers=None), message(order, headers={}),
        message(order, headers={**_TASK, "task": "os.system"}),
        message(order, headers={**_TASK, "eta": "2999-01-01T00:00:00", "expires": 7, "timelimit": [1, 1]}),
        message(order, headers={**_TASK, "id": ["a"], "compression": "zlib"}), message([1, 2]), message({}),
        message([[], {"order": "o"}, {"callbacks": [{"task": "x"}]}]), b'{"body": "' + b"A" * 50_000_000 + b'"}',
    ]  # fmt: skip


def test_rubbish_in_every_queue_disturbs_nobody(farm: Farm, client: redis.Redis, clip: Path, tmp_path: Path) -> None:
    up = farm.up()
    pids = farm.worker_pids()
    children = {child.pid for pid in pids for child in psutil.Process(pid).children()}
    for queue in (*_QUEUES, "outcomes"):
        for each in rubbish():
            client.lpush(queue, each)
    control: dict[str, object] = {
        "method": "shutdown",
        "arguments": {},
        "destination": None,
        "pattern": None,
        "matcher": None,
    }
    for each in (b"rubbish", b"[" * 100_000, b"{}", b"7", message(7, {}), message(control, {})):
        for channel in ("/0.celery.pidbox", "/0.celeryev/worker.heartbeat"):
            client.publish(channel, each)
    for key in ("unacked", "unacked_index", "unacked_mutex", "_kombu.binding.celery.pidbox"):
        client.set(key, "rubbish")
    client.sadd("_kombu.binding.reply.celery.pidbox", b"rubbish", b"\xff\x06\x16\x06\x16")
    farm.wait_until(lambda: not any(client.exists(queue) for queue in _QUEUES), "empty queues", up)
    refused = re.compile(rf"^.* worker:cpu0@{re.escape(_HOST)}: .*moved aside: it is no order", flags=re.MULTILINE)
    farm.wait_until(lambda: bool(refused.search(farm.run("status").stdout)), "an event", up)
    for key in (*_QUEUES, *(f"{queue}\x06\x163" for queue in _QUEUES), "outcomes"):
        client.set(key, "rubbish")
    time.sleep(2)
    farm.run("submit", clip, "-o", tmp_path / "out.mp4", "--chunk-seconds", 1)
    assert_exact(clip, tmp_path / "out.mp4")
    assert farm.worker_pids() == pids
    assert {child.pid for pid in pids for child in psutil.Process(pid).children()} == children
    assert farm.job()["failures"] == 0


def test_an_altered_order_is_done_as_it_was_meant(farm: Farm, client: redis.Redis, clip: Path, tmp_path: Path) -> None:
    undisturbed = Farm(tmp_path / "other", Path(farm.env["FARM_MODELS_DIR"]))
    options = ("--chunk-seconds", 1, "--threshold", 0.2)
    undisturbed.run("submit", clip, "-o", tmp_path / "expected.mp4", *options)
    farm.up()
    workers = [psutil.Process(pid) for pid in farm.worker_pids()]
    for worker in workers:
        worker.suspend()
    time.sleep(1.5)  # what was popped for a suspended worker has to be out of the way
    farm.run("submit", clip, "-o", tmp_path / "out.mp4", *options, "--detach")
    altered = 0
    farm.wait_until(lambda: any(client.llen(queue) for queue in _QUEUES), "orders")
    for queue in _QUEUES:
        for raw in client.lrange(queue, 0, -1):
            assert isinstance(raw, bytes)
            whole = json.loads(raw)
            body = base64.b64decode(whole["body"]).decode()
            forged, count = re.subn(r'(\\?"threshold\\?": ?)[0-9.]+', r"\g<1>0.999", body)
            whole["body"] = base64.b64encode(forged.encode()).decode()
            altered += count
            client.lrem(queue, 1, raw)  # type: ignore[arg-type]  # the stubs want text
            client.lpush(queue, json.dumps(whole))
    assert altered
    began = time.monotonic()
    for worker in workers:
        worker.resume()
    farm.run("watch", farm.json("list")[0]["id"])
    assert time.monotonic() - began < 25  # not after the 30 s in which an order counts as under way
    assert tracks(farm) == tracks(undisturbed)
    assert "[]" not in tracks(undisturbed)[0].splitlines()[0]
    job = farm.job()
    assert any("moved aside: it is not signed with this farm's key" in event["text"] for event in job["events"])
    assert job["failures"] == 0
