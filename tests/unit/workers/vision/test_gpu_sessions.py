"""Sessions on a GPU that is not there: what onnxruntime says is acted out."""

import sys
from contextlib import nullcontext
from typing import Any

import pytest
from onnx import TensorProto, helper

from farm.errors import DeviceError
from workers.vision.detectors import checking
from workers.vision.detectors.onnxruntime_session import OnnxRuntimeSession
from workers.vision.detectors.session import open_session
from workers.vision.device import Device

CPU, GPU = Device("cpu", 0), Device("cuda", 0)


@pytest.mark.parametrize(("asked", "used"), [("cuda-tf32", "0"), ("cuda-f32", "1")])
def test_a_gpu_in_another_precision_than_asked_for_is_an_error(
    asked: str, used: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "CUDAExecutionProvider"
    given: dict[str, str] = {}
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: [name])

    class Gpu:
        def __init__(self, _model: bytes, _options: object, providers: list[tuple[str, dict[str, str]]]) -> None:
            given.update(providers[0][1])

        def get_providers(self) -> list[str]:
            return [name]

        def get_provider_options(self) -> dict[str, dict[str, str]]:
            return {name: {"use_tf32": used}}

    monkeypatch.setattr("onnxruntime.InferenceSession", Gpu)
    with pytest.raises(DeviceError, match="does not compute in"):
        open_session(b"", Device("cuda", 0), 1, asked)
    assert given["use_tf32"] != used


def test_a_gpu_is_never_silently_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(DeviceError, match="CUDAExecutionProvider"):
        open_session(b"", Device("cuda", 0), 1, "cuda-f32")


def test_a_gpu_that_does_not_come_up_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    # onnxruntime warns and goes on with the CPU when CUDA's libraries are missing
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider"])

    class OnTheCpu:
        def __init__(self, *_: object, **__: object) -> None: ...

        def get_providers(self) -> list[str]:
            return ["CPUExecutionProvider"]

    monkeypatch.setattr("onnxruntime.InferenceSession", OnTheCpu)
    with pytest.raises(DeviceError, match="could not be started"):
        OnnxRuntimeSession(b"", Device("cuda", 0), 1, "f32")


def test_libraries_of_pips_packages_are_loaded_before_a_session_on_a_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    order: list[str] = []

    class Session:
        def __init__(self, *_: object, **__: object) -> None:
            order.append("session")

        def get_providers(self) -> list[str]:
            return ["CUDAExecutionProvider"]

        def get_provider_options(self) -> dict[str, dict[str, str]]:
            return {"CUDAExecutionProvider": {}}

        def get_inputs(self) -> list[Any]:
            return [helper.make_tensor_value_info("in", TensorProto.FLOAT, [1])]

    def preload() -> None:
        order.append("libraries")
        sys.stdout.write("Failed to load libcublas.so")

    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr("onnxruntime.InferenceSession", Session)
    monkeypatch.setattr("onnxruntime.preload_dlls", preload, raising=False)
    OnnxRuntimeSession(b"", Device("cuda", 0), 1, "f32")
    assert order == ["libraries", "session"]
    assert capsys.readouterr().out == ""  # the answer of `workers.capabilities` is read from there
    monkeypatch.delattr("onnxruntime.preload_dlls")
    OnnxRuntimeSession(b"", Device("cuda", 0), 1, "f32")
    assert order == ["libraries", "session", "session"]


class OnTheCpu:
    """What a GPU computes, computed by the CPU; ``result``: of the convolution."""

    def __init__(self, model: bytes, result: float) -> None:
        self._session, self._result = open_session(model, CPU, 1, "onnxruntime-f32"), result

    def run(self, given: Any) -> Any:
        return [found * self._result / 9 for found in self._session.run(given)]


@pytest.mark.parametrize(("result", "error"), [(9.0, None), (0.0, "cuda0 computes wrong results by cuda-f32")])
def test_a_gpu_is_checked_by_a_convolution(result: float, error: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is a valid one: here the CPU runs it in the GPU's place."""
    monkeypatch.setattr(checking, "open_session", lambda model, *_: OnTheCpu(model, result))
    with pytest.raises(DeviceError, match=error) if error else nullcontext():
        checking.check(GPU, "cuda-f32")


def test_a_gpu_offers_what_works_on_it_and_says_what_does_not(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken: dict[str, DeviceError] = {}
    tried: list[str] = []

    def opened(model: bytes, _device: Device, _threads: int, runtime: str) -> OnTheCpu:
        tried.append(runtime)
        if runtime in broken:
            raise broken[runtime]
        return OnTheCpu(model, 9.0)

    monkeypatch.setattr(checking, "open_session", opened)
    offered = ("cuda-tf32", "cuda-f32", "torch-cuda-tf32", "torch-cuda-f32", "torch-cuda-f16")
    assert checking.working(GPU, offered) == offered
    assert tried == ["cuda-tf32"]  # PyTorch takes long to import: not before a job asks for it
    broken["cuda-tf32"] = DeviceError("no cuDNN here")
    assert checking.working(GPU, offered) == offered[2:]
    assert "cuda0 does not use cuda: no cuDNN here" in caplog.text
    broken["torch-cuda-tf32"] = DeviceError("the driver is too old for this PyTorch")
    with pytest.raises(DeviceError, match="no cuDNN here"):
        checking.working(GPU, offered)
