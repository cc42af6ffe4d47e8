"""What a worker's process hands to its detectors."""

import weakref

import pytest

from farm.domain.detectors import DetectOptions
from farm.domain.options import load_options
from farm.errors import DeviceError
from farm.settings import Settings
from workers.stages.toolbox import Toolbox


def test_a_job_gets_its_own_runtime_or_none() -> None:
    toolbox = Toolbox(Settings(cpu_runtime="onnxruntime"), "cpu0")
    toolbox.detector(DetectOptions(detector="stub", runtime="onnxruntime-f32"))
    for other in ("openvino-bf16", "cuda-f32"):
        with pytest.raises(DeviceError, match=f"the job needs the runtime {other}; cpu0 has onnxruntime-f32"):
            toolbox.detector(DetectOptions(detector="stub", runtime=other))


def test_a_job_of_a_version_that_fixed_no_runtime_gets_the_workers_own(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[DetectOptions] = []

    def create(options: DetectOptions, *_: object, **__: object) -> object:
        loaded.append(options)
        return object()

    monkeypatch.setattr("workers.stages.toolbox.create_detector", create)
    older = load_options({"detect": {"model": "stub", "size": 320}}).detect
    Toolbox(Settings(cpu_runtime="onnxruntime"), "cpu0").detector(older)
    assert loaded == [DetectOptions(detector="stub", size=320, runtime="onnxruntime-f32")]


def test_the_memory_of_a_cpus_detector_is_given_back() -> None:
    toolbox = Toolbox(Settings(cpu_runtime="onnxruntime"), "cpu0")
    options = DetectOptions(detector="stub", runtime="onnxruntime-f32")
    held = weakref.ref(toolbox.detector(options))
    assert toolbox.detector(options) is held()
    toolbox.free_detectors()
    assert held() is None
