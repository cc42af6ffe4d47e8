"""The ffmpeg program ends with the process that runs it, and a killed one is no error of the output."""

import os
import sys
import time
from pathlib import Path

import psutil
import pytest

import farm
from farm.errors import StorageError
from farm.executables import find_ffmpeg
from farm.media.ffmpeg import run_ffmpeg

PROGRAM = """
import sys
from pathlib import Path
from farm.errors import StorageError
from farm.executables import find_ffmpeg
from farm.media.ffmpeg import run_ffmpeg
words = ["-nostdin", "-y", "-re", "-f", "lavfi", "-i", "testsrc=size=16x16:rate=1", "-f", "matroska", sys.argv[1]]
run_ffmpeg(find_ffmpeg().path, words, Path(sys.argv[1]), 1, 1, lambda frames: None)
"""


def test_it_is_killed_with_its_parent_even_when_suspended(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(farm.__file__).parent.parent)}
    parent = psutil.Popen([sys.executable, "-c", PROGRAM, str(tmp_path / "out.mkv")], env=environment)
    until = time.monotonic() + 30
    while not (tmp_path / "out.mkv").exists():
        assert time.monotonic() < until
        assert parent.poll() is None
        time.sleep(0.05)
    (ffmpeg,) = parent.children()
    ffmpeg.suspend()
    parent.kill()
    parent.wait()
    _, left = psutil.wait_procs([ffmpeg], timeout=5)
    assert [p for p in left if p.status() != psutil.STATUS_ZOMBIE] == []


def test_one_that_is_killed_is_lost_to_the_infrastructure(tmp_path: Path) -> None:
    out = tmp_path / "out.mkv"

    def kill(_frames: int) -> None:
        (ffmpeg,) = (child for child in psutil.Process().children() if str(out) in child.cmdline())
        ffmpeg.kill()

    words = ["-nostdin", "-y", "-re", "-f", "lavfi", "-i", "testsrc=size=16x16:rate=1", "-f", "matroska", str(out)]
    with pytest.raises(StorageError, match=r"ffmpeg was killed \(SIGKILL\)$"):
        run_ffmpeg(find_ffmpeg().path, words, out, 1, 1, kill)
    assert not out.exists()
