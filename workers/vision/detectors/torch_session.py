"""PyTorch sessions: for hosts whose CUDA is PyTorch's. Nothing imports this module, or PyTorch, unless it is asked for.

On a CPU they are slower than those of onnxruntime and OpenVINO; there they show that the graph is run rightly.
"""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from farm.errors import DeviceError, ModelError
from workers.vision.detectors.failing import device_failure
from workers.vision.detectors.torch_graph import TorchGraph
from workers.vision.device import FIRST_TF32, Device

_PRECISIONS = {"f32": torch.float32, "tf32": torch.float32, "f16": torch.float16}


class TorchSession:
    """A model of one input on one device, with no fallback to another."""

    def __init__(self, model: bytes, device: Device, threads: int, precision: str) -> None:
        """Load ``model`` (an ONNX file's bytes, its shape fixed). ``precision``: ``f32``, ``f16``, ``tf32`` on a GPU.

        Raises DeviceError when the device cannot be used or has another precision, OutOfMemory, ModelError.
        """
        # CUDA_VISIBLE_DEVICES leaves this process one GPU, number 0
        self._device, self._on = device, "cuda:0" if device.kind == "cuda" else "cpu"
        self._tf32 = precision == "tf32"
        torch.set_num_threads(threads)
        try:
            able = not self._tf32 or (device.kind == "cuda" and torch.cuda.get_device_capability(0) >= FIRST_TF32)
            self._graph = TorchGraph(model, self._on, _PRECISIONS[precision])
        except ModelError:
            raise
        except Exception as e:  # PyTorch raises RuntimeError, AssertionError and others
            raise self._failure(e, "the model cannot be loaded") from e
        if not able:
            raise DeviceError(f"{device.name} does not compute in {precision}")

    def run(self, given: NDArray[np.generic]) -> list[NDArray[np.float32]]:
        """See :class:`workers.vision.detectors.session.Session`."""
        try:
            # kernels are chosen by shape, not by timing, and such that equal pictures give equal boxes
            with torch.inference_mode(), _cudnn(allow_tf32=self._tf32):
                outputs = self._graph(torch.from_numpy(given).to(self._on))
                return [output.float().cpu().numpy() for output in outputs]
        except ModelError:
            raise
        except Exception as e:  # as above
            raise self._failure(e, "the model cannot be run") from e

    def _failure(self, error: Exception, doing: str) -> DeviceError:
        if self._device.kind == "cuda" and torch.cuda.is_initialized():
            torch.cuda.empty_cache()  # memory that PyTorch keeps would be missing for a smaller batch
        return device_failure(self._device, error, doing)


def _cudnn(*, allow_tf32: bool) -> Any:  # noqa: ANN401 - PyTorch is an extra
    return torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=allow_tf32)
