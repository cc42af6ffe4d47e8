"""The devices that workers run on. The supervisor imports this module, so it imports nothing heavy."""

import logging
import os
import re
import subprocess
from collections.abc import Callable, Collection

import psutil

from farm.errors import DeviceError, SettingsError
from farm.processes import ask
from workers.vision.device import INSTALL_CUDA, NO_CUDA, Device, gpu_families

log = logging.getLogger(__name__)

_WORDS = "auto, cpu:N, or a list such as cuda:0,cuda:1"
_PER_CPU = 8  # workers; more than one gains little


def list_gpus() -> int:
    """The number of GPUs that this host's NVIDIA driver lists; 0 without a driver."""
    try:
        listing = ask(["nvidia-smi", "-L"], timeout=30)  # from PATH: the driver decides where it is installed
    except (OSError, subprocess.TimeoutExpired):
        return 0
    if listing.returncode != 0:
        return 0
    return sum(line.startswith("GPU ") for line in listing.stdout.splitlines())


def usable_cpus() -> int:
    """The number of logical CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def count_cores() -> int:
    """The number of physical cores that this process may use."""
    return max(1, min(usable_cpus(), psutil.cpu_count(logical=False) or usable_cpus()))


def parse_devices(
    text: str,
    *,
    gpus: Callable[[], int] = list_gpus,
    families: Callable[[], Collection[str]] = gpu_families,
    cores: Callable[[], int] = count_cores,
) -> list[Device]:
    """The devices that ``--devices`` names; each is checked to be present.

    ``auto``: every GPU if there is any that onnxruntime can use, else one CPU worker per core. Raises SettingsError for
    an invalid value and DeviceError for an absent device. ``gpus``, ``families`` and ``cores`` query the machine.
    """
    words = text.strip().lower()
    if words == "auto":
        return _automatic(gpus, families, cores)
    devices = [device for part in words.split(",") for device in _part(part.strip(), text)]
    if len(set(devices)) != len(devices):
        raise SettingsError(f'--devices: "{text}" names a device twice; use {_WORDS}')
    wanted = [device for device in devices if device.kind == "cuda"]
    if wanted:
        _check_gpus(wanted, gpus(), families)
    return devices


def _automatic(
    gpus: Callable[[], int], families: Callable[[], Collection[str]], cores: Callable[[], int]
) -> list[Device]:
    found = gpus()
    able = families() if found else ()
    if "cuda" in able:
        return [Device("cuda", index) for index in range(found)]
    if found:  # PyTorch has not run on a GPU for the farm yet: it is for those who name the device
        why = "onnxruntime has no CUDA here" if able else NO_CUDA
        how = "PyTorch can: --devices cuda:0" if able else f"to use them, {INSTALL_CUDA}"
        log.warning("%d GPU(s) here, but %s: using the CPU (%s)", found, why, how)
    return [Device("cpu", index) for index in range(cores())]


def _part(part: str, text: str) -> list[Device]:
    found = re.fullmatch(r"cpu(?::(\d+))?|cuda:(\d+)", part)
    if found is None or found[1] == "0":
        raise SettingsError(f'--devices: "{text}" is not valid; use {_WORDS}')
    if part.startswith("cuda"):
        return [Device("cuda", int(found[2]))]
    if int(found[1] or 1) > (most := _PER_CPU * usable_cpus()):  # each is two processes and up to 500 MB
        raise SettingsError(f'--devices: "{text}" is more than this machine can run; use at most cpu:{most}')
    return [Device("cpu", index) for index in range(int(found[1] or 1))]


def _check_gpus(wanted: list[Device], found: int, families: Callable[[], Collection[str]]) -> None:
    for device in wanted:
        if device.index >= found:
            there = f"this host has {found} GPU(s)" if found else "this host has no GPU"
            raise DeviceError(f"cuda:{device.index} is not there: {there}", hint="see nvidia-smi -L, or use cpu:N")
    if not families():
        raise DeviceError(NO_CUDA, hint=INSTALL_CUDA)
