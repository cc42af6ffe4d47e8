"""What one worker computes on. Parent processes import this module, so it imports nothing heavy."""

import importlib.util
import os
import re
import subprocess
from dataclasses import dataclass
from typing import Literal

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


def environment(device: Device) -> dict[str, str]:
    """The environment in which a worker's process sees its device and no other GPU.

    Inside that process the GPU's index is 0, whatever it is on the host. GPUs are numbered as ``nvidia-smi`` does.
    """
    gpu = str(device.index) if device.kind == "cuda" else ""
    return {"CUDA_VISIBLE_DEVICES": gpu, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}


def runtimes(cpu_runtime: str, device: Device) -> tuple[str, ...]:
    """The runtimes (of :data:`farm.domain.runtimes.RUNTIMES`) that a device can use, fastest first.

    ``cpu_runtime``, the setting: ``openvino`` or ``onnxruntime`` leaves CPUs that one, ``auto`` all that there are.
    Loads OpenVINO if a CPU may use it. Raises SettingsError for an unknown setting, DeviceError without OpenVINO if
    the setting names it.
    """
    if cpu_runtime not in ("auto", "openvino", "onnxruntime"):
        raise SettingsError(f"cpu_runtime {cpu_runtime}: not a runtime", hint="use auto, openvino or onnxruntime")
    if device.kind == "cuda":
        return ("cuda-tf32", "cuda-f32") if _has_tf32(device) else ("cuda-f32",)
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


def _has_tf32(device: Device) -> bool:
    """Whether a GPU multiplies in TF32: from compute capability 8.0 on, unless the environment forbids it."""
    if os.environ.get("NVIDIA_TF32_OVERRIDE") == "0":
        return False
    asked = ["nvidia-smi", f"--id={device.index}", "--query-gpu=compute_cap", "--format=csv,noheader"]
    try:
        return float(ask(asked, timeout=30).stdout) >= _FIRST_TF32
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return False  # float32 is exact on every GPU


_FIRST_TF32 = 8.0


def runtime_has_cuda() -> bool:
    """Whether the installed onnxruntime can use CUDA at all."""
    import onnxruntime  # noqa: PLC0415 - heavy, and called only where a GPU is present or requested

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()
