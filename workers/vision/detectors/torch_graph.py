"""Runs an ONNX graph with PyTorch's own operations, one node after another.

Converters that are kept (onnx2pytorch 0.6, onnx2torch 1.5) need a torchvision of exactly the build of the PyTorch that
a host has: see ``docs/decisions/0057-gpus.md``. What detectors are made of is few operators of the ONNX standard
(https://onnx.ai/onnx/operators), and shapes are fixed; what depends on shapes alone, onnxruntime computes beforehand.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's own name for it
from onnx import TensorProto, numpy_helper

from farm.errors import ModelError
from farm.processes import scratch_prefix

Tensor = Any  # torch.Tensor; its types are not looked at: PyTorch is an extra
Attributes = Mapping[str, Any]
#: Takes a node's attributes and inputs (None for one that is left out), and returns its output, or all in a tuple.
Operator = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class _Step:
    """A node. ``last``: names of the values that no later step takes."""

    operator: Operator
    attributes: Attributes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    last: tuple[str, ...]


class TorchGraph:
    """An ONNX model of one input whose shape is fixed, on one device."""

    def __init__(self, model: bytes, device: str, dtype: Any) -> None:  # noqa: ANN401 - a torch.dtype
        """``device``: PyTorch's name. ``dtype``: what is computed in, in place of float32.

        Raises ModelError for what is no model, and for one with an operator that is not known here.
        """
        graph = _folded(model).graph
        self._dtype = dtype
        self._outputs = [output.name for output in graph.output]
        selecting = {node.input[1] for node in graph.node if node.op_type == "Gather"}
        self._constants: dict[str, Tensor] = {"": None}
        for weights in graph.initializer:
            values = torch.from_numpy(numpy_helper.to_array(weights).copy())
            # whole numbers are shapes and axes, which the host needs to know, except those that select
            on = device if values.is_floating_point() or weights.name in selecting else "cpu"
            self._constants[weights.name] = values.to(on, dtype if values.is_floating_point() else values.dtype)
        (self._input,) = [i.name for i in graph.input if i.name not in self._constants]
        self._steps = tuple(_steps(graph.node, {*self._constants, *self._outputs}))

    def __call__(self, given: Tensor) -> list[Tensor]:
        """The outputs for a tensor that lies on the device. Raises what PyTorch raises."""
        given = given.to(self._dtype) if given.is_floating_point() else given
        values = {**self._constants, self._input: given}
        for step in self._steps:
            found = step.operator(step.attributes, *(values[name] for name in step.inputs))
            for name, value in zip(step.outputs, found if isinstance(found, tuple) else (found,), strict=False):
                # the graph says float32 where it means what is computed in
                values[name] = value.to(self._dtype) if value.is_floating_point() else value
            for name in step.last:
                del values[name]
        return [values[name] for name in self._outputs]


def _folded(model: bytes) -> onnx.ModelProto:
    """The model without what depends on nothing but shapes and weights. Raises ModelError."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC  # standard operators only
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory(prefix=scratch_prefix(os.getpid())) as folder:
        options.optimized_model_filepath = str(Path(folder, "folded.onnx"))
        try:
            ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            return onnx.load(options.optimized_model_filepath)
        except Exception as e:  # onnxruntime's own errors share no base class
            raise ModelError(f"the model cannot be loaded for PyTorch: {e}", hint="farm models verify") from e


def _steps(nodes: Sequence[onnx.NodeProto], kept: set[str]) -> Iterator[_Step]:
    last = {name: at for at, node in enumerate(nodes) for name in (*node.input, *node.output) if name not in kept}
    for at, node in enumerate(nodes):
        operator = _OPERATORS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
        if operator is None:
            raise ModelError(f"PyTorch is not taught the operator {node.domain}{node.op_type}", hint=_ELSEWHERE)
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        if attributes.get("auto_pad", b"NOTSET") not in (b"NOTSET", b"VALID"):
            raise ModelError(f"PyTorch does not pad automatically ({node.op_type})", hint=_ELSEWHERE)
        over = tuple(name for name in {*node.input, *node.output} if last.get(name) == at)
        yield _Step(operator, attributes, tuple(node.input), tuple(node.output), over)


_ELSEWHERE = "use --runtime cuda or onnxruntime"


def _padded(a: Attributes, x: Tensor, by: float = 0.0) -> tuple[Tensor, Any]:
    """The input, and the padding that is left to the operation itself: it only pads both sides alike."""
    pads = a.get("pads") or [0] * 2 * (x.ndim - 2)
    first, end = pads[: len(pads) // 2], pads[len(pads) // 2 :]
    if first == end:
        return x, tuple(first)
    return F.pad(x, _sides(pads), value=by), 0


def _sides(pads: Sequence[int]) -> list[int]:
    """ONNX's paddings, first those before each axis, as PyTorch takes them: both of each axis, the last axis first."""
    half = len(pads) // 2
    return [side for pair in zip(reversed(pads[:half]), reversed(pads[half:]), strict=True) for side in pair]


def _conv(a: Attributes, x: Tensor, weights: Tensor, bias: Tensor = None) -> Tensor:
    x, padding = _padded(a, x)
    more = {"stride": tuple(a.get("strides") or (1,)), "dilation": tuple(a.get("dilations") or (1,))}
    return torch.nn.functional.conv2d(x, weights, bias, padding=padding, groups=a.get("group", 1), **more)


def _conv_transpose(a: Attributes, x: Tensor, weights: Tensor, bias: Tensor = None) -> Tensor:
    pads = a.get("pads") or [0, 0, 0, 0]
    if pads[:2] != pads[2:] or a.get("output_shape"):
        raise ModelError("PyTorch does not know this transposed convolution", hint=_ELSEWHERE)
    return F.conv_transpose2d(
        x, weights, bias, tuple(a.get("strides") or (1,)), tuple(pads[:2]), tuple(a.get("output_padding") or (0,)),
        a.get("group", 1), tuple(a.get("dilations") or (1,)),
    )  # fmt: skip


def _max_pool(a: Attributes, x: Tensor) -> Tensor:
    x, padding = _padded(a, x, by=-torch.inf)
    sides, dilation = tuple(a["kernel_shape"]), tuple(a.get("dilations") or (1,))
    return F.max_pool2d(x, sides, tuple(a.get("strides") or (1, 1)), padding, dilation, bool(a.get("ceil_mode")))


def _average_pool(a: Attributes, x: Tensor) -> Tensor:
    inside = bool(a.get("count_include_pad"))
    padded, padding = _padded(a, x)
    if padded is not x and not inside:
        raise ModelError("PyTorch does not know this average", hint=_ELSEWHERE)
    sides, strides = tuple(a["kernel_shape"]), tuple(a.get("strides") or (1, 1))
    return F.avg_pool2d(padded, sides, strides, padding, bool(a.get("ceil_mode")), inside)


def _resize(a: Attributes, x: Tensor, *more: Tensor) -> Tensor:
    """``more``: scales (Upsample), or region, scales and sizes."""
    scales, sizes = (more[-1], None) if len(more) == 1 else (more[1], more[2] if len(more) > 2 else None)
    size = [int(side) for side in sizes] if sizes is not None else _scaled(x, scales)
    how, at = a.get("mode", b"nearest"), a.get("coordinate_transformation_mode", b"half_pixel")
    whole = all(new % old == 0 for new, old in zip(size, x.shape, strict=True))
    floors = at == b"asymmetric" and a.get("nearest_mode", b"round_prefer_floor") == b"floor"
    if how == b"nearest" and (whole or floors):
        return F.interpolate(x, size[2:], mode="nearest")
    if how == b"linear" and at in (b"half_pixel", b"pytorch_half_pixel", b"align_corners"):
        return F.interpolate(x, size[2:], mode="bilinear", align_corners=at == b"align_corners")
    raise ModelError(f"PyTorch does not resize by {how.decode()} and {at.decode()}", hint=_ELSEWHERE)


def _scaled(x: Tensor, scales: Tensor) -> list[int]:
    return [int(side * scale) for side, scale in zip(x.shape, scales.tolist(), strict=True)]


def _reshape(a: Attributes, x: Tensor, shape: Tensor) -> Tensor:
    kept = not a.get("allowzero")
    return x.reshape([x.shape[i] if side == 0 and kept else side for i, side in enumerate(shape.tolist())])


def _flatten(a: Attributes, x: Tensor) -> Tensor:
    return x.reshape(x.shape[: a.get("axis", 1)].numel(), -1)


def _split(a: Attributes, x: Tensor, sizes: Tensor = None) -> tuple[Tensor, ...]:
    axis, sides = a.get("axis", 0), a.get("split") or (sizes.tolist() if sizes is not None else None)
    return tuple(x.split(sides, axis)) if sides else tuple(x.chunk(a.get("num_outputs", 2), axis))


def _slice(a: Attributes, x: Tensor, *more: Tensor) -> Tensor:
    told = [part.tolist() if part is not None else None for part in more]
    starts, ends, axes, steps = [*told, *[None] * 4][:4]  # as attributes before version 10
    starts, ends = a.get("starts", starts), a.get("ends", ends)
    axes = a.get("axes", axes) or range(len(starts))
    cut = [slice(None)] * x.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps or [1] * len(starts), strict=True):
        cut[axis] = slice(start, end, step)
    return x[tuple(cut)]


def _softmax(a: Attributes, x: Tensor) -> Tensor:
    return F.softmax(x.float(), a.get("axis", -1))


def _gemm(a: Attributes, x: Tensor, y: Tensor, z: Tensor = None) -> Tensor:
    product = (x.T if a.get("transA") else x) @ (y.T if a.get("transB") else y) * a.get("alpha", 1.0)
    return product if z is None else product + z * a.get("beta", 1.0)


def _normal(a: Attributes, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
    return F.batch_norm(x, mean, variance, scale, bias, eps=a.get("epsilon", 1e-5))


def _clip(a: Attributes, x: Tensor, least: Tensor = None, most: Tensor = None) -> Tensor:
    least, most = a.get("min", least), a.get("max", most)
    return x.clamp(-torch.inf if least is None else float(least), torch.inf if most is None else float(most))


def _axes(a: Attributes, axes: Tensor) -> tuple[int, ...]:
    return tuple(a.get("axes") or (axes.tolist() if axes is not None else ()))


def _squeeze(a: Attributes, x: Tensor, axes: Tensor = None) -> Tensor:
    return x.squeeze(_axes(a, axes) or tuple(range(x.ndim)))


def _unsqueeze(a: Attributes, x: Tensor, axes: Tensor = None) -> Tensor:
    for axis in sorted(_axes(a, axes)):
        x = x.unsqueeze(axis)
    return x


def _mean(a: Attributes, x: Tensor, axes: Tensor = None) -> Tensor:
    return x.mean(_axes(a, axes) or tuple(range(x.ndim)), keepdim=bool(a.get("keepdims", 1)))


def _pad(a: Attributes, x: Tensor, pads: Tensor = None, value: Tensor = None, axes: Tensor = None) -> Tensor:
    if a.get("mode", b"constant") != b"constant" or axes is not None:
        raise ModelError("PyTorch does not know this padding", hint=_ELSEWHERE)
    sides = _sides(a.get("pads") or (pads.tolist() if pads is not None else []))
    return F.pad(x, sides, value=float(value) if value is not None else a.get("value", 0.0))


def _cast(a: Attributes, x: Tensor) -> Tensor:
    kinds = {TensorProto.FLOAT: torch.float32, TensorProto.INT64: torch.int64, TensorProto.UINT8: torch.uint8}
    return x.to(kinds.get(a["to"], torch.float32))


_OPERATORS: dict[str, Operator] = {
    "Add": lambda _, x, y: x + y,
    "AveragePool": _average_pool,
    "BatchNormalization": _normal,
    "Cast": _cast,
    "Clip": _clip,
    "Concat": lambda a, *x: torch.cat(x, a["axis"]),
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Div": lambda _, x, y: x / y,
    "Dropout": lambda _, x, *__: x,
    "Exp": lambda _, x: x.exp(),
    "Flatten": _flatten,
    "Gather": lambda a, x, at: x.index_select(a.get("axis", 0), at) if at.ndim else x.select(a.get("axis", 0), int(at)),
    "Gemm": _gemm,
    "GlobalAveragePool": lambda _, x: x.mean((2, 3), keepdim=True),
    "HardSigmoid": lambda a, x: (x * a.get("alpha", 0.2) + a.get("beta", 0.5)).clamp(0, 1),
    "HardSwish": lambda _, x: F.hardswish(x),
    "Identity": lambda _, x: x,
    "LeakyRelu": lambda a, x: F.leaky_relu(x, a.get("alpha", 0.01)),
    "MatMul": lambda _, x, y: x @ y,
    "MaxPool": _max_pool,
    "Mul": lambda _, x, y: x * y,
    "Neg": lambda _, x: -x,
    "PRelu": lambda _, x, slope: torch.where(x < 0, x * slope, x),
    "Pad": _pad,
    "Pow": lambda _, x, y: x**y,
    "ReduceMean": _mean,
    "Relu": lambda _, x: x.relu(),
    "Reshape": _reshape,
    "Resize": _resize,
    "Sigmoid": lambda _, x: x.sigmoid(),
    "Slice": _slice,
    "Softmax": _softmax,
    "Split": _split,
    "Sqrt": lambda _, x: x.sqrt(),
    "Squeeze": _squeeze,
    "Sub": lambda _, x, y: x - y,
    "Tanh": lambda _, x: x.tanh(),
    "Transpose": lambda a, x: x.permute(*a["perm"]) if a.get("perm") else x.permute(*reversed(range(x.ndim))),
    "Unsqueeze": _unsqueeze,
    "Upsample": _resize,
}
