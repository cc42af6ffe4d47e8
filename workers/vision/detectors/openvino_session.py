"""OpenVINO sessions on the CPU: twice as fast as onnxruntime where the CPU has bfloat16, else about as fast."""

import io
import sys

import numpy as np
from numpy.typing import NDArray

from farm.errors import DeviceError, ModelError

# OpenVINO sends telemetry when it is imported, unless this module is missing
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # marks the module as missing
import openvino as ov  # noqa: E402 - after the line above


class OpenVinoSession:
    """A model of one input on the CPU. OpenVINO computes in bfloat16 where the CPU has it, else in float32."""

    def __init__(self, model: bytes, threads: int) -> None:
        """Load ``model`` (an ONNX file's bytes). Raises ModelError when it cannot be loaded."""
        # pinned threads of two workers would share a core
        settings = {"INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": 1, "ENABLE_CPU_PINNING": False}
        try:
            core = ov.Core()
            compiled = core.compile_model(core.read_model(io.BytesIO(model)), "CPU", settings)
            self._request = compiled.create_infer_request()
        except Exception as e:  # OpenVINO's own errors share no base class
            raise ModelError(f"the model cannot be loaded by OpenVINO: {e}", hint="farm models verify") from e
        self._outputs = len(compiled.outputs)

    def run(self, blob: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """See :class:`workers.vision.detectors.session.Session`. The arrays are valid until the next call."""
        try:
            self._request.infer([blob], share_inputs=True)
        except Exception as e:  # OpenVINO's own errors share no base class
            raise DeviceError(f"the model cannot be run: {e}", hint="set FARM_CPU_RUNTIME=onnxruntime") from e
        return [self._request.get_output_tensor(i).data for i in range(self._outputs)]
