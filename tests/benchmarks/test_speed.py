"""Measure speed and memory as ratios within one run. Prints tables; asserts nothing about time."""

import os
import threading
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.benchmarks.conftest import Timed, repeated, report, timed
from tests.conftest import ClipMaker
from tests.e2e.conftest import Farm
from tests.processes import works

pytestmark = pytest.mark.benchmarks
_RIVAL_SECONDS = 5


def test_whole_job_beside_ffmpeg_and_deface(
    bench_farm: Farm, street_1080p: tuple[str, Path], ffmpeg: Path, deface: Path, tmp_path: Path
) -> None:
    name, source = street_1080p
    out = tmp_path / "out.mp4"
    encode = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-c:a", "copy"]
    short = tmp_path / "short.mp4"
    timed([ffmpeg, "-v", "error", "-y", "-i", source, "-t", _RIVAL_SECONDS, "-c", "copy", short])
    plain: list[Timed] = []
    job: list[Timed] = []
    row: dict[str, Any] = {}
    spent: list[tuple[str, str, float]] = []
    for _ in range(2):  # alternate, so that a machine that slows down slows both
        plain.append(timed([ffmpeg, "-v", "error", "-y", "-i", source, *encode, tmp_path / "plain.mp4"]))
        began, row = time.monotonic(), bench_farm.json("submit", source, "-o", out, "--overwrite")
        job.append(Timed(time.monotonic() - began, 0))
        spent = [(s["stage"], part, sec) for s in row["stages"] for part, sec in s["spent"].items()]
        bench_farm.home.rename(bench_farm.home.with_name(f"home{len(job)}"))  # so that nothing is reused
    frames = row["frames"]
    rival = timed([deface, short, "-o", tmp_path / "rival.mp4"])
    rival_frames = _RIVAL_SECONDS * frames / row["seconds"]
    ours, theirs = frames / min(j.wall for j in job), frames / min(p.wall for p in plain)
    slow = rival_frames / rival.wall
    report(
        f"A whole job, {name}, {frames} frames 1920x1080, two CPU workers, including start-up",
        [
            ["", "frames/s", "ours relative to it"],
            ["farm submit", f"{ours:.1f}", ""],
            ["ffmpeg, same preset and crf", f"{theirs:.1f}", f"{ours / theirs:.2f}×"],
            [f"deface ({_RIVAL_SECONDS} s of it)", f"{slow:.2f}", f"{ours / slow:.1f}×"],
        ],
    )
    rows = [[stage, part, f"{1000 * sec / frames:.1f}"] for stage, part, sec in spent]
    report("Core-milliseconds per frame", [["stage", "part", "ms"], *rows])


def test_one_second(bench_farm: Farm, make_clip: ClipMaker, tmp_path: Path) -> None:
    source = make_clip(seconds=1, size=(1280, 720), fps=25, gop=25)
    began = time.monotonic()
    row = bench_farm.json("submit", source, "-o", tmp_path / "out.mp4")
    wall = time.monotonic() - began
    events = bench_farm.json("status", row["id"])["events"]
    at = {e["text"].split(" → ")[-1].split(":")[0]: datetime.fromisoformat(e["at"]).timestamp() for e in events}
    start = time.time() - (time.monotonic() - began)
    steps = [("start-up, probe, plan", at["detecting"] - start)]
    names = ("detecting", "linking", "redacting", "composing", "done")
    steps += [(a, at[b] - at[a]) for a, b in pairwise(names)]
    steps.append(("shutdown", wall - (at["done"] - start)))
    report(f"A clip of 1 s: {wall:.1f} s", [["step", "s"], *[[n, f"{s:.2f}"] for n, s in steps]])


class _Peak(threading.Thread):
    """Records the peak memory of all descendants of this process, by kind of process."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peaks: dict[str, int] = {}
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.1):
            for process in psutil.Process(os.getpid()).children(recursive=True):
                try:
                    kind = "worker" if works(process) else _kind(process.cmdline())
                    self.peaks[kind] = max(self.peaks.get(kind, 0), process.memory_info().rss)
                except psutil.Error:
                    continue


def _kind(command: list[str]) -> str:
    line = " ".join(command)
    kinds = {"celery": "worker", "submit": "farm submit", "valkey-server": "redis"}
    kinds |= {"farm.local.coordinator": "coordinator"}
    kinds |= {"workers.process": "worker's parent", "-m workers": "workers' supervisor", "ffmpeg": "ffmpeg"}
    return next((kind for word, kind in kinds.items() if word in line), "other")


def test_memory_of_a_ten_times_longer_clip(
    bench_farm: Farm, ffmpeg: Path, make_clip: ClipMaker, tmp_path: Path
) -> None:
    once = make_clip(seconds=12, size=(1280, 720), fps=25, gop=50)
    peaks = {}
    for times in (1, 10):
        source = repeated(ffmpeg, once, times, tmp_path / f"{times}.mp4")
        watch = _Peak()
        watch.start()
        bench_farm.run("submit", source, "-o", tmp_path / f"{times}.out.mp4", "--chunk-seconds", 4, timeout=900)
        watch.over.set()
        watch.join()
        peaks[times] = watch.peaks
    mib = 1 << 20
    rows = [
        [
            kind,
            f"{peaks[1].get(kind, 0) / mib:.0f}",
            f"{peak / mib:.0f}",
            f"{peak / max(1, peaks[1].get(kind, 0)):.2f}×",
        ]
        for kind, peak in sorted(peaks[10].items())
    ]
    report("Peak memory, MiB (resident)", [["process", "12 s", "120 s", "ratio"], *rows])
