"""A model's sessions, one for each size of pictures."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from workers.vision.detectors.base import Picture
from workers.vision.detectors.session import BySize, Session, open_session
from workers.vision.device import Device

Floats = NDArray[np.float32]

_GPU_BATCH = 8


class SizedSession:
    """Runs a model on pictures of any size.

    A CPU runs pictures one by one, a GPU in batches that are padded to one fixed size, so that the arithmetic for a
    picture does not depend on the others.
    """

    def __init__(
        self,
        model: Callable[[int, int, int], bytes],
        device: Device,
        threads: int,
        runtime: str,
        *,
        batched: bool = True,
    ) -> None:
        """``model`` returns the ONNX file for a batch, width and height: it takes BGR uint8 N x H x W x 3.

        ``batched``: whether it takes several.
        """
        self.batch_size = _GPU_BATCH if batched and device.kind != "cpu" else 1
        self._model = model
        self._on = device, threads, runtime
        self._sessions = BySize(self._ready)

    def each(self, pictures: Sequence[Picture]) -> Iterator[list[Floats]]:
        """The outputs for each of the pictures, all of one size: without the batch's dimension, valid until the next.

        Outputs that have no dimension for the batch hold the same number of rows for each picture. Raises ModelError,
        DeviceError.
        """
        for start in range(0, len(pictures), self.batch_size):
            batch = pictures[start : start + self.batch_size]
            outputs = self._run(batch)
            for i in range(len(batch)):
                yield [self._part(output, i) for output in outputs]

    def _run(self, pictures: Sequence[Picture]) -> list[Floats]:
        padded = [*pictures, *([np.zeros_like(pictures[0])] * (self.batch_size - len(pictures)))]
        return self._sessions(pictures[0].shape[1], pictures[0].shape[0]).run(np.stack(padded))

    def _part(self, output: Floats, i: int) -> Floats:
        part: Floats = (
            output[i] if len(output) == self.batch_size else output.reshape(self.batch_size, -1, *output.shape[1:])[i]
        )
        return part

    def _ready(self, width: int, height: int) -> Session:
        return open_session(self._model(self.batch_size, width, height), *self._on)
