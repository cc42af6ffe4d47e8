"""A model's session for pictures of one size, and the array that they are put into."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

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

    ``channels``: their order; ``mean`` and ``scale`` are in this order too. ``layout``: NCHW or NHWC.
    """

    channels: Literal["BGR", "RGB"] = "BGR"
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    scale: tuple[float, float, float] = (1.0, 1.0, 1.0)


class SizedSession:
    """Runs a model on batches of pictures, with a session for each of the sizes that they had last.

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
        self._ready = BySize(self._made)

    def run(self, pictures: Sequence[Picture]) -> list[Floats]:
        """All outputs for at most ``batch_size`` pictures of one size, valid until the next call.

        The first dimension is the batch; what lies behind the pictures given is left over from earlier ones. Raises
        ModelError, DeviceError.
        """
        height, width = pictures[0].shape[:2]
        session, blob = self._ready(width, height)
        planes = blob if self._form.layout == "NCHW" else blob.transpose(0, 3, 1, 2)
        for row, picture in zip(planes, pictures, strict=False):
            self._put(row, picture)
        return session.run(blob)

    def _made(self, width: int, height: int) -> tuple[Session, Floats]:
        shape = (3, height, width) if self._form.layout == "NCHW" else (height, width, 3)
        session = open_session(self._model(self.batch_size, width, height), *self._on)
        return session, np.zeros((self.batch_size, *shape), np.float32)

    def _put(self, row: Floats, picture: Picture) -> None:
        channels = cv2.split(picture)
        if self._form.channels == "RGB":
            channels = channels[::-1]
        for plane, channel, mean, scale in zip(row, channels, self._form.mean, self._form.scale, strict=True):
            plane[...] = channel
            if (mean, scale) != (0, 1):
                np.subtract(plane, np.float32(mean), out=plane)
                np.multiply(plane, np.float32(scale), out=plane)
