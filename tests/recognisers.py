"""A recogniser for tests: a real network in a real ONNX file, which tells photographs apart by their colours."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

#: How alike faces are to this network, see :func:`tests.crossing.write_crossing`.
LIKENESS = "[likeness]\nalike = 0.8\nunlike = 0.65\nsmallest = 24\n"


def write_recogniser(path: Path, *, numbers: int = 192) -> Path:
    """Means of 8 x 8 squares of a face of 112 x 112 without their overall mean; and the TOML file beside it."""
    shapes = {"face": ("N", 3, 112, 112), "vector": ("N", numbers)}
    given, made = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items())
    nodes = [
        helper.make_node("AveragePool", ["face"], ["squares"], kernel_shape=[14, 14], strides=[14, 14]),
        helper.make_node("Reshape", ["squares", "shape"], ["row"]),
        helper.make_node("ReduceMean", ["row"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Sub", ["row", "mean"], ["vector"]),
    ]
    shape = numpy_helper.from_array(np.array([-1, numbers], np.int64), "shape")
    graph = helper.make_graph(nodes, "colours", [given], [made], [shape])
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])
    onnx.save(model, path)
    path.with_suffix(".toml").write_text(LIKENESS)
    return path
