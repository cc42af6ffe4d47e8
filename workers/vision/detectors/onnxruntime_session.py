"""onnxruntime sessions on exactly the requested device."""

import sys
from contextlib import redirect_stdout

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from farm.errors import DeviceError, ModelError
from workers.vision.detectors.failing import device_failure
from workers.vision.device import Device


class OnnxRuntimeSession:
    """A model of one input on one device, with no fallback to another."""

    def __init__(self, model: bytes, device: Device, threads: int, precision: str) -> None:
        """Load ``model`` (an ONNX file's bytes). ``precision``: ``f32``, or ``tf32`` on a GPU.

        Raises DeviceError when the device's provider is missing, does not initialise or has another precision,
        ModelError when the model cannot be loaded.
        """
        name, settings = _provider(device, precision)
        if device.kind == "cuda":
            _load_libraries()
        if name not in ort.get_available_providers():
            raise DeviceError(f"this onnxruntime has no {name}", hint="install onnxruntime-gpu, or use --devices cpu:N")
        try:
            self._session = ort.InferenceSession(model, _options(threads), providers=[(name, settings)])
        except Exception as e:  # onnxruntime's own errors share no base class
            if device.kind == "cuda":
                raise device_failure(device, e, "the model cannot be loaded") from e
            raise ModelError(f"the model cannot be loaded on {device.name}: {e}", hint="farm models verify") from e
        if self._session.get_providers()[0] != name:
            hint = "CUDA's and cuDNN's libraries must be those of this onnxruntime-gpu: see `import onnxruntime; "
            hint += "onnxruntime.print_debug_info()`"
            raise DeviceError(f"{name} could not be started on {device.name}", hint=hint)
        tf32 = self._session.get_provider_options()[name].get("use_tf32", "0")
        if (tf32 == "1") != (precision == "tf32"):
            raise DeviceError(f"{name} does not compute in {precision} on {device.name}")
        self._device, self._input = device, self._session.get_inputs()[0].name

    def run(self, given: NDArray[np.generic]) -> list[NDArray[np.float32]]:
        """See :class:`workers.vision.detectors.session.Session`."""
        try:
            outputs: list[NDArray[np.float32]] = self._session.run(None, {self._input: given})
        except Exception as e:  # onnxruntime's own errors share no base class
            raise device_failure(self._device, e, "the model cannot be run") from e
        return outputs


def _load_libraries() -> None:
    """Load CUDA and cuDNN from pip's packages (nvidia-cudnn-cu13 and others), where the linker does not look for them.

    What is missing is found in the usual places, or shows when a session is made.
    """
    if (load := getattr(ort, "preload_dlls", None)) is not None:  # not every build has it
        with redirect_stdout(sys.stderr):  # it prints what it does not find; standard output may be somebody's JSON
            load()


def _provider(device: Device, precision: str) -> tuple[str, dict[str, str]]:
    if device.kind == "cpu":
        return "CPUExecutionProvider", {}
    # CUDA_VISIBLE_DEVICES leaves this process one GPU, number 0; HEURISTIC chooses kernels by shape, not by timing
    tf32 = "1" if precision == "tf32" else "0"
    return "CUDAExecutionProvider", {"device_id": "0", "cudnn_conv_algo_search": "HEURISTIC", "use_tf32": tf32}


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    # spinning threads would take cores from the other workers
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_mem_pattern = False  # saves an eighth of the memory at 1280 pixels, and costs no time
    options.log_severity_level = 3
    return options
