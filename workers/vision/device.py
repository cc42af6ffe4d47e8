"""What one worker computes on. Parent processes import this module, so it imports nothing heavy."""

import ctypes.util
import importlib.util
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from farm.domain.runtimes import RUNTIMES, needs_gpu, precision_of
from farm.errors import DeviceError, SettingsError
from farm.processes import ask


@dataclass(frozen=True, slots=True, order=True)
class Device:
    """What one worker computes on. For a CPU, ``index`` only distinguishes the workers of a host."""

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


#: The variable that says where engines are kept, see :mod:`workers.vision.detectors.engines`. onnxruntime knows it.
ENGINES = "ORT_TENSORRT_CACHE_PATH"


def environment(device: Device) -> dict[str, str]:
    """The environment in which a worker's process sees its device and no other GPU.

    Inside that process the GPU's index is 0, whatever it is on the host. GPUs are numbered as ``nvidia-smi`` does.
    """
    gpu = str(device.index) if device.kind == "cuda" else ""
    return {"CUDA_VISIBLE_DEVICES": gpu, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def runtimes(cpu_runtime: str, device: Device) -> tuple[str, ...]:
    """The runtimes (of :data:`farm.domain.runtimes.RUNTIMES`) that a device can use, in their order.

    ``cpu_runtime``, the setting: ``openvino``, ``onnxruntime`` or ``torch`` leaves CPUs that one, ``auto`` OpenVINO and
    onnxruntime, where they are. Loads OpenVINO if a CPU may use it, but neither onnxruntime nor PyTorch. Raises
    SettingsError for an unknown setting, DeviceError where what the setting names is not installed, and for a GPU
    that nothing installed here can use.
    """
    if cpu_runtime not in ("auto", "openvino", "onnxruntime", "torch"):
        raise SettingsError(f"cpu_runtime {cpu_runtime}: not a runtime", hint="use auto, openvino or onnxruntime")
    if device.kind == "cuda":
        return _gpu_runtimes(device)
    if cpu_runtime == "torch":
        if not importlib.util.find_spec("torch"):
            raise DeviceError("PyTorch is not installed", hint="install it, or set FARM_CPU_RUNTIME=onnxruntime")
        return ("torch-cpu-f32",)
    found: list[str] = []
    if cpu_runtime != "onnxruntime" and importlib.util.find_spec("openvino"):
        found += [f"openvino-{precision}" for precision in _openvino_precisions()]
    if cpu_runtime != "openvino":
        found.append("onnxruntime-f32")
    if not found:
        raise DeviceError("OpenVINO is not installed", hint="install it, or set FARM_CPU_RUNTIME=onnxruntime")
    return tuple(found)


def _openvino_precisions() -> tuple[str, ...]:
    from workers.vision.detectors.openvino_session import precisions  # noqa: PLC0415 - an extra, and heavy

    return precisions()


def _gpu_runtimes(device: Device) -> tuple[str, ...]:
    families = gpu_families()
    if not families:
        raise DeviceError(NO_CUDA, hint=INSTALL_CUDA)
    tf32 = _has_tf32(device)
    offered = [name for name in RUNTIMES if needs_gpu(name) and name.partition("-")[0] in families]
    return tuple(name for name in offered if tf32 or precision_of(name) != "tf32")


NO_CUDA = "neither onnxruntime nor PyTorch has CUDA here"
INSTALL_CUDA = "install onnxruntime-gpu in place of onnxruntime, or a PyTorch with CUDA"


def gpu_families() -> tuple[str, ...]:
    """What is installed here that runs models on NVIDIA GPUs: ``cuda`` (onnxruntime), ``torch``, ``tensorrt``.

    Looks at files only: to import PyTorch takes seconds and hundreds of megabytes.
    """
    there = {
        "cuda": _files("onnxruntime", "capi/*onnxruntime_providers_cuda*"),
        "torch": any(re.search(r"^cuda\b.*= *'\d", p.read_text(), re.MULTILINE) for p in _files("torch", "version.py")),
        "tensorrt": _files("onnxruntime", "capi/*onnxruntime_providers_tensorrt*")
        and (_files("tensorrt_libs", "*nvinfer*") or ctypes.util.find_library("nvinfer")),
    }
    return tuple(family for family, found in there.items() if found)


def _files(package: str, pattern: str) -> list[Path]:
    """Files of an installed package, which is not imported."""
    found = importlib.util.find_spec(package)
    places = found.submodule_search_locations if found is not None else None
    return [path for place in places or () for path in Path(place).glob(pattern)]


def _has_tf32(device: Device) -> bool:
    """Whether a GPU multiplies in TF32: from compute capability 8.0 on, unless the environment forbids it."""
    if os.environ.get("NVIDIA_TF32_OVERRIDE") == "0":
        return False
    asked = ["nvidia-smi", f"--id={device.index}", "--query-gpu=compute_cap", "--format=csv,noheader"]
    try:
        major, _, minor = ask(asked, timeout=30).stdout.strip().partition(".")
        return (int(major), int(minor)) >= FIRST_TF32
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return False  # float32 is exact on every GPU


#: The first compute capability (major, minor) with TF32.
FIRST_TF32 = (8, 0)
