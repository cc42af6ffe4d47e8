"""A farm as a user runs it: with its own home, the installed command and the real model."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import psutil
import pytest
import redis

from farm import processes
from farm.local.home import is_running
from farm.settings import load_settings
from farm.signing import make_key

#: Every frame is looked at, at twice its size: a job of seconds lasts long enough to be disturbed while it detects.
SLOWLY = ("--look-every", 1, "--detect-size", 1280)


class Farm:
    """One home, and the processes started for it."""

    def __init__(self, home: Path, weights: Path) -> None:
        self.home = home
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("FARM_")},
            "FARM_HOME": str(home),
            "FARM_MODELS_DIR": str(weights),
            "FARM_DEVICES": "cpu:2",
        }
        self.cwd: Path | None = None
        self.program: tuple[str, ...] = (sys.executable, "-m", "farm")
        self._spawned: list[subprocess.Popen[str]] = []

    def run(self, *words: object, code: int | None = 0, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """Run ``farm`` to its end and check its exit code."""
        done = subprocess.run(
            [*self.program, *map(str, words)],
            cwd=self.cwd, env=self.env, capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip
        assert code is None or done.returncode == code, done.stderr + done.stdout + self.logs()
        assert "Traceback" not in done.stderr + done.stdout
        return done

    def json(self, *words: object, code: int | None = 0) -> Any:
        """Return the facts that a command prints with --json."""
        return json.loads(self.run(*words, "--json", code=code).stdout)

    def spawn(self, *words: object) -> subprocess.Popen[str]:
        """Start ``farm`` without waiting for it."""
        process = subprocess.Popen(
            [*self.program, *map(str, words)],
            cwd=self.cwd, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip
        self._spawned.append(process)
        return process

    def up(self, *words: object) -> "subprocess.Popen[str]":
        """Start ``farm up`` and wait until its workers are alive."""
        process = self.spawn("up", "--no-flower", *words)
        self.wait_until(lambda: sum(w["alive"] for w in self.json("status")["workers"]) == 2, "two workers", process)
        return process

    def wait_until(self, holds: Callable[[], bool], what: str, process: Any = None, seconds: float = 120) -> None:
        """Poll until ``holds`` returns True; fail if ``process`` ends first or ``seconds`` pass."""
        until = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < until, f"timed out after {seconds} s: {what}\n{self.logs()}"
            assert process is None or process.poll() is None, f"process ended before: {what}\n{process.stdout.read()}"
            time.sleep(0.1)

    def job(self) -> Any:
        """Return the newest job, with its events."""
        jobs = self.json("list")
        return self.json("status", jobs[0]["id"]) if jobs else None

    def chunks_done(self, stage: str) -> int:
        """Return the number of finished chunks in a stage of the newest job."""
        job = self.job()
        return next(s["chunks_done"] for s in job["stages"] if s["stage"] == stage) if job else 0

    def worker_pids(self) -> list[int]:
        """Return the process ids of the live workers' Celery processes."""
        return [w["pid"] for w in self.json("status")["workers"] if w["alive"]]

    def logs(self) -> str:
        """Return the last part of every log, for a failing test."""
        parts = [f"--- {p.name}\n{p.read_text()[-1500:]}" for p in sorted((self.home / "logs").glob("*.log"))]
        return "\n".join(parts)

    def kill_all(self, process: "subprocess.Popen[str]") -> None:
        """Send SIGKILL to the command and to all its processes at once."""
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for member in family:
            member.kill()
        process.wait()
        psutil.wait_procs(family, timeout=10)

    def close(self) -> None:
        """Stop all processes that are still running."""
        for process in self._spawned:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(40)
                except subprocess.TimeoutExpired:
                    self.kill_all(process)
            if process.stdout:
                process.stdout.close()
        assert not is_running(load_settings(home=self.home))


@pytest.fixture
def farm(tmp_path: Path, weights: Path, redis_server: Path) -> Iterator[Farm]:
    farm = Farm(tmp_path / "home", weights)
    yield farm
    farm.close()


@pytest.fixture
def shared_redis(redis_server: Path, farm: Farm, tmp_path: Path) -> Iterator[str]:
    """The address of a Redis that belongs to no farm's home. ``farm`` gets a key to sign what passes through it."""
    farm.env["FARM_KEY_FILE"] = str(tmp_path / "shared.key")
    make_key(tmp_path / "shared.key")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(redis_server), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    server = processes.start(command, tmp_path / "redis.log")
    with redis.Redis(port=port) as client:
        until = time.monotonic() + 15
        while True:
            try:
                client.ping()
            except redis.ConnectionError:
                assert time.monotonic() < until
                time.sleep(0.05)
            else:
                break
    yield f"redis://127.0.0.1:{port}/0"
    processes.stop([server], grace=5)


def frames_of(path: Path) -> list[tuple[float, bool]]:
    """Decode a video and return, for every frame, its time in seconds and whether it is corrupt."""
    with av.open(str(path)) as container:
        return [(float(f.pts * f.time_base), f.is_corrupt) for f in container.decode(video=0)]  # type: ignore[operator]


def audio_of(path: Path) -> list[tuple[float, bytes]]:
    """Return the time in seconds and the bytes of every audio packet."""
    with av.open(str(path)) as container:
        packets = container.demux(audio=0)
        return [(float(p.pts * p.time_base), bytes(p)) for p in packets if p.size and p.pts is not None]


def assert_exact(source: Path, redacted: Path) -> None:
    """Assert that both videos have frames at the same times and the same audio."""
    assert frames_of(redacted) == frames_of(source)
    assert audio_of(redacted) == audio_of(source)
