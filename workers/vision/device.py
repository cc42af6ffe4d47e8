"""What one worker computes on. Parent processes import this module, so it imports nothing heavy."""

import importlib.util
import re
from dataclasses import dataclass
from typing import Literal

from farm.errors import SettingsError


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

    Inside that process the GPU's index is 0, whatever it is on the host.
    """
    return {"CUDA_VISIBLE_DEVICES": str(device.index) if device.kind == "cuda" else ""}


def resolve_runtime(cpu_runtime: str, device: Device) -> str:
    """The runtime for a device, ``openvino`` or ``onnxruntime``. ``cpu_runtime``: the setting of that name.

    GPUs always use onnxruntime. On a CPU ``auto`` is OpenVINO where that is installed: it runs the same model faster.
    The workers of a farm should use the same one: runtimes differ in the last digits, as CPUs and GPUs do.
    Raises SettingsError for an unknown name.
    """
    if cpu_runtime not in ("auto", "openvino", "onnxruntime"):
        raise SettingsError(f"cpu_runtime {cpu_runtime}: not a runtime", hint="use auto, openvino or onnxruntime")
    if device.kind != "cpu":
        return "onnxruntime"
    if cpu_runtime == "auto":
        return "openvino" if importlib.util.find_spec("openvino") else "onnxruntime"
    return cpu_runtime


def runtime_has_cuda() -> bool:
    """Whether the installed onnxruntime can use CUDA at all."""
    import onnxruntime  # noqa: PLC0415 - heavy, and called only where a GPU is present or requested

    return "CUDAExecutionProvider" in onnxruntime.get_available_providers()
