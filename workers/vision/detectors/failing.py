"""What the libraries of a device say when it fails, and the line that a person gets for it."""

import re
import subprocess

from farm.errors import DeviceError, DeviceLost, OutOfMemory
from farm.processes import ask
from workers.vision.device import Device

#: onnxruntime's arena; CUDA (error 2), PyTorch, TensorRT; cuBLAS and cuDNN; PyTorch on a CPU; C++.
_FULL = re.compile(
    r"failed to allocate memory|available memory of \d+ is smaller|out of memory|outofmemory|STATUS_ALLOC_FAILED"
    r"|not enough memory|can't allocate memory|could not be allocated|bad_alloc",
    re.IGNORECASE,
)
#: CUDA's errors 46 (cudaErrorDevicesUnavailable), as a card in exclusive mode answers a second process.
_TAKEN = re.compile(r"devices?(\(s\))? (is|are|is/are) busy or unavailable", re.IGNORECASE)
#: CUDA's errors 100, 101, 214, 700, 702, 710, 714 to 719, 802 and 999, and what NVML and the driver say of a lost card.
#: After most of them nothing can be computed in the process any more.
_LOST = re.compile(
    r"no CUDA-capable device|invalid device ordinal|uncorrectable ECC|illegal (memory access|instruction)"
    r"|launch timed out|device-side assert|hardware stack error|misaligned address|unspecified launch failure"
    r"|system not yet initialized|GPU is lost|fallen off the bus|unknown error|driver shutting down"
    r"|CUDA (failure|error)( code)?[ :=]*(100|101|214|700|702|710|71[4-9]|802|999)\b",
    re.IGNORECASE,
)
_LONGEST = 300


def device_failure(device: Device, error: Exception, doing: str) -> DeviceError:
    """The error for what a library raised on a device. ``doing``: what failed, as in "the model cannot be run".

    OutOfMemory where a smaller batch may help; DeviceLost where this process cannot use the device any more.
    """
    said = str(error)
    if isinstance(error, MemoryError) or _FULL.search(said):
        return OutOfMemory(f"the memory of {device.name} is full", hint=_holders(device))
    if device.kind == "cuda" and _TAKEN.search(said):
        return DeviceLost(f"{device.name} is taken by another process", hint=f"one process per GPU; {_holders(device)}")
    line = _line_of(said)
    if device.kind == "cuda" and _LOST.search(said):
        hint = "its chunks go to other workers; see nvidia-smi and the driver's log"
        return DeviceLost(f"{device.name} does not answer any more: {line}", hint=hint)
    return DeviceError(f"{doing} on {device.name}: {line}")


def _line_of(said: str) -> str:
    """The first line of what a library said, shortened: the rest names its source code."""
    line = next((line.strip() for line in said.splitlines() if line.strip()), "no reason was given")
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"


def _holders(device: Device) -> str:
    """What holds the memory of a GPU, as the driver tells it; what to do, where it tells nothing."""
    asked = ["--query-compute-apps=pid,used_memory,process_name", "--format=csv,noheader"]
    if device.kind == "cuda":
        try:
            told = ask(["nvidia-smi", f"--id={device.index}", *asked], timeout=10)
        except (OSError, subprocess.TimeoutExpired):
            told = None
        rows = told.stdout.strip().splitlines() if told is not None and told.returncode == 0 else []
        if rows:
            return "the driver lists " + "; ".join(row.strip() for row in rows[:8])
    return "close what else uses it, or choose a smaller --detect-size"
