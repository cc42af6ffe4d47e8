"""Creates detectors by name: the one named ``NAME`` is ``create`` in ``workers.vision.detectors.NAME``."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import cast

from farm.domain.detectors import DetectOptions
from workers.vision.detectors.base import Detector
from workers.vision.device import Device

#: Arguments: the file with the weights, the detector's own options, the device, threads on a CPU, and the runtime.
Factory = Callable[[Path | None, DetectOptions, Device, int, str], Detector]


def create_detector(
    options: DetectOptions, device: Device, *, threads: int, runtime: str, weights: Callable[[str], Path]
) -> Detector:
    """The detector ``options.model`` on ``device``; its module is imported now.

    ``runtime``: see :func:`workers.vision.device.resolve_runtime`. ``weights`` finds the file of a model's
    weights. Raises ModelError for unusable weights, DeviceError when the device cannot be used.
    """
    path = None if options.weights is None else weights(options.weights.name)
    factory = cast("Factory", import_module(f"workers.vision.detectors.{options.model}").create)
    return factory(path, options, device, threads, runtime)
