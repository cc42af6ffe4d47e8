"""The devices that workers run on. The parent process imports this: nothing heavy is imported with it."""

import logging
import os
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import psutil

from farm.errors import DeviceError, SettingsError

log = logging.getLogger(__name__)

#: The setting ``cpu_runtime`` as a worker's process finds it: auto is OpenVINO where that is installed.
RUNTIME = "FARM_CPU_RUNTIME"
_WORDS = "auto, cpu:N, or a list such as cuda:0,cuda:1"


@dataclass(frozen=True, slots=True, order=True)
class Device:
    """What one worker computes on. For a CPU, ``index`` only tells workers of one host apart."""

    kind: Literal["cpu", "cuda"]
    index: int

    @property
    def name(self) -> str:
        """``cpu0``, ``cuda1``."""
        return f"{self.kind}{self.index}"

    @classmethod
    def named(cls, name: str) -> "Device":
        """The inverse of :attr:`name`. Raises SettingsError for anything else."""
        found = re.fullmatch(r"(cpu|cuda)(\d+)", name)
        if found is None:
            raise SettingsError(f"device {name!r}: not a device's name", hint="cpu0, cuda1")
        return cls("cuda" if found[1] == "cuda" else "cpu", int(found[2]))


def environment(device: Device) -> dict[str, str]:
    """What a worker's process needs in its environment to see its device and no other GPU.

    Inside that process the GPU has number 0, whatever its number on the host.
    """
    return {"CUDA_VISIBLE_DEVICES": str(device.index) if device.kind == "cuda" else ""}


def list_gpus() -> int:
    """GPUs that the NVIDIA driver of this host shows; 0 without a driver."""
    try:
        listing = subprocess.run(
            ["nvidia-smi", "-L"],  # noqa: S607 - wherever the driver put it
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return 0
    if listing.returncode != 0:
        return 0
    return sum(line.startswith("GPU ") for line in listing.stdout.splitlines())


def runtime_has_cuda() -> bool:
    """Whether the installed onnxruntime can use CUDA at all."""
    import onnxruntime  # noqa: PLC0415 - heavy, and only asked where there is a GPU or one was asked for

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()


def count_cores() -> int:
    """Physical cores this process may use."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, psutil.cpu_count(logical=False) or allowed))


def parse_devices(
    text: str,
    *,
    gpus: Callable[[], int] = list_gpus,
    has_cuda: Callable[[], bool] = runtime_has_cuda,
    cores: Callable[[], int] = count_cores,
) -> list[Device]:
    """The devices that ``--devices`` names, each checked to be there.

    ``auto``: every GPU if there is any, else one CPU worker a core. Raises SettingsError for words that mean nothing
    and DeviceError for a device that is not there. ``gpus``, ``has_cuda`` and ``cores`` ask the machine.
    """
    words = text.strip().lower()
    if words == "auto":
        return _automatic(gpus, has_cuda, cores)
    devices = [device for part in words.split(",") for device in _part(part.strip(), text)]
    if len(set(devices)) != len(devices):
        raise SettingsError(f"--devices {text}: a device is named twice", hint=f"use {_WORDS}")
    wanted = [device for device in devices if device.kind == "cuda"]
    if wanted:
        _check_gpus(wanted, gpus(), has_cuda)
    return devices


def _automatic(gpus: Callable[[], int], has_cuda: Callable[[], bool], cores: Callable[[], int]) -> list[Device]:
    found = gpus()
    if found and has_cuda():
        return [Device("cuda", index) for index in range(found)]
    if found:
        log.warning("%d GPU(s) here, but this onnxruntime has no CUDA: using the CPU (%s)", found, _INSTALL)
    return [Device("cpu", index) for index in range(cores())]


_INSTALL = "to use them, install onnxruntime-gpu in place of onnxruntime"


def _part(part: str, text: str) -> list[Device]:
    found = re.fullmatch(r"cpu(?::(\d+))?|cuda:(\d+)", part)
    if found is None or found[1] == "0":
        raise SettingsError(f"--devices {text}: not a usable value", hint=f"use {_WORDS}")
    if part.startswith("cuda"):
        return [Device("cuda", int(found[2]))]
    return [Device("cpu", index) for index in range(int(found[1] or 1))]


def _check_gpus(wanted: list[Device], found: int, has_cuda: Callable[[], bool]) -> None:
    for device in wanted:
        if device.index >= found:
            there = f"this host shows {found} GPU(s)" if found else "this host shows no GPU"
            raise DeviceError(f"cuda:{device.index} is not there: {there}", hint="see nvidia-smi -L, or use cpu:N")
    if not has_cuda():
        raise DeviceError("this onnxruntime has no CUDA", hint=_INSTALL.replace("them", "a GPU"))
