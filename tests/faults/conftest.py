"""The jobs of the harness undisturbed, once a session, and the seeds, two at a time."""

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import ClipMaker
from tests.faults.reference import Reference
from tests.faults.report import write_report
from tests.faults.run import Bench, Outcome, learn, run
from tests.faults.schedule import Schedule

_AT_A_TIME = int(os.environ.get("FARM_FAULT_JOBS", "2"))
_REPORT = os.environ.get("FARM_FAULT_REPORT")


@pytest.fixture(scope="session")
def bench(make_clip: ClipMaker, weights: Path, redis_server: Path, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    clips = [
        make_clip(seconds=2.5, size=(320, 240), fps=20, gop=10),
        make_clip(seconds=2, size=(320, 180), fps=20, gop=10),
    ]
    made = Bench(Reference(clips), weights, redis_server, tmp_path_factory.mktemp("tools"))
    learn(made, tmp_path_factory.mktemp("undisturbed"))
    return made


class Runs:
    """Runs schedules in the background, two at a time, in the order in which they are asked for."""

    def __init__(self, bench: Bench, folder: Path) -> None:
        self._bench, self._folder = bench, folder
        self._pool = ThreadPoolExecutor(_AT_A_TIME, "seed")
        self._begun: dict[tuple[Schedule, Path | None], Future[Outcome]] = {}

    def begin(self, schedules: list[Schedule], code: Path | None = None) -> None:
        """``code``: another farm than the project's."""
        for schedule in schedules:
            if (schedule, code) not in self._begun:
                folder = self._folder / f"{len(self._begun)}-seed-{schedule.seed}"
                self._begun[schedule, code] = self._pool.submit(run, schedule, self._bench, folder, code)

    def outcome(self, schedule: Schedule, code: Path | None = None) -> Outcome:
        self.begin([schedule], code)
        return self._begun[schedule, code].result()

    def close(self) -> list[Outcome]:
        """Returns all that ended, of the project's farm."""
        self._pool.shutdown(cancel_futures=True)
        ended = {key: future.result() for key, future in self._begun.items() if not future.cancelled()}
        return [outcome for (_, code), outcome in ended.items() if code is None]


@pytest.fixture(scope="session")
def runs(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    runs = Runs(bench, tmp_path_factory.mktemp("seeds"))
    yield runs
    outcomes = runs.close()
    if _REPORT:
        write_report(Path(_REPORT), outcomes)
