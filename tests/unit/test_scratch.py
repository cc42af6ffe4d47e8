"""Temporary folders of processes that were killed are removed, those of others are not."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from farm.processes import remove_abandoned_scratch, scratch_prefix


def test_only_folders_of_ended_processes_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left = Path(tempfile.mkdtemp(prefix=scratch_prefix(ended.pid)))
    (left / "cover.png").write_bytes(b"private")
    mine = Path(tempfile.mkdtemp(prefix=scratch_prefix(os.getpid())))
    others = [tmp_path / name for name in (f"blurfarm-{ended.pid}-0123456789ab", "blurfarm-scratch-another host-1-x")]
    for folder in others:
        folder.mkdir()
    remove_abandoned_scratch()
    assert sorted(tmp_path.iterdir()) == sorted([mine, *others])
