"""Runs a setting on a clip: the farm in a home of its own, deface in an environment of its own."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
import psutil

from farm.domain.track import FrameTracks, load_frame
from farm.models.store import ModelStore
from farm.settings import load_settings
from tests.conftest import PROJECT, WEIGHTS
from tests.quality.footage import Skipped
from tests.quality.settings import Setting

RIVAL = PROJECT / ".cache" / "deface"
RIVAL_PACKAGES = ("deface==1.5.0", "onnxruntime", "opencv-python-headless")
#: deface's writer enlarges pictures to multiples of 16 (1080 lines become 1088) unless it is told not to.
_RIVAL_ENCODER = json.dumps({"codec": "libx264", "macro_block_size": 1})
_TIMEOUT = 7200
#: Suffixes that a copy keeps; others become Matroska.
_CONTAINERS = {".mp4", ".mkv", ".mov", ".webm"}


@dataclass(frozen=True, slots=True)
class Redacted:
    """What a setting made of a clip. Times are core-milliseconds a frame; ``detect`` is None where it is not told.

    ``tracks``: the boxes of every frame that the farm covered, as JSON lines; None if the program does not tell.
    """

    path: Path
    frames: int
    whole: float
    detect: float | None = None
    tracks: str | None = None


class RefusedError(Exception):
    """A setting does not apply here; the message is the program's own line."""


def redact(setting: Setting, source: Path, work: Path) -> Redacted:
    """Run a setting on a clip, or find what it made earlier in ``work``. Raises RefusedError.

    What the farm made is used again only while its code is the same.
    """
    code = _digest_of_code() if setting.program == "farm" else " ".join(RIVAL_PACKAGES)
    said = json.dumps([setting.program, setting.words, str(source), source.stat().st_size, code])
    name = hashlib.sha256(said.encode()).hexdigest()[:16]
    suffix = source.suffix if source.suffix in _CONTAINERS else ".mkv"
    out, facts = work / f"{name}{suffix}", work / f"{name}.json"
    if facts.exists():
        row = json.loads(facts.read_text(encoding="utf-8"))
        return Redacted(**{**row, "path": Path(row["path"])})
    made = _RUN[setting.program](setting, source, out, work / f"{name}.home")
    facts.write_text(json.dumps({**asdict(made), "path": str(made.path)}), encoding="utf-8")
    return made


def _farm(setting: Setting, source: Path, out: Path, home: Path) -> Redacted:
    models = os.environ.get("FARM_MODELS_DIR")
    if models is None:
        ModelStore(load_settings(models_dir=WEIGHTS)).ensure("centerface")
    env = {k: v for k, v in os.environ.items() if not k.startswith("FARM_")}
    env |= {"FARM_HOME": str(home), "FARM_MODELS_DIR": models or str(WEIGHTS)}
    env.setdefault("FARM_DEVICES", f"cpu:{min(2, psutil.cpu_count() or 1)}")
    words = [sys.executable, "-m", "farm", "submit", source, "-o", out, "--overwrite", "--json", *setting.words]
    done = subprocess.run(
        [str(w) for w in words], env=env, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=_TIMEOUT
    )
    if done.returncode:
        raise RefusedError(_line(done.stderr) or f"ended with {done.returncode}")
    tracks = out.with_suffix(".tracks")
    rows = [line for path in home.glob("store/tracks/*/*.jsonl") for line in path.read_text("ascii").splitlines()]
    tracks.write_text("\n".join(sorted(rows, key=lambda line: load_frame(line).pts)), encoding="ascii")
    shutil.rmtree(home, ignore_errors=True)
    return _of_job(json.loads(done.stdout), tracks)


def tracks_of(made: Redacted) -> list[FrameTracks]:
    """The boxes of every frame that was covered. Raises ValueError for a program that does not tell."""
    if made.tracks is None:
        raise ValueError(f"{made.path}: no tracks")
    return [load_frame(line) for line in Path(made.tracks).read_text(encoding="ascii").splitlines()]


def _of_job(row: dict[str, Any], tracks: Path) -> Redacted:
    """The facts of a job as ``farm submit --json`` prints them."""
    frames = row["frames"]
    spent = {stage["stage"]: sum(stage["spent"].values()) for stage in row["stages"]}
    each = {stage: 1000 * seconds / max(1, frames) for stage, seconds in spent.items()}
    return Redacted(Path(row["output"]), frames, sum(each.values()), each["detect"], str(tracks))


def _deface(setting: Setting, source: Path, out: Path, _home: Path) -> Redacted:
    words = [deface(), source, "-o", out, "--ffmpeg-config", _RIVAL_ENCODER, *setting.words]
    before = os.times()
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=False, timeout=_TIMEOUT)
    if done.returncode or not out.exists():
        raise RefusedError(_line(done.stderr) or f"ended with {done.returncode}")
    after = os.times()
    seconds = after.children_user + after.children_system - before.children_user - before.children_system
    with av.open(str(out)) as container:
        frames = sum(1 for _ in container.decode(video=0))
    return Redacted(out, frames, 1000 * seconds / max(1, frames))


_RUN = {"farm": _farm, "deface": _deface}


def deface() -> Path:
    """``deface`` 1.5.0 with onnxruntime, its faster backend, in its own environment. Raises Skipped."""
    binary = RIVAL / "bin" / "deface"
    if binary.exists():
        return binary
    pip = [str(RIVAL / "bin" / "python"), "-m", "pip"]
    try:
        for command in (
            [sys.executable, "-m", "venv", str(RIVAL)],
            [*pip, "install", "--quiet", *RIVAL_PACKAGES],
            # deface requires opencv-python, which needs desktop libraries: keep only the headless build
            [*pip, "uninstall", "--quiet", "--yes", "opencv-python"],
            [*pip, "install", "--quiet", "--force-reinstall", "--no-deps", "opencv-python-headless"],
        ):
            subprocess.run(command, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as e:
        raise Skipped(f"deface cannot be installed: {_line(e.stderr)}") from e
    return binary


def _line(text: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if line.startswith("error")), lines[-1] if lines else "")


def _digest_of_code() -> str:
    whole = hashlib.sha256()
    for folder in ("farm", "workers"):
        for path in sorted((PROJECT / folder).rglob("*.py")):
            whole.update(path.read_bytes())
    return whole.hexdigest()
