"""A minute of random faults while three jobs run: all are done two minutes later, and exact.

``make faults`` runs a few seeds, ``make chaos`` twenty. FARM_CHAOS_SEEDS ("7", "3,9", "1-20") names the seeds, to try
one again, and FARM_CHAOS_KINDS the kinds of faults (:data:`tests.e2e.chaos.KINDS`).
"""

import hashlib
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import psutil
import pytest
from sqlalchemy import select

from farm.database.models import Chunk, Job
from farm.database.session import Database
from farm.domain.stages import stage_named
from farm.messages import Artefact
from farm.settings import Settings, load_settings
from farm.storage.base import is_whole
from farm.storage.opening import open_storage
from tests.conftest import ClipMaker
from tests.e2e.chaos import KINDS, Storm, StubbornFarm, faults
from tests.e2e.conftest import Farm, audio_of

pytestmark = [pytest.mark.e2e, pytest.mark.faults]

_PATIENCE_SECONDS = 120.0
#: The largest mean square by which frames may differ that x264 encoded twice: 1 was seen, 5 is 41 dB of PSNR.
_ALIKE = 5.0


def seeds(text: str) -> list[int]:
    """``"1-3,7"``: 1, 2, 3 and 7."""
    spans = [part.partition("-") for part in text.split(",")]
    return [seed for first, _, last in spans for seed in range(int(first), int(last or first) + 1)]


SEEDS = seeds(os.environ.get("FARM_CHAOS_SEEDS", "1-3"))
CHOSEN = os.environ.get("FARM_CHAOS_KINDS", ",".join(KINDS)).split(",")


@dataclass(frozen=True, slots=True)
class Work:
    """One job: the options of ``farm submit`` and the name of its output. ``repeats``: so do its encoder's bytes."""

    source: Path
    output: str
    options: tuple[str, ...]
    repeats: bool = True

    def words(self, folder: Path) -> list[object]:
        where = ("--frames" if self.output == "pictures" else "-o", folder / self.output)
        # detection at a large size makes the jobs last through the faults
        return ["submit", self.source, *where, "--chunk-seconds", 1, "--detect-size", 960, *self.options]


@pytest.fixture(scope="module")
def works(make_clip: ClipMaker) -> list[Work]:
    return [
        Work(make_clip(seconds=10, size=(640, 360), fps=25, gop=25), "video.mp4", ("--codec", "mpeg4")),
        Work(make_clip(seconds=8, size=(480, 270), fps=25, gop=25), "pictures", ("--style", "solid")),
        # x264's bytes do not always repeat
        Work(make_clip(seconds=6, size=(426, 240), fps=25, gop=25), "other.mp4", ("--style", "pixelate"), False),
    ]


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """Where the jobs put their outputs in peace, and the digests of their masks, by the output's name."""

    folder: Path
    masks: dict[str, list[str]]


@pytest.fixture(scope="module")
def undisturbed(
    works: list[Work], weights: Path, redis_server: Path, tmp_path_factory: pytest.TempPathFactory
) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed")
    farm = Farm(folder / "home", weights)
    began = time.monotonic()
    try:
        up = farm.up()
        for work in works:
            farm.run(*work.words(folder), "--detach")
        farm.wait_until(lambda: {job["status"] for job in farm.json("list")} == {"done"}, "three jobs", up, 240)
        print(f"undisturbed, the jobs take {time.monotonic() - began:.0f} s")
    finally:
        farm.close()
    return Undisturbed(folder, masks(load_settings(home=farm.home)))


def rows(settings: Settings) -> tuple[list[Job], list[Chunk]]:
    """All jobs, and all chunks with their attempts."""
    database = Database(settings.sql_url)
    try:
        with database.read() as session:
            jobs = list(session.scalars(select(Job).order_by(Job.created_at)))
            chunks = list(session.scalars(select(Chunk).order_by(Chunk.id)))
            for chunk in chunks:
                assert [chunk.job.id, *chunk.attempts]  # loaded
            return jobs, chunks
    finally:
        database.close()


def masks(settings: Settings) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for chunk in rows(settings)[1]:
        if chunk.stage == "link":
            found.setdefault(Path(chunk.job.output).name, []).append((chunk.artefact or {})["sha256"])
    return found


@pytest.fixture
def farm(tmp_path: Path, weights: Path, redis_server: Path, undisturbed: Undisturbed) -> Iterator[StubbornFarm]:
    farm = StubbornFarm(tmp_path / "home", weights)
    yield farm
    for process in farm.processes():
        process.kill()
    farm.close()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", SEEDS)
def test_random_faults(
    farm: StubbornFarm, works: list[Work], undisturbed: Undisturbed, tmp_path: Path, seed: int
) -> None:
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    settings = load_settings(home=farm.home, keep_segments=bool(seed % 2))
    farm.env["FARM_KEEP_SEGMENTS"] = str(settings.keep_segments)
    farm.start()
    for work in works:
        farm.run(*work.words(outputs), "--detach")
    storm = Storm(farm, seed, CHOSEN)
    storm.blow()
    calm = time.monotonic()
    print(f"seed {seed}: {statuses(settings)} when the faults end")
    farm.wait_until(lambda: not set(statuses(settings)) - OVER, "all jobs over", farm.main, _PATIENCE_SECONDS)
    print(f"seed {seed}: {statuses(settings)} {time.monotonic() - calm:.0f} s later")
    assert statuses(settings) == ["done"] * len(works), reasons(settings)
    stop(farm)
    check_books(settings)
    assert masks(settings) == undisturbed.masks
    assert sorted(path.name for path in outputs.iterdir()) == sorted(work.output for work in works)
    for work in works:
        assert_same(undisturbed.folder / work.output, outputs / work.output, repeats=work.repeats)


OVER = {"done", "failed", "cancelled"}


def statuses(settings: Settings) -> list[str]:
    return [job.status for job in rows(settings)[0]]


def reasons(settings: Settings) -> list[Any]:
    jobs, chunks = rows(settings)
    bad = [(c.stage, c.index, a.worker, a.cause, a.reason) for c in chunks for a in c.attempts if c.status == "failed"]
    return [[(job.output, job.status, job.reason) for job in jobs], bad]


def stop(farm: StubbornFarm) -> None:
    """Ctrl-C: the farm ends in order, and nothing of it is left."""
    farm.main.send_signal(signal.SIGINT)
    assert farm.main.wait(60) == 0, farm.output.read_text()
    left = farm.processes()
    psutil.wait_procs(left, timeout=10)
    assert farm.processes() == []


def check_books(settings: Settings) -> None:
    """Attempts are within their limits, and the store holds exactly what SQL says."""
    store = open_storage(settings)
    counted: Counter[str] = Counter()
    for chunk in rows(settings)[1]:
        where, causes = f"{chunk.stage} {chunk.index}", Counter(attempt.cause for attempt in chunk.attempts)
        assert chunk.status == "done", where
        assert causes["task"] < settings.task_errors, where
        assert causes["infrastructure"] < settings.infrastructure_losses, where
        ends = Counter(attempt.status for attempt in chunk.attempts)
        assert ends["queued"] == ends["leased"] == 0, where
        assert ends["done"] == (stage_named(chunk.stage).by == "worker"), where
        counted.update(attempt.reason for attempt in chunk.attempts if attempt.reason)
        artefact = Artefact.model_validate(chunk.artefact)
        if settings.keep_segments or not stage_named(chunk.stage).intermediate:
            assert is_whole(store, artefact.key), where
    for reason, times in counted.most_common():
        print(f"  {times} × {reason}")


def assert_same(one: Path, other: Path, *, repeats: bool) -> None:
    """Both are the same folder of pictures, or videos with the same frames, times and sound."""
    if one.is_dir():
        assert digests(other) == digests(one)
        return
    assert audio_of(other) == audio_of(one)
    with av.open(str(one)) as first, av.open(str(other)) as second:
        for mine, theirs in zip(first.decode(video=0), second.decode(video=0), strict=True):
            assert (mine.pts, mine.time_base, mine.is_corrupt) == (theirs.pts, theirs.time_base, theirs.is_corrupt)
            apart = mine.to_ndarray().astype(np.int16) - theirs.to_ndarray()
            assert not np.any(apart) if repeats else np.square(apart).mean() < _ALIKE, f"frame {mine.pts}"


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_a_seed_always_gives_the_same_faults_and_they_end_in_time() -> None:
    found = list(faults(7, KINDS))
    assert found == list(faults(7, KINDS))
    assert len(found) > 8
    assert all(fault.at + (fault.stopped or 0) <= 60 for fault in found)
    assert all(5 <= fault.stopped <= 40 for fault in found if fault.stopped)
    assert {fault.kind for seed in range(20) for fault in faults(seed, KINDS)} == set(KINDS)
    assert seeds("1-3,7") == [1, 2, 3, 7]
