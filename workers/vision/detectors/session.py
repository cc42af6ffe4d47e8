"""Sessions: a model loaded on a device by one of two runtimes."""

import logging
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from workers.vision.device import Device

log = logging.getLogger(__name__)


class Session(Protocol):
    """A model of one input, loaded on one device."""

    def run(self, blob: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """All outputs for one input, float32 as the model declares them. Raises DeviceError."""
        ...


def open_session(model: bytes, device: Device, threads: int, runtime: str) -> Session:
    """Load ``model`` (an ONNX file's bytes) on exactly ``device``; ``threads`` are for a CPU.

    ``runtime``: see :func:`workers.vision.device.resolve_runtime`. Raises DeviceError when the device cannot be used,
    ModelError when the model cannot be loaded.
    """
    log.info("model on %s by %s", device.name, runtime)
    if runtime == "openvino":
        from workers.vision.detectors.openvino_session import OpenVinoSession  # noqa: PLC0415 - an extra

        return OpenVinoSession(model, threads)
    from workers.vision.detectors.onnxruntime_session import OnnxRuntimeSession  # noqa: PLC0415 - only the one in use

    return OnnxRuntimeSession(model, device, threads)
