"""The CPU time of a whole job by two versions of the farm: ``python -m tests.benchmarks.paired BASE_TREE``.

Both run in this environment at the same time, each on one core, and swap the cores after each run: what slows the
machine down slows down both. CPU time is that of all processes, also of those whose parent was killed: the process that
measures becomes their parent.
"""

import argparse
import compileall
import ctypes
import multiprocessing
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from farm.demo.clip import PHOTOGRAPH, render_demo_clip
from farm.models.store import ModelStore
from farm.settings import load_settings
from tests.benchmarks.conftest import report
from tests.conftest import PROJECT, WEIGHTS

_PR_SET_CHILD_SUBREAPER = 36


def cpu_of(tree: Path, video: Path, words: list[str], home: Path, core: int) -> float:
    """Submit a video with the farm of a source tree; the user and system seconds of all its processes.

    Leaves this process on the one core that they run on.
    """
    if ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise SystemExit("needs Linux: other systems cannot count processes whose parent was killed")
    os.sched_setaffinity(0, {core})
    env = {k: v for k, v in os.environ.items() if not k.startswith("FARM_")}
    env |= {"FARM_HOME": str(home), "FARM_MODELS_DIR": str(WEIGHTS), "FARM_DEVICES": "cpu:1", "PYTHONPATH": str(tree)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-P", "-m", "farm", "submit", str(video), "-o", str(home.with_suffix(".mp4")), *words]
    done = subprocess.run(command, env=env, cwd="/", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    try:
        while True:
            os.waitpid(-1, 0)  # what became this process's child
    except ChildProcessError:
        pass
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare(base: Path, video: Path | None, runs: int, words: list[str]) -> None:
    """Print each run, the medians, and the median of the runs' ratios."""
    cores = sorted(os.sched_getaffinity(0))[:2]
    trees = {"base": base.absolute(), "here": PROJECT}
    for tree in trees.values():  # so that no run compiles
        compileall.compile_dir(tree / "farm", quiet=2)
        compileall.compile_dir(tree / "workers", quiet=2)
    ModelStore(load_settings(models_dir=WEIGHTS)).ensure("centerface")
    spent: dict[str, list[float]] = {name: [] for name in trees}
    with tempfile.TemporaryDirectory(prefix="blurfarm-paired-") as folder:
        if video is None:
            store = ModelStore(load_settings(models_dir=WEIGHTS), models={PHOTOGRAPH.name: PHOTOGRAPH})
            video = render_demo_clip(Path(folder, "clip.mp4"), store.ensure(PHOTOGRAPH.name), seconds=20)
        for run in range(runs):
            with multiprocessing.get_context("fork").Pool(2, maxtasksperchild=1) as pool:
                each = [
                    (tree, video.absolute(), words, Path(folder, f"{name}{run}"), core)
                    for (name, tree), core in zip(trees.items(), cores if run % 2 else cores[::-1], strict=True)
                ]
                for name, seconds in zip(trees, pool.starmap(cpu_of, each, chunksize=1), strict=True):
                    spent[name].append(seconds)
            print(f"run {run + 1}: base {spent['base'][-1]:.2f} s, here {spent['here'][-1]:.2f} s", flush=True)
    medians = {name: statistics.median(seconds) for name, seconds in spent.items()}
    rows = [[name, f"{medians[name]:.2f}", f"{min(spent[name]):.2f}", f"{max(spent[name]):.2f}"] for name in trees]
    report("CPU seconds of a whole job, all processes", [["", "median", "least", "most"], *rows])
    ratios = [here / before for here, before in zip(spent["here"], spent["base"], strict=True)]
    print(f"\nhere / base, median of {runs} pairs: {statistics.median(ratios):.4f}")


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("base", type=Path, help="a source tree of the version to compare with")
    parser.add_argument("--video", type=Path, help="by default, 20 s of the demo")
    parser.add_argument("--runs", type=int, default=7, help="of each version")
    parser.add_argument("words", nargs="*", help="more options of farm submit, after --")
    given = parser.parse_args()
    compare(given.base, given.video, given.runs, given.words)


if __name__ == "__main__":
    main()
