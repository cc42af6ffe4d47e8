"""What a worker's process hands to its detectors."""

from typing import Any

import pytest

from farm.domain.detectors import StubOptions
from farm.settings import Settings
from workers.stages import toolbox


@pytest.mark.parametrize(
    ("setting", "device", "runtime"),
    [("openvino", "cpu0", "openvino"), ("onnxruntime", "cpu1", "onnxruntime"), ("openvino", "cuda0", "onnxruntime")],
)
def test_the_setting_of_the_runtime_reaches_the_detector(
    setting: Any, device: str, runtime: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, object] = {}
    monkeypatch.setattr(toolbox, "create_detector", lambda _options, _device, **more: seen.update(more))
    toolbox.Toolbox(Settings(cpu_runtime=setting), device).detector(StubOptions())
    assert seen["runtime"] == runtime
