import importlib
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from farm.domain.detection import Detection
from farm.domain.detectors import DetectOptions
from farm.domain.geometry import Box, intersection_over_union
from farm.domain.runtimes import RUNTIMES, fastest
from farm.errors import DeviceError, ModelError, SettingsError
from workers.vision import device
from workers.vision.detectors.base import network_size
from workers.vision.detectors.centerface import decode, without_doubles
from workers.vision.detectors.combined import create_detector
from workers.vision.detectors.graph import InputForm, with_fixed_shape
from workers.vision.detectors.session import open_session
from workers.vision.device import Device, runtimes

CPU, GPU = Device("cpu", 0), Device("cuda", 0)


def no_weights(name: str) -> Path:
    raise AssertionError(f"{name} asked for weights")


@pytest.mark.parametrize(
    ("source", "long_side", "size"),
    [
        ((1920, 1080), 640, (640, 384)),
        ((1280, 720), 1280, (1280, 736)),
        ((1080, 1920), 640, (384, 640)),
        ((640, 480), 640, (640, 480)),
        ((340, 256), 640, (640, 512)),
        ((64, 48), 640, (128, 96)),
        ((8, 4000), 640, (32, 640)),
    ],
)
def test_network_size(source: tuple[int, int], long_side: int, size: tuple[int, int]) -> None:
    assert network_size(*source, long_side) == size


@given(st.integers(1, 8000), st.integers(1, 8000), st.integers(64, 8192))
def test_network_size_is_always_usable(width: int, height: int, long_side: int) -> None:
    for side in network_size(width, height, long_side):
        assert side % 32 == 0
        assert 32 <= side < long_side + 32


@pytest.mark.usefixtures("declared_thresholds")
def test_the_stub_finds_green_rectangles_in_source_pixels() -> None:
    detector = create_detector(DetectOptions(detector="stub"), CPU, threads=1, weights=no_weights)
    picture = np.full((64, 128, 3), 90, np.uint8)
    picture[16:32, 32:64] = (0, 255, 0)
    assert detector.detect([picture], (1280, 640)) == [[Detection(Box(320.0, 160.0, 320.0, 160.0), 0.9)]]
    assert detector.detect([], (1280, 640)) == []


def test_decode_finds_a_planted_face() -> None:
    heat, scale, offset = (
        np.zeros((20, 30), np.float32),
        np.zeros((2, 20, 30), np.float32),
        np.zeros((2, 20, 30), np.float32),
    )
    heat[5, 7] = 0.9
    scale[:, 5, 7] = np.log(10), np.log(6)  # height, width in cells of 4
    offset[:, 5, 7] = 0.25, -0.25  # y, x
    (box,) = decode(heat, scale, offset, 0.2).tolist()
    x, y, w, h = (7 + 0.5 - 0.25) * 4 - 12, (5 + 0.5 + 0.25) * 4 - 20, 24, 40
    assert box == pytest.approx([x, y, w, h, 0.9, 0], rel=1e-5)


def test_decode_of_nothing() -> None:
    nothing = np.zeros((2, 4, 4), np.float32)
    assert decode(np.zeros((4, 4), np.float32), nothing, nothing, 0.2).shape == (0, 6)


boxes = st.lists(st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(4, 40)] * 2, st.integers(1, 9)), max_size=25)


@given(boxes)
def test_of_boxes_that_overlap_the_best_is_kept(rows: list[tuple[int, ...]]) -> None:
    array = np.array(rows, np.float32).reshape(-1, 5)
    kept = without_doubles(array)
    for i in kept:
        for j in kept:
            assert i == j or intersection_over_union(Box(*array[i, :4]), Box(*array[j, :4])) < 0.3 + 1e-6
    for j in set(range(len(rows))) - set(kept):
        assert any(
            array[i, 4] >= array[j, 4] and intersection_over_union(Box(*array[i, :4]), Box(*array[j, :4])) > 0.3 - 1e-6
            for i in kept
        )


def tiny_model(ir_version: int = 3) -> bytes:
    """A convolution of stride 4 that adds up the channels, its weights listed as an input as old exporters do."""
    weights = numpy_helper.from_array(np.ones((1, 3, 4, 4), np.float32), "weights")
    shape = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Conv", ["in", "weights"], ["sum"], strides=[4, 4]),
        helper.make_node("Neg", ["sum"], ["unused"]),
    ]
    inputs = [shape("in", TensorProto.FLOAT, [10, 3, 32, 32]), shape("weights", TensorProto.FLOAT, [1, 3, 4, 4])]
    outputs = [shape(name, TensorProto.FLOAT, [10, 1, 8, 8]) for name in ("sum", "unused")]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, [weights])
    opset = [helper.make_opsetid("", 9)]
    return bytes(helper.make_model(graph, ir_version=ir_version, opset_imports=opset).SerializeToString())


def _need_openvino() -> None:
    if importlib.util.find_spec("openvino") is None:  # not by importing it: that would be reported
        pytest.skip("the extra blurfarm[openvino] is not installed")


@pytest.fixture(params=["onnxruntime-f32", "openvino-f32", "openvino-bf16", "torch-cpu-f32"])
def runtime(request: pytest.FixtureRequest) -> str:
    if request.param.startswith("openvino"):
        _need_openvino()
    if request.param.startswith("torch"):
        pytest.importorskip("torch", reason="PyTorch is not installed")
    elif request.param not in runtimes("auto", CPU):
        pytest.skip(f"this CPU has no {request.param}")
    return str(request.param)


def test_a_graph_is_redeclared_for_a_size(runtime: str) -> None:
    model = with_fixed_shape(tiny_model(), ["sum"], None, batch=2, width=64, height=32)
    graph = onnx.load_model_from_string(model).graph
    assert [i.name for i in graph.input] == ["in"]
    assert [o.name for o in graph.output] == ["sum"]
    (total,) = open_session(model, CPU, 1, runtime).run(np.ones((2, 3, 32, 64), np.float32))
    assert total.shape == (2, 1, 8, 16)
    assert (total == 48).all()


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("channels", ["BGR", "RGB"])
def test_a_graph_brings_pictures_into_the_form_that_it_wants(layout: str, channels: str, runtime: str) -> None:
    form = InputForm(channels, layout, mean=(8.0, 16.0, 32.0), scale=(1.0, 2.0, 0.5))
    model = same_picture(layout)
    picture = np.random.default_rng(5).integers(0, 128, (2, 32, 64, 3), dtype=np.uint8) * 2
    taken = with_fixed_shape(model, ["out"], form, 2, 64, 32)
    (found,) = open_session(taken, CPU, 1, runtime).run(picture)
    values = picture[..., ::-1] if channels == "RGB" else picture
    wanted = (values - np.array(form.mean, np.float32)) * np.array(form.scale, np.float32)
    seen = found.transpose(0, 2, 3, 1) if layout == "NCHW" else found
    assert seen == pytest.approx(wanted, rel=0.01)


def same_picture(layout: str) -> bytes:
    """A model whose output is its input. It has a convolution: OpenVINO is asked for the precision of those."""
    there, back = ([0, 1, 2, 3], [0, 1, 2, 3]) if layout == "NCHW" else ([0, 3, 1, 2], [0, 2, 3, 1])
    shape = [1, 3, 32, 32] if layout == "NCHW" else [1, 32, 32, 3]
    inputs, outputs = ([helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)] for name in ("in", "out"))
    weights = numpy_helper.from_array(np.eye(3, dtype=np.float32).reshape(3, 3, 1, 1), "weights")
    nodes = [
        helper.make_node("Transpose", ["in"], ["nchw"], perm=there),
        helper.make_node("Conv", ["nchw", "weights"], ["seen"]),
        helper.make_node("Transpose", ["seen"], ["out"], perm=back),
    ]
    graph = helper.make_graph(nodes, "same", inputs, outputs, [weights])
    opset = [helper.make_opsetid("", 11)]
    return bytes(helper.make_model(graph, ir_version=8, opset_imports=opset).SerializeToString())


def test_what_is_no_model_is_a_model_error() -> None:
    for model, outputs in ((b"no model at all", ["sum"]), (tiny_model(), ["other"]), (b"", ["sum"])):
        with pytest.raises(ModelError):
            with_fixed_shape(model, outputs, None, batch=1, width=32, height=32)


def test_a_session_does_not_begin_with_what_is_no_model(runtime: str) -> None:
    with pytest.raises(ModelError, match="cannot be loaded"):
        open_session(b"no model at all", CPU, 1, runtime)


def test_an_unknown_runtime_is_said() -> None:
    with pytest.raises(SettingsError, match="abacus"):
        runtimes("abacus", CPU)


def test_the_setting_limits_the_runtimes_of_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_openvino_precisions", lambda: ("bf16", "f32"))
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())
    assert runtimes("auto", CPU) == ("openvino-bf16", "openvino-f32", "onnxruntime-f32")
    assert runtimes("openvino", CPU) == ("openvino-bf16", "openvino-f32")
    assert runtimes("onnxruntime", CPU) == ("onnxruntime-f32",)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    assert runtimes("auto", CPU) == ("onnxruntime-f32",)
    with pytest.raises(DeviceError, match="OpenVINO is not installed"):
        runtimes("openvino", CPU)
    with pytest.raises(DeviceError, match="PyTorch is not installed"):
        runtimes("torch", CPU)


@pytest.mark.parametrize(
    ("said", "environment", "found"),
    [
        ("8.9", {}, ("cuda-tf32", "cuda-f32")),
        ("7.5", {}, ("cuda-f32",)),
        ("9.0", {"NVIDIA_TF32_OVERRIDE": "0"}, ("cuda-f32",)),
        ("[N/A]", {}, ("cuda-f32",)),
    ],
)
def test_the_runtimes_of_a_gpu_follow_from_what_it_can(
    said: str, environment: dict[str, str], found: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\n[ $1 = --id=3 ] && echo '{said}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(device, "gpu_families", lambda: ("cuda",))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert runtimes("onnxruntime", Device("cuda", 3)) == found


def test_the_runtimes_of_a_gpu_follow_from_what_is_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By files: neither onnxruntime nor PyTorch is imported for it."""
    monkeypatch.setattr(device, "_has_tf32", lambda _: True)
    monkeypatch.setattr("ctypes.util.find_library", lambda _: None)
    monkeypatch.setattr(
        "importlib.util.find_spec", lambda name: SimpleNamespace(submodule_search_locations=[str(tmp_path / name)])
    )

    def files(*names: str) -> None:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text("__version__ = '2.11.0'\ncuda: Optional[str] = None\n")

    files("torch/version.py", "onnxruntime/capi/libonnxruntime_providers_shared.so")
    with pytest.raises(DeviceError, match="neither onnxruntime nor PyTorch has CUDA here"):
        runtimes("auto", GPU)
    (tmp_path / "torch/version.py").write_text("__version__ = '2.11.0+cu130'\ncuda: Optional[str] = '13.0'\n")
    assert runtimes("auto", GPU) == ("torch-cuda-tf32", "torch-cuda-f32", "torch-cuda-f16")
    files("onnxruntime/capi/libonnxruntime_providers_cuda.so", "onnxruntime/capi/libonnxruntime_providers_tensorrt.so")
    assert runtimes("auto", GPU)[:2] == ("cuda-tf32", "cuda-f32")
    assert "tensorrt-f16" not in runtimes("auto", GPU)
    files("tensorrt_libs/libnvinfer.so.10")
    assert "tensorrt-f16" in runtimes("auto", GPU)
    assert fastest(runtimes("auto", GPU)) == "cuda-tf32"


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [(None, "cuda-tf32"), ("torch", "torch-cuda-tf32"), ("tensorrt", "tensorrt-f16"), ("openvino", "openvino-bf16")],
)
def test_half_precision_is_only_used_where_it_is_asked_for(asked: str | None, chosen: str) -> None:
    assert fastest(RUNTIMES, asked) == chosen


def test_runtimes_of_another_kind_of_device_are_refused() -> None:
    for there, runtime in ((CPU, "cuda-f32"), (Device("cuda", 0), "openvino-f32"), (CPU, ""), (CPU, "openvino")):
        with pytest.raises(DeviceError, match=f"has no runtime {runtime}"):
            open_session(tiny_model(4), there, 1, runtime)


def test_openvino_in_another_precision_than_asked_for_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenVINO takes the precision as a hint: what the compiled model will really run counts."""
    _need_openvino()
    core: Any = importlib.import_module("workers.vision.detectors.openvino_session").ov.Core
    compile_model = core.compile_model

    def otherwise(this: Any, model: Any, on: str, settings: dict[str, Any]) -> Any:
        return compile_model(this, model, on, {**settings, "INFERENCE_PRECISION_HINT": "f32"})

    monkeypatch.setattr(core, "compile_model", otherwise)
    model = with_fixed_shape(tiny_model(), ["sum"], None, batch=1, width=64, height=32)
    open_session(model, CPU, 1, "openvino-f32")
    with pytest.raises(DeviceError, match=r"OpenVINO computes in .*f32 here, not in bf16"):
        open_session(model, CPU, 1, "openvino-bf16")


def test_centerface_needs_a_readable_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="absent"):
        create_detector(DetectOptions(), CPU, threads=1, weights=lambda _: tmp_path / "absent.onnx")


def test_importing_openvino_tells_nobody() -> None:
    pytest.importorskip("openvino", reason="the extra blurfarm[openvino] is not installed")
    code = "import sys, {}; print([m for m in sys.modules if 'openvino_telemetry.' in m])"
    code = code.format("workers.vision.detectors.openvino_session")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
