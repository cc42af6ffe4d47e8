"""What a session is, and which runtime it is opened on."""

import importlib.util
import logging
import os
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from farm.errors import SettingsError
from workers.vision.device import RUNTIME, Device

log = logging.getLogger(__name__)


class Session(Protocol):
    """A model of one input, loaded on one device."""

    def run(self, blob: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """All outputs for one input, float32 as the model declares them. Raises DeviceError."""
        ...


def open_session(model: bytes, device: Device, threads: int) -> Session:
    """Load ``model`` (an ONNX file's bytes) on exactly ``device``.

    A GPU is onnxruntime's. A CPU is OpenVINO's where that is installed: the same model, faster there. Workers of one
    farm should be alike: runtimes differ in the last digits, as CPUs and GPUs do.
    Raises DeviceError when the device cannot be used, ModelError when the model cannot be loaded.
    """
    runtime = "onnxruntime" if device.kind != "cpu" else _cpu_runtime()
    log.info("model on %s by %s", device.name, runtime)
    if runtime == "openvino":
        from workers.vision.detectors.openvino_session import OpenVinoSession  # noqa: PLC0415 - an extra

        return OpenVinoSession(model, threads)
    from workers.vision.detectors.onnxruntime_session import OnnxRuntimeSession  # noqa: PLC0415 - only the one in use

    return OnnxRuntimeSession(model, device, threads)


def _cpu_runtime() -> str:
    wanted = os.environ.get(RUNTIME, "auto")
    if wanted == "auto":
        return "openvino" if importlib.util.find_spec("openvino") else "onnxruntime"
    if wanted not in ("openvino", "onnxruntime"):
        raise SettingsError(f"{RUNTIME}={wanted}: not a runtime", hint="use openvino or onnxruntime")
    return wanted
