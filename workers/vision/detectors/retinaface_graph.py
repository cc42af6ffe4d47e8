"""The graph of the `retina-face` package's RetinaFace as ONNX, from the weights of its Keras model.

The same layers as ``retinaface/model/retinaface_model.py`` (MIT), named as there, without the landmarks; an input's
sides are multiples of 32, so that nothing is cropped where its levels are added.
"""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from farm.errors import ModelError

STEPS = (32, 16, 8)
#: Of each step: the scores of two anchors (N x 2 x rows x columns), and four differences for each (N x 8 x ...).
OUTPUTS = tuple(f"{kind}_{step}" for step in STEPS for kind in ("score", "box"))

_EPSILON = 1.9999999494757503e-05
_STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))  # channels, units

Layers = Mapping[str, Mapping[str, NDArray[np.float32]]]


def as_onnx(weights: bytes) -> bytes:
    """The ONNX model with the weights of a Keras file (HDF5).

    Raises ModelError when they are not those of this network, or h5py is not installed.
    """
    layers = _read(weights)
    try:
        graph = _Graph(layers).made()
    except KeyError as e:
        raise ModelError(f"not the expected weights: they have no {e.args[0]}", hint="farm models verify") from e
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])
    made: bytes = model.SerializeToString()
    return made


def _read(weights: bytes) -> Layers:
    """The weights by layer and kind: kernel, bias, gamma, beta, moving_mean, moving_variance."""
    try:
        import h5py  # noqa: PLC0415 - an extra
    except ImportError as e:
        raise ModelError("retinaface needs h5py", hint="pip install 'blurfarm[retinaface]'") from e
    found: dict[str, dict[str, NDArray[np.float32]]] = {}

    def keep(path: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            *_, layer, kind = path.split("/")
            found.setdefault(layer, {})[kind.removesuffix(":0")] = np.asarray(item, np.float32)

    try:
        with h5py.File(io.BytesIO(weights), "r") as file:
            file.visititems(keep)
    except OSError as e:
        raise ModelError("the weights are not a file of Keras", hint="farm models verify") from e
    return found


class _Graph:
    """Adds layer after layer; a layer's output has the layer's name."""

    def __init__(self, layers: Layers) -> None:
        self._layers = layers
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []

    def made(self) -> onnx.GraphProto:
        """The whole graph."""
        c1, c2, c3 = self._backbone()
        c3 = self._level("ssh_c3_lateral", c3)
        c2 = self._level("ssh_c2_lateral", c2)
        c1 = self._level("ssh_m1_red_conv", c1)
        c2 = self._level("ssh_c2_aggr", self._sum("plus0_v2", c2, self._doubled("ssh_c3_up", c3)))
        c1 = self._level("ssh_c1_aggr", self._sum("plus1_v1", c1, self._doubled("ssh_m2_red_up", c2)))
        for step, level, features in zip(STEPS, (3, 2, 1), (c3, c2, c1), strict=True):
            self._head(step, self._context(f"ssh_m{level}_det", features))
        kind = TensorProto.FLOAT
        given = helper.make_tensor_value_info("data", kind, ["N", 3, "H", "W"])
        told = [helper.make_tensor_value_info(name, kind, ["N", None, None, None]) for name in OUTPUTS]
        return helper.make_graph(self._nodes, "retinaface", [given], told, self._weights)

    def _backbone(self) -> tuple[str, str, str]:
        """ResNet-50 with activations first; what its strides 8, 16 and 32 hand on."""
        x = self._relu(self._normal("bn0", self._conv("conv0", self._normal("bn_data", "data"), stride=2)))
        x = self._add("MaxPool", "pooling0", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
        handed = []
        for number, (_, units) in enumerate(_STAGES, 1):
            for unit in range(1, units + 1):
                stride = 2 if unit == 1 < number else 1
                x, inner = self._unit(f"stage{number}_unit{unit}", x, stride, first=unit == 1)
                if unit == 1:
                    handed.append(inner)
        return handed[2], handed[3], self._relu(self._normal("bn1", x))

    def _unit(self, name: str, x: str, stride: int, *, first: bool) -> tuple[str, str]:
        """A residual unit; its output, and its activation at the new stride."""
        active = self._relu(self._normal(f"{name}_bn1", x))
        inner = self._relu(self._normal(f"{name}_bn2", self._conv(f"{name}_conv1", active)))
        last = self._relu(self._normal(f"{name}_bn3", self._conv(f"{name}_conv2", inner, stride)))
        around = self._conv(f"{name}_sc", active, stride) if first else x
        return self._sum(f"{name}_plus", self._conv(f"{name}_conv3", last), around), inner

    def _context(self, name: str, x: str) -> str:
        """A context module (Najibi et al.: "SSH", 2017): what 3 x 3, 5 x 5 and 7 x 7 cells show."""
        near = self._normal(f"{name}_conv1_bn", self._conv(f"{name}_conv1", x))
        around = self._level(f"{name}_context_conv1", x)
        wider = self._normal(f"{name}_context_conv2_bn", self._conv(f"{name}_context_conv2", around))
        widest = self._conv(f"{name}_context_conv3_2", self._level(f"{name}_context_conv3_1", around))
        widest = self._normal(f"{name}_context_conv3_2_bn", widest)
        return self._relu(self._add("Concat", f"{name}_concat", near, wider, widest, axis=1))

    def _head(self, step: int, x: str) -> None:
        """Scores: a softmax of two, so the sigmoid of their difference. The first two channels are no face's."""
        told = self._conv(f"face_rpn_cls_score_stride{step}", x)
        self._nodes.append(helper.make_node("Split", [told], [f"no_face_{step}", f"face_{step}"], axis=1))
        self._add("Sigmoid", f"score_{step}", self._add("Sub", f"logit_{step}", f"face_{step}", f"no_face_{step}"))
        self._add("Identity", f"box_{step}", self._conv(f"face_rpn_bbox_pred_stride{step}", x))

    def _level(self, name: str, x: str) -> str:
        return self._relu(self._normal(f"{name}_bn", self._conv(name, x)))

    def _conv(self, name: str, x: str, stride: int = 1) -> str:
        weights = self._layers[name]
        kernel = weights["kernel"].transpose(3, 2, 0, 1)
        inputs = [x, self._weight(f"{name}/kernel", kernel)]
        if "bias" in weights:
            inputs.append(self._weight(f"{name}/bias", weights["bias"]))
        pad = kernel.shape[-1] // 2
        return self._add("Conv", name, *inputs, strides=[stride, stride], pads=[pad] * 4)

    def _normal(self, name: str, x: str) -> str:
        weights = self._layers[name]
        kinds = ("gamma", "beta", "moving_mean", "moving_variance")
        inputs = [self._weight(f"{name}/{kind}", weights[kind]) for kind in kinds]
        return self._add("BatchNormalization", name, x, *inputs, epsilon=_EPSILON)

    def _relu(self, x: str) -> str:
        return self._add("Relu", f"{x}_relu", x)

    def _sum(self, name: str, x: str, y: str) -> str:
        return self._add("Add", name, x, y)

    def _doubled(self, name: str, x: str) -> str:
        scales = self._weight(f"{name}/scales", np.array([1, 1, 2, 2], np.float32))
        by = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        return self._add("Resize", name, x, "", scales, **by)

    def _weight(self, name: str, values: NDArray[np.float32]) -> str:
        self._weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _add(self, kind: str, name: str, *inputs: str, **attributes: Any) -> str:  # noqa: ANN401 - as ONNX takes them
        self._nodes.append(helper.make_node(kind, list(inputs), [name], name, **attributes))
        return name
