"""What a chunk costs the coordinator, with 64 simulated workers: the same in a job of 1,000 chunks and of 10,000.

A shared machine changes its speed within minutes. So a loop of fixed length is timed all along: the CPU time of a chunk
is given in milliseconds, and in such loops.
"""

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from farm.broker import redis_client
from farm.coordinator.service import Coordinator
from farm.database.session import Database
from farm.domain.stages import JobStatus
from farm.jobs.context import Context
from farm.jobs.queries import count_jobs
from farm.local.redis import EmbeddedRedis
from farm.messages import OUTCOMES
from farm.settings import Settings, load_settings
from tests.benchmarks.conftest import report
from tests.conftest import PROJECT
from tests.integration.coordinator.conftest import AddJob, Bench
from tests.integration.coordinator.test_scale import counted

pytestmark = pytest.mark.benchmarks
WORKERS = 64
#: Jobs, and chunks of each.
SIZES = [
    tuple(map(int, size.split("x"))) for size in os.environ.get("FARM_SCALE", "1x1000 1x3000 1x10000 10x1000").split()
]
_HEAD = [
    "",
    "CPU ms",
    "CPU loops",
    "statements",
    "write transactions",
    "Redis peak, MiB",
    "longest queue of outcomes",
    "wall s",
]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    url = None if request.param == "sqlite" else str(request.getfixturevalue("fresh_postgres"))
    return load_settings(home=tmp_path / "home", database_url=url)


@pytest.fixture(scope="module")
def rows() -> Iterator[list[list[Any]]]:
    rows: list[list[Any]] = [_HEAD]
    yield rows
    report(f"The coordinator, {WORKERS} simulated workers; CPU and SQL per chunk", rows)


@contextmanager
def simulated_workers(settings: Settings) -> Iterator[None]:
    command = [sys.executable, "-m", "tests.benchmarks.simulated_workers", str(WORKERS)]
    env = {**os.environ, **settings.for_children()}
    workers = subprocess.Popen(command, stdin=subprocess.PIPE, env=env, cwd=PROJECT)
    try:
        yield
        assert workers.poll() is None
    finally:
        workers.kill()
        workers.communicate()


@pytest.mark.parametrize(("jobs", "chunks"), [(int(jobs), int(chunks)) for jobs, chunks in SIZES])
def test_scale(
    bench: Bench, add_job: AddJob, server: EmbeddedRedis, rows: list[list[Any]], jobs: int, chunks: int
) -> None:
    context = replace(bench.context, clock=time.time)
    for number in range(jobs):
        add_job(job_id=f"job{number}", chunks=chunks, output=f"out{number}.mp4")
    coordinator, stop = Coordinator(context, sole=True), threading.Event()
    with counted(context.database.engine) as counts, simulated_workers(context.settings):
        loop = threading.Thread(target=coordinator.run, args=[stop])
        began, cpu = time.monotonic(), time.process_time()
        loop.start()
        try:
            longest, loops = _watch(context, jobs)
            cpu, wall = time.process_time() - cpu - sum(loops), time.monotonic() - began
        finally:
            stop.set()
            loop.join()
    with redis_client(context.settings) as client:
        peak = client.info("memory")["used_memory_peak"]
    each = jobs * chunks
    name = f"{context.database.engine.dialect.name}, {jobs} × {chunks}"
    in_loops = cpu / each / statistics.median(loops)
    per_chunk = [
        f"{1000 * cpu / each:.1f}",
        f"{in_loops:.1f}",
        f"{counts['statements'] / each:.1f}",
        f"{counts['writes'] / each:.1f}",
    ]
    rows.append([name, *per_chunk, f"{peak / (1 << 20):.1f}", longest, f"{wall:.0f}"])
    print(rows[-1], flush=True)


def _watch(context: Context, jobs: int) -> tuple[int, list[float]]:
    """Wait until all jobs are done; the length that the queue of outcomes had at most, and the seconds of each loop."""
    loops = list[float]()
    longest, other = 0, Context(context.settings, Database(context.settings.sql_url), context.store)
    with redis_client(context.settings) as client:
        while (counts := count_jobs(other)).get(JobStatus.DONE, 0) < jobs:
            assert not counts.get(JobStatus.FAILED), counts
            longest = max(longest, int(client.llen(OUTCOMES)))
            loops.append(_loop())
            time.sleep(0.5)
    other.database.close()
    return longest, loops


def _loop() -> float:
    """The CPU seconds of a loop of fixed length."""
    began, total = time.thread_time(), 0
    for n in range(50_000):
        total += n
    return time.thread_time() - began
