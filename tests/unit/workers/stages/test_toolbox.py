"""What a worker's process hands to its detectors."""

import pytest

from farm.domain.detectors import StubOptions
from farm.errors import DeviceError
from farm.settings import Settings
from workers.stages.toolbox import Toolbox


def test_a_job_gets_its_own_runtime_or_none() -> None:
    toolbox = Toolbox(Settings(cpu_runtime="onnxruntime"), "cpu0")
    toolbox.detector(StubOptions(runtime="onnxruntime-f32"))
    for other in ("openvino-bf16", "cuda-f32", None):
        with pytest.raises(DeviceError, match=f"the job needs the runtime {other}; cpu0 has onnxruntime-f32"):
            toolbox.detector(StubOptions(runtime=other))
