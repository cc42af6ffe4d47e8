"""Fixtures for the benchmarks: ``deface`` in its own environment, plain ``ffmpeg``, and footage."""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from farm.executables import find_ffmpeg
from tests.conftest import PROJECT, ClipMaker
from tests.e2e.conftest import Farm
from tests.integration.coordinator.conftest import add_job, bench, server
from tests.quality import running
from tests.quality.footage import Skipped

__all__ = ["add_job", "bench", "server"]  # fixtures of the coordinator's tests


@dataclass(frozen=True, slots=True)
class Timed:
    """The duration of a command in seconds: wall-clock time, and CPU time over all processors."""

    wall: float
    cpu: float


def timed(command: Sequence[object], env: dict[str, str] | None = None) -> Timed:
    """Run a command to its end and measure it, including its child processes."""
    before, began = os.times(), time.monotonic()
    subprocess.run([str(w) for w in command], env=env, check=True, capture_output=True)
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Timed(time.monotonic() - began, cpu)


@pytest.fixture(scope="session")
def deface() -> Path:
    """See :func:`tests.quality.running.deface`."""
    try:
        return running.deface()
    except Skipped as reason:
        pytest.skip(str(reason))


@pytest.fixture(scope="session")
def ffmpeg() -> Path:
    """The ``ffmpeg`` that the farm itself uses."""
    return find_ffmpeg().path


@pytest.fixture(scope="session")
def street_1080p(ffmpeg: Path, make_clip: ClipMaker, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """One minute of 1080p as (name, path): the crowd of the footage, repeated; without footage, the demo clip."""
    folder = Path(os.environ.get("FARM_TEST_DATA") or PROJECT.parent / "shared" / "data")
    crowd = folder / "truth" / "crowd1080.mp4"
    if crowd.is_file():
        name, source, times = "crowd1080 × 4", crowd, 4
    else:
        name, source, times = "demo 1080p × 4", make_clip(seconds=15, size=(1920, 1080), fps=30, gop=60), 4
    return name, repeated(ffmpeg, source, times, tmp_path_factory.mktemp("street") / "minute.mp4")


def repeated(ffmpeg: Path, source: Path, times: int, out: Path) -> Path:
    """Repeat a video ``times`` times without re-encoding it."""
    loop = ["-stream_loop", times - 1, "-i", source, "-c", "copy", "-video_track_timescale", 90000, out]
    subprocess.run([str(w) for w in (ffmpeg, "-v", "error", "-y", *loop)], check=True)
    return out


@pytest.fixture
def bench_farm(tmp_path: Path, weights: Path, redis_server: Path) -> Iterator[Farm]:
    """A farm with two CPU workers."""
    farm = Farm(tmp_path / "home", weights)
    yield farm
    farm.close()


def report(title: str, rows: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table in the format of docs/benchmarks.md."""
    lines = ["| " + " | ".join(str(c) for c in row) + " |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    print(f"\n\n{title}\n\n" + "\n".join(lines))
