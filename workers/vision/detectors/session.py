"""Sessions: a model loaded on a device by exactly one runtime."""

import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from farm.domain.runtimes import RUNTIMES, needs_gpu, precision_of
from farm.errors import DeviceError
from workers.vision.device import Device

log = logging.getLogger(__name__)
T = TypeVar("T")
_SIZES = 4  # of pictures: more than one look needs


class Session(Protocol):
    """A model of one input, loaded on one device."""

    def run(self, given: NDArray[np.generic]) -> list[NDArray[np.float32]]:
        """All outputs, as float32, for one input, which is contiguous.

        Raises DeviceError; OutOfMemory where the device's memory was full.
        """
        ...


def open_session(model: bytes, device: Device, threads: int, runtime: str) -> Session:
    """Load ``model`` (an ONNX file's bytes) on exactly ``device``; ``threads`` are for a CPU.

    ``runtime``: one of :data:`farm.domain.runtimes.RUNTIMES`. Raises DeviceError when the device cannot be used, or
    not with this runtime, OutOfMemory, ModelError when the model cannot be loaded.
    """
    by, precision = runtime.partition("-")[0], precision_of(runtime)
    if runtime not in RUNTIMES or needs_gpu(runtime) != (device.kind == "cuda"):
        raise DeviceError(f"{device.name} has no runtime {runtime}")
    log.info("model on %s by %s", device.name, runtime)
    session = _opened(model, device, threads, by, precision)
    return _Finite(session, runtime) if precision == "f16" else session


def _opened(model: bytes, device: Device, threads: int, by: str, precision: str) -> Session:
    if by == "torch":
        from workers.vision.detectors.torch_session import TorchSession  # noqa: PLC0415 - an extra, and very heavy

        return TorchSession(model, device, threads, precision)
    if by == "openvino":
        from workers.vision.detectors.openvino_session import OpenVinoSession  # noqa: PLC0415 - an extra

        return OpenVinoSession(model, threads, precision)
    from workers.vision.detectors.onnxruntime_session import OnnxRuntimeSession  # noqa: PLC0415 - only the one in use

    return OnnxRuntimeSession(model, device, threads, precision)


class _Finite:
    """A session in half precision, whose numbers end at 65504: what grows beyond would find no face, in silence."""

    def __init__(self, session: Session, runtime: str) -> None:
        self._session, self._runtime = session, runtime

    def run(self, given: NDArray[np.generic]) -> list[NDArray[np.float32]]:
        """See :class:`Session`. Raises DeviceError where a number is not finite."""
        outputs = self._session.run(given)
        if not all(np.isfinite(output).all() for output in outputs):
            hint = "use one in another precision, such as --runtime cuda-tf32"
            raise DeviceError(f"this model's numbers are too large for {self._runtime}", hint=hint)
        return outputs


class BySize(Generic[T]):
    """What ``make(width, height)`` returns for the sizes of pictures used last; older ones are let go."""

    def __init__(self, make: Callable[[int, int], T]) -> None:
        self._make = make
        self._made: OrderedDict[tuple[int, int], T] = OrderedDict()

    def __call__(self, width: int, height: int) -> T:
        """The one for this size, made where there is none."""
        size = width, height
        if size not in self._made:
            while len(self._made) >= _SIZES:
                self._made.popitem(last=False)
            self._made[size] = self._make(width, height)
        self._made.move_to_end(size)
        return self._made[size]

    def clear(self) -> None:
        """Let all of them go."""
        self._made.clear()
