"""Compare the number of visible faces with ``deface``, on a video with ground truth. Needs the footage."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.conftest import report
from tests.e2e.conftest import Farm

pytestmark = [pytest.mark.benchmarks, pytest.mark.footage]


def leaks(footage: Path, redacted: Path) -> dict[str, Any]:
    clip = footage / "truth" / "crowd720.mp4"
    check = footage.parent / "tools" / "leakcheck.py"
    words = [sys.executable, str(check), str(clip), str(redacted), str(clip.with_suffix(".json")), "--json"]
    return dict(json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout))


def test_leaks_beside_deface(bench_farm: Farm, footage: Path, deface: Path, tmp_path: Path) -> None:
    source = footage / "truth" / "crowd720.mp4"
    rows: list[list[object]] = [
        [
            "",
            "leaked %",
            "12–24 px",
            "24–48 px",
            "48+ px",
            "longest exposed, frames",
            "outside changed %",
            "outside PSNR, dB",
        ]
    ]
    found = {}
    for name, words in (("deface --scale 640x360", ["--scale", "640x360"]), ("deface", [])):
        out = tmp_path / f"deface{len(words)}.mp4"
        subprocess.run([str(deface), str(source), "-o", str(out), *words], check=True, capture_output=True)
        found[name] = leaks(footage, out)
    for name, more in (("farm submit", []), ("farm submit --detect-size 1280", ["--detect-size", 1280])):
        out = tmp_path / f"farm{len(more)}.mp4"
        bench_farm.run("submit", source, "-o", out, *more, timeout=900)
        found[name] = leaks(footage, out)
    for name, r in found.items():
        sizes = [share for _, share in r["by_size"].values()]
        rows.append(
            [name, r["leaked_pct"], *sizes, r["longest_exposed_frames"], r["outside_changed_pct"], r["outside_psnr"]]
        )
    report("Faces left visible, crowd720", rows)
    for ours, theirs in (("farm submit", "deface --scale 640x360"), ("farm submit --detect-size 1280", "deface")):
        assert found[ours]["leaked_pct"] < found[theirs]["leaked_pct"]
        assert found[ours]["outside_changed_pct"] <= 1.5 * found[theirs]["outside_changed_pct"]
