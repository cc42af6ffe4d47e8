"""Rewrites ONNX graphs so that they run fast at one fixed size, and take pictures. Bytes in, bytes out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from farm.errors import ModelError

_PICTURES = "blurfarm_pictures"  # the input that pictures are given to


@dataclass(frozen=True, slots=True)
class InputForm:
    """How a model wants its pictures: float32, ``(value - mean) * scale`` for each of the three channels.

    ``channels``: their order, BGR or RGB; ``mean`` and ``scale`` are in this order too. ``layout``: NCHW or NHWC.
    """

    channels: str
    layout: str = "NCHW"
    mean: tuple[float, ...] = (0.0, 0.0, 0.0)
    scale: tuple[float, ...] = (1.0, 1.0, 1.0)


BGR = InputForm("BGR")
RGB = InputForm("RGB")


def with_fixed_shape(
    model: bytes, outputs: Sequence[str], form: InputForm | None, batch: int, width: int, height: int
) -> bytes:
    """A fully convolutional model of one input, redeclared for ``batch`` pictures of ``width`` x ``height``.

    With ``form``, the new model takes BGR uint8 N x H x W x 3 and brings them into that form itself: a float32 copy of
    a large picture costs four times its memory. Without, it takes what the model took (float32 NCHW).

    Keeps only the named outputs, in this order. Old exporters also list every weight among the graph's inputs.
    onnxruntime then treats weights as variable: it neither folds batch normalisation nor uses its blocked layout.
    Removing them from that list halves CenterFace's time (64 to 33 ms, 640x384, 1 thread). Shapes that a model was
    exported with are forgotten: those of its outputs, and a batch of 1 in what it reshapes to.

    Raises ModelError when the bytes are not such a model.
    """
    proto = load_graph(model)
    (given,) = inputs = inputs_of(proto)
    kept = {o.name: o for o in proto.graph.output if o.name in outputs}
    if len(kept) < len(outputs):
        raise ModelError(f"not the expected model: it has the outputs {[o.name for o in proto.graph.output]}")
    for letter, size in zip("NHW", (batch, height, width), strict=True):
        dim = given.type.tensor_type.shape.dim[(form.layout if form else "NCHW").index(letter)]
        dim.Clear()
        dim.dim_value = size
    for output in kept.values():
        output.type.tensor_type.ClearField("shape")  # the runtime finds it from the input's
    del proto.graph.input[:]
    proto.graph.input.extend(inputs)
    del proto.graph.output[:]
    proto.graph.output.extend(kept[name] for name in outputs)
    del proto.graph.value_info[:]
    if batch > 1:
        _free_batch(proto.graph)
    if form:
        _take_pictures(proto.graph, form, (batch, height, width, 3))
    proto.ir_version = max(4, proto.ir_version)  # below 4 every weight must be an input
    rewritten: bytes = proto.SerializeToString()
    return rewritten


def _take_pictures(graph: onnx.GraphProto, form: InputForm, shape: tuple[int, ...]) -> None:
    """Put before the graph what makes its input of pictures."""
    steps: list[tuple[str, dict[str, Any], NDArray[np.generic] | None]]
    steps = [("Transpose", {"perm": [0, 3, 1, 2]}, None)] if form.layout == "NCHW" else []
    channels = form.layout.index("C")
    if form.channels == "RGB":
        steps.append(("Gather", {"axis": channels}, np.array([2, 1, 0])))
    steps.append(("Cast", {"to": TensorProto.FLOAT}, None))
    each = [3 if axis == channels else 1 for axis in range(4)]
    if (form.mean, form.scale) != (BGR.mean, BGR.scale):
        steps.append(("Sub", {}, np.array(form.mean, np.float32).reshape(each)))
        steps.append(("Mul", {}, np.array(form.scale, np.float32).reshape(each)))
    names = [_PICTURES, *(f"{_PICTURES}_{number}" for number in range(1, len(steps))), graph.input[0].name]
    nodes = []
    for (kind, settings, constant), given, made in zip(steps, names[:-1], names[1:], strict=True):
        inputs = [given]
        if constant is not None:
            inputs.append(f"{made}_by")
            graph.initializer.append(numpy_helper.from_array(constant, inputs[1]))
        nodes.append(helper.make_node(kind, inputs, [made], **settings))
    nodes += graph.node
    del graph.node[:], graph.input[:]
    graph.node.extend(nodes)
    graph.input.append(helper.make_tensor_value_info(_PICTURES, TensorProto.UINT8, shape))


def read_weights(path: Path, name: str) -> bytes:
    """The file with a model's weights. Raises ModelError when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as e:
        raise ModelError(f"{path}: {e.strerror}", hint=f"farm models pull {name}") from e


def load_graph(model: bytes) -> onnx.ModelProto:
    """Parse an ONNX file's bytes. Raises ModelError."""
    try:
        return onnx.load_model_from_string(model)
    except Exception as e:  # protobuf's own errors share no base class across its implementations
        raise ModelError("the weights are not an ONNX model", hint="farm models verify") from e


def inputs_of(proto: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The one input that is no weight, of four dimensions, in a list. Raises ModelError when there is none such."""
    weights = {w.name for w in proto.graph.initializer}
    inputs = [i for i in proto.graph.input if i.name not in weights]
    dimensions = [len(i.type.tensor_type.shape.dim) for i in inputs]
    if dimensions != [4]:
        raise ModelError(f"not the expected model: its inputs have {dimensions} dimensions, not [4]")
    return inputs


def _free_batch(graph: onnx.GraphProto) -> None:
    """Let what is reshaped to 1 x -1 x ... keep its own first dimension (0 in ONNX): the batch."""
    shapes = {node.input[1] for node in graph.node if node.op_type == "Reshape"}
    for tensor in graph.initializer:
        if tensor.name in shapes and list(shape := numpy_helper.to_array(tensor).copy())[:2] == [1, -1]:
            shape[0] = 0
            tensor.CopyFrom(numpy_helper.from_array(shape, tensor.name))
