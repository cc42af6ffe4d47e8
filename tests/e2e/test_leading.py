"""Two coordinators over one PostgreSQL and one Redis: one leads, and the other takes over from it."""

import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from farm import processes
from tests.conftest import ClipMaker
from tests.e2e.conftest import SLOWLY, Farm, assert_exact

pytestmark = [pytest.mark.e2e, pytest.mark.postgres, pytest.mark.faults]


class Coordinators:
    """Two of them, as a person starts them on two hosts: each with its output in a file."""

    def __init__(self, farm: Farm, database: str) -> None:
        self._farm = farm
        self._engine = create_engine(database)
        self.logs = [farm.home / "logs" / f"coordinator{n}.log" for n in (1, 2)]
        self.both = [self.start(log) for log in self.logs]

    def start(self, log: Path) -> "subprocess.Popen[bytes]":
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out:
            return subprocess.Popen(
                [sys.executable, "-m", "farm", "coordinator"], env=self._farm.env, stdout=out, stderr=out
            )

    def leader(self) -> Any:
        """The holder, pid and beat of the row."""
        with self._engine.connect() as connection:
            return connection.execute(text("SELECT holder, pid, beat FROM leaders")).one_or_none()

    def close(self) -> None:
        processes.stop(self.both, grace=20)
        self._engine.dispose()


def test_one_leads_and_the_other_takes_over(
    farm: Farm, fresh_postgres: str, shared_redis: str, make_clip: ClipMaker, tmp_path: Path
) -> None:
    source, out = make_clip(seconds=6, size=(640, 360), fps=25, gop=25), tmp_path / "out.mp4"
    farm.env |= {"FARM_DATABASE_URL": fresh_postgres, "FARM_BROKER_URL": shared_redis}
    farm.json("list")  # creates the tables
    coordinators = Coordinators(farm, fresh_postgres)
    try:
        farm.wait_until(lambda: any("waiting" in log.read_text() for log in coordinators.logs), "one that waits")
        first = coordinators.leader()
        leading, waiting = sorted(coordinators.both, key=lambda process: process.pid != first.pid)
        log = coordinators.logs[coordinators.both.index(waiting)]
        said = f"another coordinator (pid {leading.pid} on {socket.gethostname()}) leads; waiting"
        assert first.pid == leading.pid
        worker = farm.spawn("worker")
        farm.wait_until(lambda: any(w["alive"] for w in farm.json("workers")), "a worker", worker)
        farm.run("submit", source, "-o", out, "--chunk-seconds", 1, *SLOWLY, "--detach")
        farm.wait_until(lambda: farm.chunks_done("detect") >= 2, "two chunks", worker)
        assert [line for line in log.read_text().splitlines() if line == said] == [said]  # printed
        assert log.read_text().count(said) == 2  # and logged, once each
        before = coordinators.leader()
        assert before.holder == first.holder
        assert before.beat > first.beat

        leading.kill()
        leading.wait()
        killed = time.monotonic()
        farm.wait_until(lambda: coordinators.leader().holder != first.holder, "a new leader", seconds=15)
        assert coordinators.leader().pid == waiting.pid
        farm.wait_until(lambda: "this coordinator leads" in log.read_text(), "its word", seconds=5)
        done = farm.chunks_done("detect")
        farm.wait_until(lambda: farm.chunks_done("detect") > done or farm.job()["status"] != "detecting", "progress")
        assert time.monotonic() - killed < 60
        farm.run("watch", farm.json("list")[0]["id"])
        assert_exact(source, out)

        waiting.terminate()
        assert waiting.wait(30) == 0
        assert coordinators.leader().holder == ""  # released: the next one need not wait
    finally:
        coordinators.close()
