"""The ffmpeg program ends with the process that runs it."""

import os
import sys
import time
from pathlib import Path

import psutil

import farm

PROGRAM = """
import sys
from pathlib import Path
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
