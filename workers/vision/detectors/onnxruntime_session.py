"""onnxruntime sessions on exactly the requested device: by its CPU provider, by CUDA, or by TensorRT."""

import sys
from collections.abc import Callable, Mapping
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from farm.errors import DeviceError, ModelError
from workers.vision.detectors.engines import building, engine_settings, load_tensorrt
from workers.vision.detectors.failing import device_failure
from workers.vision.device import Device

_CPU, _CUDA, _TENSORRT = (f"{name}ExecutionProvider" for name in ("CPU", "CUDA", "Tensorrt"))
_TRUE = ("1", "True", "true")
#: Operators that take the time; others may be computed elsewhere, such as those on shapes.
_HEAVY = {"Conv", "ConvTranspose", "FusedConv", "Gemm", "MatMul"}


@dataclass(frozen=True, slots=True)
class _Provider:
    """How onnxruntime is asked for a device and a precision. ``proves``: what its settings must say afterwards.

    ``beside``: what takes the nodes that this one does not, on the same device.
    """

    name: str
    settings: Mapping[str, str]
    proves: tuple[str, bool] | None = None
    beside: "tuple[_Provider, ...]" = ()


class OnnxRuntimeSession:
    """A model of one input on one device, with no fallback to another."""

    def __init__(self, model: bytes, device: Device, threads: int, precision: str) -> None:
        """Load ``model`` (an ONNX file's bytes). ``precision``: ``f32``, on a GPU also ``tf32``; ``f16`` by TensorRT.

        Raises DeviceError when the device's provider is missing, does not initialise, has another precision or leaves
        the work to another one, OutOfMemory, ModelError when the model cannot be loaded.
        """
        wanted = _provider(device, precision, model)
        if device.kind == "cuda":
            _load_libraries()
        if wanted.name not in ort.get_available_providers():
            hint = "install onnxruntime-gpu, or use --devices cpu:N"
            raise DeviceError(f"this onnxruntime has no {wanted.name}", hint=hint)
        providers = [(provider.name, dict(provider.settings)) for provider in (wanted, *wanted.beside)]
        try:
            with building(model, device) if wanted.name == _TENSORRT else nullcontext():
                self._session = ort.InferenceSession(model, _options(device, threads), providers=providers)
        except Exception as e:  # onnxruntime's own errors share no base class
            if device.kind == "cuda":
                raise device_failure(device, e, "the model cannot be loaded") from e
            raise ModelError(f"the model cannot be loaded on {device.name}: {e}", hint="farm models verify") from e
        self._check(wanted, device, precision)
        self._device, self._input = device, self._session.get_inputs()[0].name

    def _check(self, wanted: _Provider, device: Device, precision: str) -> None:
        """Raise DeviceError unless the session is what was asked for: onnxruntime itself only warns, and goes on."""
        if self._session.get_providers()[0] != wanted.name:
            hint = "CUDA's and cuDNN's libraries must be those of this onnxruntime-gpu: see `import onnxruntime; "
            hint += "onnxruntime.print_debug_info()`"
            raise DeviceError(f"{wanted.name} could not be started on {device.name}", hint=hint)
        if wanted.proves is not None:
            name, expected = wanted.proves
            said = self._session.get_provider_options()[wanted.name].get(name, "0")
            if (said in _TRUE) != expected:
                raise DeviceError(f"{wanted.name} does not compute in {precision} on {device.name}")
        if device.kind == "cuda" and (left := left_out(self._session, wanted.name)):
            raise DeviceError(f"{wanted.name} leaves {', '.join(sorted(left))} to others on {device.name}")

    def run(self, given: NDArray[np.generic]) -> list[NDArray[np.float32]]:
        """See :class:`workers.vision.detectors.session.Session`."""
        try:
            outputs: list[NDArray[np.float32]] = self._session.run(None, {self._input: given})
        except Exception as e:  # onnxruntime's own errors share no base class
            raise device_failure(self._device, e, "the model cannot be run") from e
        return outputs


def left_out(session: Any, provider: str) -> set[str]:  # noqa: ANN401 - onnxruntime has no types
    """The operators that take time and are not computed by ``provider``; none where onnxruntime does not tell (< 1.24).

    TensorRT takes the parts of a graph that it knows: the rest would be computed in another precision.
    """
    tell: Callable[[], Any] | None = getattr(session, "get_provider_graph_assignment_info", None)
    parts = [part for part in (tell() if tell is not None else ()) if part.ep_name != provider]
    return {node.op_type for part in parts for node in part.get_nodes()} & _HEAVY


def _load_libraries() -> None:
    """Load CUDA and cuDNN from pip's packages (nvidia-cudnn-cu13 and others), where the linker does not look for them.

    What is missing is found in the usual places, or shows when a session is made.
    """
    if (load := getattr(ort, "preload_dlls", None)) is not None:  # not every build has it
        with redirect_stdout(sys.stderr):  # it prints what it does not find; standard output may be somebody's JSON
            load()


def _provider(device: Device, precision: str, model: bytes) -> _Provider:
    if device.kind == "cpu":
        return _Provider(_CPU, {})
    # CUDA_VISIBLE_DEVICES leaves this process one GPU, number 0; HEURISTIC chooses kernels by shape, not by timing
    tf32 = precision == "tf32"
    settings = {"device_id": "0", "cudnn_conv_algo_search": "HEURISTIC", "use_tf32": "1" if tf32 else "0"}
    cuda = _Provider(_CUDA, settings, ("use_tf32", tf32))
    if precision != "f16":
        return cuda
    load_tensorrt()
    return _Provider(_TENSORRT, engine_settings(model, device), ("trt_fp16_enable", True), (cuda,))


def _options(device: Device, threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    # spinning threads would take cores from the other workers
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if device.kind == "cuda":
        options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")  # for left_out
    options.enable_mem_pattern = False  # saves an eighth of the memory at 1280 pixels, and costs no time
    options.log_severity_level = 3
    return options
