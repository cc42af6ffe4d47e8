"""Many simulated workers in one process: ``python -m tests.benchmarks.simulated_workers COUNT``, for ``FARM_HOME``.

They take real orders from Redis, write tiny results to the store, and report them; they decode and encode nothing.
"""

import base64
import json
import sys
import time

import redis

from farm.broker import redis_client
from farm.messages import Order, queue_of
from farm.processes import end_with_input
from farm.settings import load_settings
from farm.signing import Signer
from farm.storage.opening import open_storage
from tests.integration.coordinator.simulated import SimulatedWorker
from workers.reporting import Reporter


def run(count: int) -> None:
    """Work until the process is ended."""
    settings = load_settings()
    store, client, reporter = open_storage(settings), redis_client(settings), Reporter(settings)
    signer = Signer.load(settings.key_path)
    workers = [SimulatedWorker(f"w{n:02}@h") for n in range(count)]
    for worker in workers:
        reporter.send(worker.begin(time.time(), host_restarted=False))
    heard = time.monotonic()
    while True:
        if time.monotonic() - heard > settings.heartbeat_seconds:
            heard = time.monotonic()
            for worker in workers:
                reporter.send(worker.hello())
        for worker in workers:
            if order := _taken(client, signer, worker):
                reporter.send(worker.take(order))
                reporter.send(worker.progress())
                reporter.send(worker.complete(store))


def _taken(client: redis.Redis, signer: Signer, worker: SimulatedWorker) -> Order | None:
    """The next order in a worker's queue, as kombu wrote it."""
    queue = queue_of(worker.name)
    message = client.rpop(queue)
    if message is None:
        return None
    _, kwargs, _ = json.loads(base64.b64decode(json.loads(message)["body"]))  # type: ignore[arg-type]  # not awaited
    return Order.model_validate(signer.open(kwargs["order"], queue))


if __name__ == "__main__":
    end_with_input()
    run(int(sys.argv[1]))
