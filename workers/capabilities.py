"""What a worker can do: the encoders that work on its device, and the runtime of its models.

A separate process determines this before the worker's first hello: ``python -m workers.capabilities DEVICE
CPU_RUNTIME`` prints JSON. It sees the same device as the worker's child. In the worker's parent, PyAV and opened
encoders would add 70 MiB to 70, and a crash of a driver would end the worker.
"""

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from farm.errors import DeviceError, FarmError
from farm.processes import dying_with_this
from workers.vision.device import Device, resolve_runtime

if TYPE_CHECKING:  # needs pydantic, which would take most of the other process's time
    from farm.settings import Settings

_SECONDS = 60  # a GPU's driver may take a while to start


@dataclass(frozen=True, slots=True)
class Capabilities:
    """``encoders``: FFmpeg's names. ``runtime``: ``onnxruntime`` or ``openvino``."""

    encoders: tuple[str, ...]
    runtime: str


def ask(settings: "Settings", device: str) -> Capabilities:
    """The capabilities of a worker of ``device``, from a process of its own.

    The setting ``hidden_encoders`` removes encoders, with ``testing`` only. Raises DeviceError when that process fails,
    FarmError when it does not start or end: another start of the worker may help then.
    """
    command = [sys.executable, "-m", "workers.capabilities", device, settings.cpu_runtime]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=True,
            timeout=_SECONDS,
            preexec_fn=dying_with_this(),
        )
        found = json.loads(done.stdout)
    except subprocess.CalledProcessError as e:
        last = (e.stderr.strip().splitlines() or [str(e)])[-1]  # str: a signal, as when a driver crashes
        raise DeviceError(f"{device}: the worker's abilities cannot be determined: {last}") from e
    except (OSError, subprocess.TimeoutExpired, ValueError) as e:
        raise FarmError(f"{device}: the worker's abilities cannot be determined: {e}") from e
    hidden = settings.hidden_encoders.split(",") if settings.testing else []
    return Capabilities(tuple(name for name in found["encoders"] if name not in hidden), found["runtime"])


def find(device: str, cpu_runtime: str) -> Capabilities:
    """The capabilities of ``device`` in this process, which imports PyAV."""
    from farm.media.encoding.encoders import quiet_encoders  # noqa: PLC0415 - the worker's parent never needs these
    from farm.media.encoding.holding import available_encoders  # noqa: PLC0415

    quiet_encoders()
    return Capabilities(available_encoders(), resolve_runtime(cpu_runtime, Device.named(device)))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(find(*sys.argv[1:3]))))
