"""OpenVINO sessions on the CPU, in a precision that is asked for and checked: bfloat16 is twice as fast as float32."""

import io
import sys

import numpy as np
from numpy.typing import NDArray

from farm.errors import DeviceError, ModelError

# OpenVINO sends telemetry when it is imported, unless this module is missing
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # marks the module as missing
import openvino as ov  # noqa: E402 - after the line above


def precisions() -> tuple[str, ...]:
    """The precisions that this CPU computes in, fastest first. Raises DeviceError."""
    try:
        able = ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    except Exception as e:  # OpenVINO's own errors share no base class
        raise DeviceError(f"OpenVINO cannot use this CPU: {e}", hint="set FARM_CPU_RUNTIME=onnxruntime") from e
    return ("bf16", "f32") if "BF16" in able else ("f32",)


class OpenVinoSession:
    """A model of one input on the CPU, computed in exactly one precision."""

    def __init__(self, model: bytes, threads: int, precision: str) -> None:
        """Load ``model`` (an ONNX file's bytes). ``precision``: ``bf16`` or ``f32``.

        Raises ModelError when it cannot be loaded, DeviceError when OpenVINO would compute in another precision.
        """
        settings = {
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # pinned threads of two workers would share a core
            "INFERENCE_PRECISION_HINT": precision,
        }
        try:
            core = ov.Core()
            compiled = core.compile_model(core.read_model(io.BytesIO(model)), "CPU", settings)
            self._request = compiled.create_infer_request()
            used = _precisions_used(compiled)
        except Exception as e:  # OpenVINO's own errors share no base class
            raise ModelError(f"the model cannot be loaded by OpenVINO: {e}", hint="farm models verify") from e
        if used != {precision}:
            found = ", ".join(sorted(used))
            raise DeviceError(f"OpenVINO computes in {found} here, not in {precision}", hint="choose another runtime")
        self._outputs = len(compiled.outputs)

    def run(self, given: NDArray[np.generic]) -> list[NDArray[np.float32]]:
        """See :class:`workers.vision.detectors.session.Session`. The arrays are valid until the next call."""
        try:
            self._request.infer([given], share_inputs=True)
        except Exception as e:  # OpenVINO's own errors share no base class
            raise DeviceError(f"the model cannot be run: {e}", hint="set FARM_CPU_RUNTIME=onnxruntime") from e
        return [self._request.get_output_tensor(i).data for i in range(self._outputs)]


def _precisions_used(compiled: "ov.CompiledModel") -> set[str]:
    """The precision that OpenVINO states for a model, and those of the convolutions that it will really run."""
    layers = (layer.get_rt_info() for layer in compiled.get_runtime_model().get_ops())
    real = {str(of["runtimePrecision"].astype(str)) for of in layers if "Convolution" in of["layerType"].astype(str)}
    return {str(compiled.get_property("INFERENCE_PRECISION_HINT").to_string()), *real}
