"""Detectors by name. A detector's module is imported when it is first asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import cast

from farm.domain.options import DetectOptions
from farm.errors import ModelError
from workers.vision.detectors.base import Detector
from workers.vision.device import Device

Factory = Callable[[Path | None, DetectOptions, Device, int], Detector]


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a detector's ``create`` function is, and whether it needs a file with weights."""

    module: str
    needs_weights: bool = True


DETECTORS: dict[str, Entry] = {
    "centerface": Entry("workers.vision.detectors.centerface"),
    "stub": Entry("workers.vision.detectors.stub", needs_weights=False),
}


def create_detector(
    options: DetectOptions, device: Device, *, threads: int, weights: Callable[[str], Path]
) -> Detector:
    """The detector ``options.model`` on ``device``; ``weights`` finds the file with a model's weights.

    Raises ModelError for an unknown name or unusable weights, DeviceError when the device cannot be used.
    """
    entry = DETECTORS.get(options.model)
    if entry is None:
        raise ModelError(f"no detector {options.model!r}", hint=f"use {', '.join(sorted(DETECTORS))}")
    factory = cast("Factory", import_module(entry.module).create)
    return factory(weights(options.model) if entry.needs_weights else None, options, device, threads)
