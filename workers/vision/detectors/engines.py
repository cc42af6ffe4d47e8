"""TensorRT's engines: what it makes of a model for one GPU, in seconds to minutes. They are kept for the next time.

An engine fits the GPU, the driver and the libraries that it was made with, and is kept in a folder of these. The
files hold code for the GPU: they lie in the farm's home, which only its user can write to.
"""

import ctypes
import hashlib
import importlib.util
import logging
import os
import re
import subprocess
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import onnxruntime as ort

from farm.liveness import beat
from farm.processes import ask
from workers.vision.device import ENGINES, Device

log = logging.getLogger(__name__)

_BEAT_SECONDS = 5.0
_LONGEST_SECONDS = 900.0  # what makes an engine for longer hangs


def engine_settings(model: bytes, device: Device) -> dict[str, str]:
    """How onnxruntime's TensorRT provider is to run ``model`` in half precision, and where it keeps the engine.

    Without the variable ENGINES nothing is kept. Source: onnxruntime's documentation of the provider's options.
    """
    settings = {"device_id": "0", "trt_fp16_enable": "1"}
    if (place := engine_folder(model, device)) is not None:
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        kept = {"trt_engine_cache_enable": "1", "trt_timing_cache_enable": "1"}
        settings |= kept | {"trt_engine_cache_path": str(place), "trt_timing_cache_path": str(place.parent)}
    return settings


def engine_folder(model: bytes, device: Device) -> Path | None:
    """The folder for the engine of a model on a GPU; None where engines are not kept, or the driver does not answer."""
    home = os.environ.get(ENGINES)
    asked = ["nvidia-smi", f"--id={device.index}", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        gpu = ask(asked, timeout=30).stdout.strip() if home else ""
    except (OSError, subprocess.TimeoutExpired):
        gpu = ""
    if not home or not gpu:
        return None
    made_with = re.sub(r"[^A-Za-z0-9.]+", "-", f"{gpu} onnxruntime {ort.__version__} {' '.join(_libraries())}")
    return Path(home, made_with, hashlib.sha256(model).hexdigest()[:32])


def _libraries() -> list[str]:
    """The names of TensorRT's library files in pip's package, which hold its version."""
    return [path.name for path in _packaged() if path.name.startswith("libnvinfer.so")]


def _packaged() -> list[Path]:
    found = importlib.util.find_spec("tensorrt_libs")
    places = found.submodule_search_locations if found is not None else None
    return sorted(path for place in places or () for path in Path(place).glob("*.so*"))


def load_tensorrt() -> None:
    """Load TensorRT from pip's package, where the linker does not look for it; else it is where the linker looks."""
    for name in ("libnvinfer.so", "libnvinfer_plugin.so", "libnvonnxparser.so"):
        for path in _packaged():
            if path.name.startswith(name):
                with suppress(OSError):  # shows when a session is made
                    ctypes.CDLL(str(path), ctypes.RTLD_GLOBAL)


@contextmanager
def building(model: bytes, device: Device) -> Generator[None, None, None]:
    """While an engine is made, say that this process moves, which does no frames for that time."""
    folder = engine_folder(model, device)
    if folder is None or not any(folder.glob("*.engine")):
        log.info("TensorRT makes an engine for %s; that takes up to minutes", device.name)
    over = threading.Event()

    def beats() -> None:
        for _ in range(int(_LONGEST_SECONDS / _BEAT_SECONDS)):
            beat()
            if over.wait(_BEAT_SECONDS):
                return

    thread = threading.Thread(target=beats, name="engine", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
