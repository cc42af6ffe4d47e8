"""TensorRT by onnxruntime, which is not here: what it is asked, what it must say, and where engines are kept."""

import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper

from farm.errors import DeviceError
from workers.vision.detectors import engines
from workers.vision.detectors.onnxruntime_session import left_out
from workers.vision.detectors.session import open_session
from workers.vision.device import ENGINES, Device

GPU = Device("cuda", 2)
TENSORRT, CUDA, CPU = (f"{name}ExecutionProvider" for name in ("Tensorrt", "CUDA", "CPU"))
Driver = Path


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Driver:
    """A program nvidia-smi, for one GPU."""
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\n[ $1 = --id=2 ] && echo 'NVIDIA H200, 580.159.03'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv(ENGINES, str(tmp_path / "engines"))
    return program


class Session:
    """Acts as onnxruntime's session. ``providers``: that it ends up with; ``parts``: who computes which operators."""

    providers = (TENSORRT, CUDA, CPU)
    fp16 = "1"
    parts: tuple[tuple[str, tuple[str, ...]], ...] = ((TENSORRT, ("Conv", "Relu")), (CPU, ("Shape", "Gather")))
    asked: list[tuple[str, dict[str, str]]]

    def __init__(self, _model: bytes, _options: object, providers: list[tuple[str, dict[str, str]]]) -> None:
        type(self).asked = providers

    def get_providers(self) -> list[str]:
        return list(self.providers)

    def get_provider_options(self) -> dict[str, dict[str, str]]:
        return {TENSORRT: {"trt_fp16_enable": self.fp16}}

    def get_inputs(self) -> list[Any]:
        return [helper.make_tensor_value_info("in", TensorProto.FLOAT, [1])]

    def get_provider_graph_assignment_info(self) -> list[Any]:
        def nodes(kinds: tuple[str, ...]) -> list[Any]:
            return [SimpleNamespace(op_type=kind) for kind in kinds]

        return [SimpleNamespace(ep_name=name, get_nodes=lambda k=kinds: nodes(k)) for name, kinds in self.parts]


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch, driver: Driver) -> type[Session]:
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: [TENSORRT, CUDA, CPU])
    monkeypatch.setattr("onnxruntime.preload_dlls", lambda: None, raising=False)
    monkeypatch.setattr("onnxruntime.InferenceSession", Session)
    return Session


def test_it_is_asked_for_half_precision_with_cuda_beside_it_and_keeps_engines(
    session: type[Session], tmp_path: Path
) -> None:
    open_session(b"model", GPU, 1, "tensorrt-f16")
    (first, settings), (second, beside) = session.asked
    assert (first, second) == (TENSORRT, CUDA)
    assert settings["trt_fp16_enable"] == settings["trt_engine_cache_enable"] == "1"
    assert beside["use_tf32"] == "0"
    folder = Path(settings["trt_engine_cache_path"])
    assert folder.is_dir()
    assert folder.is_relative_to(tmp_path / "engines")
    assert folder.stat().st_mode & 0o077 == 0  # what lies there is executed


def test_an_engine_is_of_one_model_one_driver_and_one_gpu(driver: Driver) -> None:
    places = [engines.engine_folder(b"model", GPU), engines.engine_folder(b"model", GPU)]
    assert places[0] == places[1]
    places.append(engines.engine_folder(b"another", GPU))
    for card in ("NVIDIA H200, 581.0", "NVIDIA L4, 580.159.03"):
        driver.write_text(f"#!/bin/sh\necho '{card}'\n")
        places.append(engines.engine_folder(b"model", GPU))
    assert None not in places
    assert len(set(places)) == 4
    assert "onnxruntime" in str(places[0])


@pytest.mark.parametrize("why", ["no home", "no driver"])
def test_nothing_is_kept_where_it_is_not_known_what_for(
    why: str, driver: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    if why == "no home":
        monkeypatch.delenv(ENGINES)
    else:
        driver.unlink()
    assert engines.engine_settings(b"model", GPU) == {"device_id": "0", "trt_fp16_enable": "1"}


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"providers": (CUDA, CPU)}, "TensorrtExecutionProvider could not be started on cuda2"),
        ({"fp16": "0"}, "TensorrtExecutionProvider does not compute in f16 on cuda2"),
        ({"parts": ((TENSORRT, ("Conv",)), (CUDA, ("ConvTranspose",)))}, "leaves ConvTranspose to others on cuda2"),
    ],
)
def test_what_is_not_wholly_by_tensorrt_in_half_precision_is_an_error(
    changes: dict[str, Any], line: str, session: type[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in changes.items():
        monkeypatch.setattr(session, name, value)
    with pytest.raises(DeviceError, match=line):
        open_session(b"model", GPU, 1, "tensorrt-f16")


def test_a_convolution_on_the_cpu_is_never_silent(session: type[Session], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "providers", (CUDA, CPU))
    monkeypatch.setattr(session, "get_provider_options", lambda _: {CUDA: {"use_tf32": "0"}})
    monkeypatch.setattr(session, "parts", ((CUDA, ("Relu",)), (CPU, ("Conv",))))
    with pytest.raises(DeviceError, match="CUDAExecutionProvider leaves Conv to others on cuda2"):
        open_session(b"model", GPU, 1, "cuda-f32")


@pytest.mark.parametrize("number", [1.0, float("nan"), float("inf")])
def test_numbers_too_large_for_half_precision_are_an_error_and_not_no_faces(
    number: float, session: type[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = [np.zeros((1, 2), np.float32), np.full((1, 2), number, np.float32)]
    monkeypatch.setattr(session, "run", lambda *_: outputs, raising=False)
    opened = open_session(b"model", GPU, 1, "tensorrt-f16")
    with pytest.raises(DeviceError, match="too large for tensorrt-f16") if number != 1 else nullcontext():
        assert opened.run(np.zeros(1, np.float32)) is outputs


def test_onnxruntime_really_tells_who_computes_what() -> None:
    values = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 4, 4]) for name in ("x", "y")}
    weights = helper.make_tensor("w", TensorProto.FLOAT, [1, 1, 1, 1], [2.0])
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Relu", ["c"], ["y"])]
    graph = helper.make_graph(nodes, "one", [values["x"]], [values["y"]], [weights])
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    real = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=[CPU])
    if not hasattr(real, "get_provider_graph_assignment_info"):
        pytest.skip("this onnxruntime does not")
    assert left_out(real, CPU) == set()
    assert left_out(real, CUDA) == {"Conv"}


@pytest.mark.usefixtures("driver")
def test_a_worker_that_makes_an_engine_shows_that_it_lives(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    beats: list[float] = []
    monkeypatch.setattr(engines, "beat", lambda: beats.append(0))
    monkeypatch.setattr(engines, "_BEAT_SECONDS", 0.01)
    with caplog.at_level("INFO"), engines.building(b"model", GPU):
        time.sleep(0.2)
    assert len(beats) > 3
    assert "makes an engine for cuda2" in caplog.text
    monkeypatch.setattr(engines, "_LONGEST_SECONDS", 0.05)
    beats.clear()
    with engines.building(b"model", GPU):
        time.sleep(0.3)
    assert len(beats) <= 5  # what takes for ever hangs
