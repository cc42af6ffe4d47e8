"""A model's sessions, one for each size of pictures, and the array that pictures are put into."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.vision.detectors.base import Picture
from workers.vision.detectors.session import BySize, Session, open_session
from workers.vision.device import Device

Floats = NDArray[np.float32]

_GPU_BATCH = 8


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


class SizedSession:
    """Runs a model on pictures of any size.

    A CPU runs pictures one by one, a GPU in batches that are padded to one fixed size, so that the arithmetic for a
    picture does not depend on the others.
    """

    def __init__(
        self,
        model: Callable[[int, int, int], bytes],
        form: InputForm,
        device: Device,
        threads: int,
        runtime: str,
        *,
        batched: bool = True,
    ) -> None:
        """``model`` returns the ONNX file for a batch, width and height. ``batched``: whether it takes several."""
        self.batch_size = _GPU_BATCH if batched and device.kind != "cpu" else 1
        self._model, self._form = model, form
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
        session, blob = self._sessions(pictures[0].shape[1], pictures[0].shape[0])
        planes = blob if self._form.layout == "NCHW" else blob.transpose(0, 3, 1, 2)
        for row, picture in zip(planes, pictures, strict=False):
            self._put(row, picture)
        return session.run(blob)

    def _part(self, output: Floats, i: int) -> Floats:
        part: Floats = (
            output[i] if len(output) == self.batch_size else output.reshape(self.batch_size, -1, *output.shape[1:])[i]
        )
        return part

    def _put(self, row: Floats, picture: Picture) -> None:
        channels = cv2.split(picture)
        if self._form.channels == "RGB":
            channels = channels[::-1]
        for plane, channel, mean, scale in zip(row, channels, self._form.mean, self._form.scale, strict=True):
            plane[...] = channel
            if (mean, scale) != (0, 1):
                np.subtract(plane, np.float32(mean), out=plane)
                np.multiply(plane, np.float32(scale), out=plane)

    def _ready(self, width: int, height: int) -> tuple[Session, Floats]:
        shape = (3, height, width) if self._form.layout == "NCHW" else (height, width, 3)
        session = open_session(self._model(self.batch_size, width, height), *self._on)
        return session, np.zeros((self.batch_size, *shape), np.float32)
