"""PyTorch's sessions, on the CPU build where there is no GPU: the same graphs give what onnxruntime finds."""

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from farm.errors import ModelError
from workers.vision.detectors import centerface, yunet
from workers.vision.detectors.graph import BGR, RGB, InputForm, inputs_of, with_fixed_shape
from workers.vision.detectors.session import open_session
from workers.vision.device import Device, runtimes

pytest.importorskip("torch", reason="PyTorch is not installed")
CPU = Device("cpu", 0)
Packaged = Callable[[str], Path]


def both(model: bytes, given: NDArray[np.generic], precision: str = "f32") -> list[tuple[Any, Any]]:
    """Each output by PyTorch, and by onnxruntime in float32."""
    from workers.vision.detectors.torch_session import TorchSession  # noqa: PLC0415 - skipped where there is none

    found = TorchSession(model, CPU, 1, precision).run(given)
    return list(zip(found, open_session(model, CPU, 1, "onnxruntime-f32").run(given), strict=True))


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(
    ("name", "outputs", "form"), [("centerface", centerface._OUTPUTS, RGB), ("yunet", yunet._OUTPUTS, BGR)]
)
@pytest.mark.parametrize(("precision", "score", "other"), [("f32", 1e-5, 1e-3), ("f16", 2e-3, 0.05)])
def test_networks_tell_what_they_tell_by_onnxruntime(
    name: str, outputs: Sequence[str], form: InputForm, batch: int, precision: str, score: float, other: float,
    packaged: Packaged,
) -> None:  # fmt: skip
    model = with_fixed_shape(packaged(name).read_bytes(), outputs, form, batch, 192, 128)
    picture = np.random.default_rng(7).integers(0, 256, (batch, 128, 192, 3), dtype=np.uint8)
    for n, (mine, theirs) in enumerate(both(model, picture, precision)):
        assert mine.shape == theirs.shape
        assert mine.dtype == np.float32
        scores = n == 0 if name == "centerface" else n < 6
        assert mine == pytest.approx(theirs, abs=score if scores else other)


def test_pictures_are_independent_of_the_others_in_the_batch(packaged: Packaged) -> None:
    model = with_fixed_shape(packaged("centerface").read_bytes(), centerface._OUTPUTS, RGB, 2, 128, 96)
    pictures = np.random.default_rng(1).integers(0, 256, (2, 96, 128, 3), dtype=np.uint8)
    session = open_session(model, CPU, 1, "torch-cpu-f32")
    alone = session.run(np.stack([pictures[0], np.zeros_like(pictures[0])]))
    for mine, beside in zip(alone, session.run(pictures), strict=True):
        assert (mine[0] == beside[0]).all()


node = helper.make_node
X = np.random.default_rng(3).normal(size=(1, 4, 6, 10)).astype(np.float32)


def ints(name: str, *values: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64), name)


def floats(name: str, *shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(np.random.default_rng(len(name)).normal(size=shape).astype(np.float32), name)


@pytest.mark.parametrize(
    ("nodes", "weights"),
    [
        ([node("Conv", ["x", "w"], ["y"], pads=[0, 1, 2, 0], strides=[2, 1], dilations=[1, 2])],
         [floats("w", 5, 4, 3, 3)]),
        ([node("ConvTranspose", ["x", "w"], ["y"], strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1])],
         [floats("w", 4, 3, 3, 3)]),
        ([node("MaxPool", ["x"], ["y"], kernel_shape=[3, 3], strides=[2, 2], pads=[0, 0, 1, 1])], []),
        ([node("AveragePool", ["x"], ["y"], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])], []),
        ([node("Resize", ["x", "", "s"], ["y"], mode="nearest", coordinate_transformation_mode="asymmetric",
               nearest_mode="floor")], [numpy_helper.from_array(np.array([1, 1, 1.5, 2], np.float32), "s")]),
        ([node("Resize", ["x", "", "s"], ["y"], mode="nearest")],
         [numpy_helper.from_array(np.array([1, 1, 2, 3], np.float32), "s")]),
        ([node("Resize", ["x", "", "", "n"], ["y"], mode="linear")], [ints("n", 1, 4, 9, 7)]),
        ([node("Split", ["x"], ["a", "b"], axis=1), node("Sub", ["a", "b"], ["y"])], []),
        ([node("Slice", ["x", "b", "e", "a", "s"], ["y"])],
         [ints("b", 1, 0), ints("e", 9, 5), ints("a", 3, 2), ints("s", 2, 1)]),
        ([node("Flatten", ["x"], ["f"]), node("Gemm", ["f", "w", "c"], ["y"], transB=1, alpha=0.5)],
         [floats("w", 7, 240), floats("c", 7)]),
        ([node("PRelu", ["x", "w"], ["p"]), node("LeakyRelu", ["p"], ["y"], alpha=0.3)], [floats("w", 4, 1, 1)]),
        ([node("BatchNormalization", ["x", "w", "b", "m", "v"], ["y"], epsilon=0.01)],
         [floats("w", 4), floats("b", 4), floats("m", 4), numpy_helper.from_array(np.ones(4, np.float32), "v")]),
        ([node("Softmax", ["x"], ["s"], axis=1), node("HardSigmoid", ["s"], ["y"])], []),
        ([node("Pad", ["x", "p"], ["q"]), node("Exp", ["q"], ["z"]), node("Tanh", ["z"], ["y"])],
         [ints("p", 0, 0, 1, 2, 0, 0, 0, 1)]),
        ([node("ReduceMean", ["x"], ["m"], axes=[2, 3]), node("Concat", ["m", "m"], ["y"], axis=1)], []),
        ([node("Squeeze", ["x", "a"], ["s"]), node("Unsqueeze", ["s", "b"], ["y"])], [ints("a", 0), ints("b", 0, 2)]),
        ([node("Shape", ["x"], ["n"]), node("Gather", ["n", "i"], ["c"]), node("Concat", ["c", "r"], ["t"], axis=0),
          node("Reshape", ["x", "t"], ["y"])], [ints("i", 1), ints("r", -1)]),
        ([node("GlobalAveragePool", ["x"], ["g"]), node("Mul", ["x", "g"], ["m"]), node("Clip", ["m"], ["y"])], []),
        ([node("HardSwish", ["x"], ["h"]), node("MatMul", ["h", "w"], ["y"])], [floats("w", 10, 3)]),
    ],
    ids=lambda value: "-".join(n.op_type for n in value) if value and hasattr(value[0], "op_type") else "",
)  # fmt: skip
def test_operators_do_what_they_do_by_onnxruntime(nodes: list[onnx.NodeProto], weights: list[onnx.TensorProto]) -> None:
    ((mine, theirs),) = both(graph(nodes, weights), X)
    assert mine == pytest.approx(theirs, abs=1e-5)


def graph(nodes: Sequence[onnx.NodeProto], weights: Sequence[onnx.TensorProto]) -> bytes:
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, X.shape)
    made = helper.make_graph(nodes, "one", [given], [helper.make_empty_tensor_value_info("y")], weights)
    made.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    model = helper.make_model(made, ir_version=8, opset_imports=[helper.make_opsetid("", 14)])
    return bytes(model.SerializeToString())


def test_a_slice_of_older_models_says_where_in_attributes() -> None:
    model = onnx.load_model_from_string(graph([node("Slice", ["x"], ["y"], starts=[1], ends=[3], axes=[2])], []))
    model.opset_import[0].version = 9
    ((mine, theirs),) = both(model.SerializeToString(), X)
    assert (mine == theirs).all()


@pytest.mark.parametrize(("precision", "within"), [("f32", 1e-4), ("f16", 0.5)])
def test_networks_of_other_makers_tell_what_they_tell_by_onnxruntime(
    precision: str, within: float, footage: Path
) -> None:
    """With their own inputs: float32."""
    for path in sorted((footage / "models").glob("*.onnx")):
        proto = onnx.load(str(path))
        (given,) = inputs_of(proto)
        sides = [dim.dim_value or usual for dim, usual in zip(given.type.tensor_type.shape.dim, SIDES, strict=True)]
        outputs = [output.name for output in proto.graph.output]
        model = with_fixed_shape(path.read_bytes(), outputs, None, sides[0], sides[3], sides[2])
        picture = ((np.random.default_rng(0).random(sides) - 0.5) * 2).astype(np.float32)
        for mine, theirs in both(model, picture, precision):
            assert mine == pytest.approx(theirs, abs=within), path.name


SIDES = 1, 3, 320, 320


@pytest.mark.parametrize(
    ("refused", "why"),
    [
        (node("Asin", ["x"], ["y"]), "not taught the operator Asin"),
        (node("Conv", ["x", "w"], ["y"], auto_pad="SAME_UPPER"), "does not pad automatically"),
        (node("Resize", ["x", "", "s"], ["y"], mode="cubic"), "does not resize by cubic"),
    ],
)
def test_what_it_does_not_know_is_refused_and_never_something_else(refused: onnx.NodeProto, why: str) -> None:
    scales = numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "s")
    with pytest.raises(ModelError, match=rf"{why}.*use --runtime cuda or onnxruntime"):
        open_session(graph([refused], [floats("w", 5, 4, 3, 3), scales]), CPU, 1, "torch-cpu-f32").run(X)


def test_pytorch_is_imported_only_where_it_is_asked_for() -> None:
    code = """if True:
        import sys
        from farm.domain.detectors import DetectOptions
        from farm.settings import Settings
        from workers.capabilities import find
        from workers.stages.toolbox import Toolbox
        from workers.vision.device import Device, gpu_families
        find([Device("cpu", 0)], "auto"), gpu_families()
        Toolbox(Settings(), "cpu0").detector(DetectOptions(detector="stub", runtime="onnxruntime-f32"))
        print("torch" in sys.modules)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_cpu_offers_it_only_where_the_setting_names_it() -> None:
    assert runtimes("torch", CPU) == ("torch-cpu-f32",)
    assert "torch-cpu-f32" not in runtimes("auto", CPU)
