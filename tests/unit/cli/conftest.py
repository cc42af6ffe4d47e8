"""The real command with a home of its own, and what it prints."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from farm.jobs.queries import JobFacts

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """``run("list", code=0)``: the real command with a home of its own."""

    def call(*words: str, code: int = 0, program: tuple[str, ...] = ("-m", "farm"), **env: str) -> Any:
        outside = {k: v for k, v in os.environ.items() if not k.startswith("FARM_")}
        done = subprocess.run(
            [sys.executable, *program, *words],
            cwd=tmp_path, env={**outside, "FARM_HOME": str(tmp_path / "home"), **env},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        return done

    return call


def the_line(done: "subprocess.CompletedProcess[str]") -> str:
    """The one line of an error, and nothing else."""
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def facts_of(**more: Any) -> JobFacts:
    row = {"id": "abc", "status": "done", "reason": None, "source": "a.mp4", "output": "b.mp4", "frames": 50,
           "seconds": 2.0, "created_at": 0.0, "finished_at": 1.0, "notes": (), "failures": 0, "stages": ()}  # fmt: skip
    return JobFacts(**{**row, **more})
