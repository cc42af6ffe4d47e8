"""A model's sessions, one for each size of pictures."""

import gc
import logging
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from farm.errors import OutOfMemory
from workers.vision.detectors.base import Picture
from workers.vision.detectors.session import BySize, Session, open_session
from workers.vision.device import Device

Floats = NDArray[np.float32]

log = logging.getLogger(__name__)

_GPU_BATCH = 8


class SizedSession:
    """Runs a model on pictures of any size.

    A CPU runs pictures one by one, a GPU in batches that are padded to one fixed size, so that the arithmetic for a
    picture does not depend on the others. Where the device's memory is full, batches get half as large, for good.
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
        DeviceError; OutOfMemory where not even one picture fits.
        """
        done = 0
        while done < len(pictures):
            outputs, of = self._run(pictures[done:])
            for i in range(min(of, len(pictures) - done)):
                yield [_part(output, of, i) for output in outputs]
            done += of

    def _run(self, pictures: Sequence[Picture]) -> tuple[list[Floats], int]:
        """The outputs for a batch of the first pictures, and the size of the batch."""
        height, width = pictures[0].shape[:2]
        while True:
            batch = list(pictures[: self.batch_size])
            batch += [np.zeros_like(batch[0])] * (self.batch_size - len(batch))
            try:
                return self._sessions(width, height).run(np.stack(batch)), len(batch)
            except OutOfMemory as e:
                if len(batch) == 1:
                    raise OutOfMemory(f"{e.message}: one picture of {width} x {height} pixels is too large for it",
                                      hint=e.hint) from e  # fmt: skip
                self.batch_size = len(batch) // 2
                log.warning("%s with %d pictures of %d x %d pixels; %d at a time from now on",
                            e.message, len(batch), width, height, self.batch_size)  # fmt: skip
            self._sessions.clear()  # here, where the error does not hold them any more
            gc.collect()

    def _ready(self, width: int, height: int) -> Session:
        return open_session(self._model(self.batch_size, width, height), *self._on)


def _part(output: Floats, of: int, i: int) -> Floats:
    """What an output for ``of`` pictures says of picture ``i``."""
    part: Floats = output[i] if len(output) == of else output.reshape(of, -1, *output.shape[1:])[i]
    return part
