"""The protocol of recognisers, and how one is made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from farm.domain.recognisers import NamedRecogniser, PeopleOptions
from farm.domain.runtimes import precision_of
from workers.vision.detectors.base import Picture
from workers.vision.device import Device, runtimes

#: A row of unit length for each face: float32, faces x numbers.
Vectors = NDArray[np.float32]


class Recogniser(Protocol):
    """Makes vectors of faces. Deterministic: equal pictures give equal vectors, whatever else is in the batch."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of its pictures."""
        ...

    def vectors(self, faces: Sequence[Picture]) -> Vectors:
        """A row for each face. Two faces of one person have rows of a high cosine.

        Faces are BGR uint8 pictures of ``size``, aligned: see :mod:`workers.vision.recognisers.aligning`. Raises
        ModelError or DeviceError when the model cannot be run.
        """
        ...


@dataclass(frozen=True, slots=True)
class Site:
    """Where a recogniser runs, and where its weights are.

    ``weights``: the file with weights of this name, fetched if there is none; ``folders``: where files of weights
    may lie that nobody checks. ``threads`` are for a CPU.
    """

    device: Device
    threads: int
    weights: Callable[[str], Path]
    folders: Sequence[Path] = ()

    @property
    def runtime(self) -> str:
        """What runs its network: in full precision, so that all workers tell the same. Raises DeviceError."""
        return next(name for name in runtimes("onnxruntime", self.device) if precision_of(name) == "f32")


#: ``create`` in a recogniser's module. Raises ModelError, DeviceError.
Factory = Callable[[NamedRecogniser, Site], Recogniser]


def create_recogniser(options: PeopleOptions, site: Site) -> Recogniser:
    """The recogniser that a job's options name. Raises ModelError, DeviceError when it cannot be used."""
    named = options.named
    assert named is not None
    create: Factory = import_module(f"workers.vision.recognisers.{named.recogniser.module}").create
    return create(named, site)


def unit(rows: NDArray[np.generic]) -> Vectors:
    """Rows scaled to unit length."""
    floats = np.asarray(rows, np.float32)
    return np.asarray(floats / np.maximum(np.linalg.norm(floats, axis=1, keepdims=True), 1e-12), np.float32)
