"""A worker's parent ends a child that makes no progress or takes too much memory, and removes what it leaves."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from farm.domain.lifecycle import DeathKind
from farm.messages import Failed, Held
from farm.settings import Settings
from farm.storage.local import LocalStorage
from workers import child as module
from workers.child import Child, LifeFiles

#: A child that does what it is told on its standard input, line by line, as Python.
WORK = """
import os, sys, time
from pathlib import Path
from farm import liveness
from farm.settings import Settings
from workers.child import LifeFiles
liveness.share(LifeFiles(Settings(home=Path(sys.argv[1])), "cpu0").of(os.getpid()))
for line in sys.stdin:
    exec(line)
    print("done", flush=True)
"""


class Worker:
    """A worker's child, and its parent's view of it. A clock passes when it is looked at."""

    def __init__(self, home: Path, monkeypatch: pytest.MonkeyPatch, **settings: float) -> None:
        (home / "run").mkdir(parents=True)
        self.store = LocalStorage(home / "store")
        self.settings = Settings.model_validate({"home": home, "heartbeat_seconds": 10, **settings})
        self.now = 1000.0
        monkeypatch.setattr("workers.child.time.monotonic", lambda: self.now)
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORK, str(home)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.do("pass")
        self.child = Child(self.settings, "w0", "cpu0", self.store)

    def do(self, line: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def look(self, *tokens: str, after: float = 10) -> tuple[list[Held], list[Failed]]:
        self.now += after
        return self.child.look(tokens)


MakeWorker = Callable[..., Worker]


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeWorker]:
    made: list[Worker] = []

    def one(**settings: float) -> Worker:
        made.append(Worker(tmp_path / "home", monkeypatch, **settings))
        return made[-1]

    yield one
    for worker in made:
        worker.process.kill()
        worker.process.communicate()


def test_what_it_has_done_is_told_and_a_child_that_moves_is_left_alone(make: MakeWorker) -> None:
    worker = make()
    assert worker.look() == ([], [])
    worker.do("liveness.begin('a')")
    assert worker.look("a") == ([Held(token="a")], [])
    for frames in range(100):
        worker.do(f"liveness.done({frames})")
        assert worker.look("a", "b") == ([Held(token="a", frames=frames), Held(token="b")], [])
    assert worker.process.poll() is None


def test_a_long_step_without_frames_gives_signs_of_life(make: MakeWorker) -> None:
    worker = make()
    worker.do("liveness.begin('a'); liveness.done(5)")
    for _ in range(300):
        worker.do("liveness.beat()")
        assert worker.look("a") == ([Held(token="a", frames=5)], [])


def test_reading_on_within_one_call_is_life_for_half_an_hour(make: MakeWorker, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(bytes(3 << 20))
    worker = make()
    worker.do("liveness.begin('a'); liveness.done(5)")
    worker.look("a")
    for _ in range(179):
        worker.do(f"Path({str(tmp_path / 'large')!r}).read_bytes()")
        assert worker.look("a") == ([Held(token="a", frames=5)], [])
    worker.do(f"Path({str(tmp_path / 'large')!r}).read_bytes()")
    (failed,) = worker.look("a")[1]
    assert (failed.death, failed.reason) == (DeathKind.HUNG, "hung at frame 6: no progress for 1800 s")


@pytest.mark.parametrize("stopped", [False, True], ids=["waits", "stopped"])
def test_a_child_that_hangs_is_killed_after_two_minutes(make: MakeWorker, *, stopped: bool) -> None:
    worker = make()
    worker.do("liveness.begin('a'); liveness.done(5)")
    if stopped:
        worker.process.send_signal(signal.SIGSTOP)
    worker.look("a")
    for seconds in range(10, 120, 10):
        assert worker.look("a") == ([Held(token="a", frames=5, idle=seconds)], [])
    assert worker.process.poll() is None
    (failed,) = worker.look("a")[1]
    assert failed == Failed(
        token="a", worker="w0", cause="infrastructure", reason="hung at frame 6: no progress for 120 s",
        death=DeathKind.HUNG, frames=5,
    )  # fmt: skip
    assert worker.process.wait(10) == -signal.SIGKILL


def test_a_child_that_does_not_take_its_order_is_killed_and_the_chunk_is_not_to_blame(make: MakeWorker) -> None:
    """It was stopped while it waited for orders: "no worker took it" was said of the chunk, after ten minutes."""
    worker = make()
    worker.process.send_signal(signal.SIGSTOP)
    for _ in range(11):
        assert worker.look("a")[1] == []
    (failed,) = worker.look("a")[1]
    assert (failed.cause, failed.death, failed.reason) == ("infrastructure", None, "hung: no progress for 120 s")
    assert worker.process.wait(10) == -signal.SIGKILL


def test_time_in_which_the_parent_stood_still_does_not_count(make: MakeWorker) -> None:
    worker = make()
    worker.do("liveness.begin('a'); liveness.done(5)")
    worker.look("a")
    assert worker.look("a", after=3600) == ([Held(token="a", frames=5, idle=30)], [])


def test_a_child_that_takes_too_much_memory_is_killed(make: MakeWorker) -> None:
    worker = make(worker_gigabytes=0.4)
    worker.do("liveness.begin('a'); liveness.done(5)")
    assert worker.look("a")[1] == []
    worker.do("much = b'x' * 500_000_000")
    (failed,) = worker.look("a")[1]
    assert (failed.death, failed.frames, failed.cause) == (DeathKind.MEMORY, 5, "infrastructure")
    assert failed.reason.endswith(" GB of memory, more than 0.4 GB (FARM_WORKER_GIGABYTES)")
    assert worker.process.wait(10) == -signal.SIGKILL


def test_what_it_started_counts_too_and_ends_with_it(make: MakeWorker) -> None:
    worker = make(worker_gigabytes=0.4)
    worker.do("liveness.begin('a'); liveness.done(5)")
    command = [sys.executable, "-c", "import time; much = b'x' * 500_000_000; time.sleep(60)"]
    worker.do("import subprocess; from farm.processes import dying_with_this")
    worker.do(f"p = subprocess.Popen({command!r}, preexec_fn=dying_with_this())")
    (started,) = psutil.Process(worker.process.pid).children()
    until = time.time() + 20
    while started.memory_info().rss < 450_000_000:
        assert time.time() < until
    assert [f.death for f in worker.look("a")[1]] == [DeathKind.MEMORY]
    psutil.wait_procs([started], timeout=10)
    assert not started.is_running()


def test_by_default_it_may_take_most_of_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(module, "_LIMITS", (limit,))
    assert module.memory() == psutil.virtual_memory().total
    limit.write_text("max\n")
    assert module.memory() == psutil.virtual_memory().total
    limit.write_text("1000000000\n")
    child = Child(Settings(home=tmp_path), "w0", "cpu0", LocalStorage(tmp_path / "store"))
    assert child._bound == 800_000_000


def test_what_a_killed_child_leaves_is_removed_once_its_end_was_told(
    make: MakeWorker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr(tempfile, "tempdir", None)
    worker = make()
    worker.do("import tempfile; from farm.storage.local import LocalStorage; from farm.processes import scratch_prefix")
    worker.do(
        f"draft = LocalStorage(Path({str(worker.store.root)!r})).put('segments/f/1.mp4'); p = draft.__enter__().path"
    )
    worker.do("p.write_bytes(b'half'); p.with_name('.' + p.name + '.video').write_bytes(b'joined')")
    worker.do(
        "folder = Path(tempfile.mkdtemp(prefix=scratch_prefix(os.getpid()))); (folder / 'cover').write_bytes(b'')"
    )
    worker.do("liveness.begin('a'); liveness.done(5)")
    with worker.store.put("segments/f/2.mp4") as other:
        other.path.write_bytes(b"of another process")
        pid = worker.process.pid
        worker.process.kill()
        worker.process.wait()
        worker.child.clear(["a"])
        assert len(list(worker.store.root.rglob("*.writing-*"))) == 3
        assert worker.child.death("a", "killed").frames == 5
        worker.child.clear()
        assert list(worker.store.root.rglob("*.writing-*")) == [other.path]
        assert list(scratch.iterdir()) == []
        assert not LifeFiles(worker.settings, "cpu0").of(pid).exists()
    assert worker.store.exists(other.key)


def test_a_process_of_another_parent_is_never_killed(make: MakeWorker) -> None:
    """The file of an earlier child is left, and its number is another process's now."""
    worker = make()
    files = LifeFiles(worker.settings, "cpu0")
    code = "import os, time; started = os.fork(); started and print(started, flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        grandchild = int(parent.stdout.readline())
        files.of(grandchild).write_bytes(files.of(worker.process.pid).read_bytes())
        for _ in range(14):
            worker.look("a")
        assert worker.process.wait(10) == -signal.SIGKILL
        assert psutil.Process(grandchild).is_running()
        os.kill(grandchild, signal.SIGKILL)
        parent.kill()
