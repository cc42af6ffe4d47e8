"""Models of the package `deepface`, by the names that it gives them, made through its own interface.

They run where and how they choose, so only on CPUs here. The package downloads weights into the user's home: this never
does, since nothing checks them.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from farm.errors import DeviceError, ModelError
from workers.vision.device import Device


def client(task: str, kind: str, name: str, device: Device, folders: Sequence[Path] = ()) -> Any:  # noqa: ANN401 - the package has no types
    """The package's model ``name`` for a task, as ``face_detector``; ``kind``: what people call it.

    ``folders``: where its weights may lie, besides the package's own. Raises ModelError when there is none such, or it
    lacks a package or its weights, DeviceError on a GPU.
    """
    if device.kind != "cpu":
        raise DeviceError(f"deepface:{name} runs on CPUs only, not on {device.name}", hint="use --devices cpu")
    os.environ.setdefault("DEEPFACE_ONNX_PROVIDERS", "cpu")
    os.environ.setdefault("DEEPFACE_BACKEND_ENGINE", "onnx")  # else that of PyTorch, wherever that is installed
    try:
        from deepface.commons import weight_utils  # noqa: PLC0415 - an extra
        from deepface.modules import modeling  # noqa: PLC0415
        from retinaface.commons import weight_utils as of_retinaface  # noqa: PLC0415

        names = modeling.AVAILABLE_MODELS[task]
    except (ImportError, ValueError, AttributeError, KeyError) as e:  # ValueError: it finds none of its engines
        raise ModelError(f"deepface cannot be used: {line_of(e)}", hint="pip install 'blurfarm[deepface]'") from e
    if name not in names:
        raise ModelError(f"deepface has no {kind} {name}", hint=f"choose one of {', '.join(sorted(names))}")
    present = _Present(folders)
    weight_utils.download_weights_if_necessary = of_retinaface.download_weights_if_necessary = present.path
    try:
        return modeling.get_model_class(task, name)()
    except ModelError:
        raise
    except Exception as e:  # whatever the package or what it uses raises; most name the package to install
        raise ModelError(f"deepface:{name} cannot be used: {line_of(e)}") from e


class _Present:
    """Finds weights that are there. ``path`` is what both packages call to download them."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(folders)

    def path(
        self,
        file_name: str,
        source_url: str | Sequence[str] = (),
        compress_type: str | None = None,
        *,
        source_urls: Sequence[str] = (),
    ) -> str:
        """The path of weights. Raises ModelError where there are none, with where to get them."""
        from deepface.commons import folder_utils  # noqa: PLC0415 - an extra

        usual = Path(folder_utils.get_deepface_home()) / ".deepface" / "weights"
        found = next((path for folder in (*self._folders, usual) if (path := folder / file_name).is_file()), None)
        if found is not None:
            return str(found)
        urls = " or ".join([source_url] if isinstance(source_url, str) else source_url or source_urls)
        unpacked = f" and unpack it ({compress_type})" if compress_type else ""
        raise ModelError(f"{usual / file_name} is missing", hint=f"fetch {urls}{unpacked}; the farm cannot check it")


def line_of(error: Exception) -> str:
    """What an error of the package says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__
