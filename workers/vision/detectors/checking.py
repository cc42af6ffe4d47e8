"""Checks, before a GPU's worker begins, that the GPU computes: most of what can be wrong with its libraries shows."""

import logging
from collections.abc import Sequence

import numpy as np
from onnx import TensorProto, helper

from farm.errors import DeviceError, ModelError
from workers.vision.detectors.session import open_session
from workers.vision.device import Device

log = logging.getLogger(__name__)


def working(device: Device, runtimes: Sequence[str]) -> tuple[str, ...]:
    """A GPU's runtimes, in their order, without those that are found not to compute.

    Families are tried in order, up to the first that works: a worker must not wait for PyTorch, or for TensorRT, of
    which no job may want anything. The others show what they can when a job names them. Says why one is left out.
    Raises DeviceError, the first, where none works.
    """
    failures: dict[str, DeviceError | ModelError] = {}
    for name in runtimes:
        family = name.partition("-")[0]
        if family in failures:
            continue
        try:
            check(device, name)
            break
        except (DeviceError, ModelError) as e:
            failures[family] = e
    found = tuple(name for name in runtimes if name.partition("-")[0] not in failures)
    if not found:
        first = next(iter(failures.values()))
        raise DeviceError(first.message, hint=first.hint) from first
    for family, error in failures.items():
        log.warning("%s does not use %s: %s", device.name, family, error)
    return found


def check(device: Device, runtime: str) -> None:
    """Run a small convolution, which is exact in every precision. Raises DeviceError, ModelError."""
    shapes = {"in": [1, 1, 8, 8], "weights": [1, 1, 3, 3], "out": [1, 1, 6, 6]}
    given = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()}
    weights = helper.make_tensor("weights", TensorProto.FLOAT, shapes["weights"], [1.0] * 9)
    nodes = [helper.make_node("Conv", ["in", "weights"], ["out"])]
    graph = helper.make_graph(nodes, "check", [given["in"]], [given["out"]], [weights])
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])
    session = open_session(model.SerializeToString(), device, 1, runtime)
    (found,) = session.run(np.ones(shapes["in"], np.float32))
    if not (found == 9).all():
        raise DeviceError(f"{device.name} computes wrong results by {runtime}", hint="see the driver's log")
