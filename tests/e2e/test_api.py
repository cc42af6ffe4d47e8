"""The Python interface: the program of the documentation runs, and does what it says."""

import json
import re
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.conftest import ClipMaker
from tests.e2e.conftest import Farm

pytestmark = pytest.mark.e2e

PAGE = Path(__file__).parents[2] / "docs/howto/script-it.md"


def changed(before: Path, after: Path, number: int) -> NDArray[np.int64]:
    """By how much each sample of a frame differs."""
    difference: NDArray[np.int64] = np.abs(shown(before, number) - shown(after, number))
    return difference


def shown(path: Path, number: int) -> NDArray[np.int64]:
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    return np.asarray(frames[number].to_ndarray(format="gray")).astype(np.int64)


def test_the_program_of_the_documentation(farm: Farm, make_clip: ClipMaker, tmp_path: Path) -> None:
    source = make_clip(seconds=2, size=(320, 180), fps=25, gop=10)
    (tmp_path / "street.mp4").write_bytes(source.read_bytes())
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    program = tmp_path / "program.py"
    program.write_text(code)
    done = subprocess.run(
        [sys.executable, str(program)], cwd=tmp_path, env=farm.env, capture_output=True, text=True, timeout=240,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    assert "its output was not published: the audit found faces outside the masks" in done.stdout
    out = tmp_path / "street.redacted.mp4"
    assert f"{out} done" in done.stdout
    assert done.stdout.rstrip().endswith("[]")  # no face is left
    (job,) = farm.json("list")
    log = farm.json("edit", job["id"], "log")
    assert [(row["action"], row["author"], row["in_effect"]) for row in log][:2] == [
        ("drop", "anna", False), ("undo", "anna", False),
    ]  # fmt: skip
    assert [row["action"] for row in log][2:] == ["cover", "cover"]
    box = np.s_[25:40, 30:50]  # of the one that was followed, until 1.5 s
    assert changed(source, out, 30)[box].mean() > 5 * changed(source, out, 45)[box].mean()
    record = json.loads((tmp_path / "street.redacted.mp4.audit.json").read_text())
    assert record["audit"]["faces"] == []
