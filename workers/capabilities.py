"""What a worker can do: the encoders that work on its device, and the runtimes of its detectors.

A separate process determines this before the worker's first hello: ``python -m workers.capabilities DEVICE
CPU_RUNTIME`` prints JSON. It sees the same device as the worker's child. In the worker's parent, PyAV and opened
encoders would add 70 MiB to 70, and a crash of a driver would end the worker.
"""

import json
import logging
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from farm import processes
from farm.errors import DeviceError, FarmError
from workers.vision.device import Device, runtimes

if TYPE_CHECKING:  # needs pydantic, which would take most of the other process's time
    from farm.settings import Settings

log = logging.getLogger(__name__)

_SECONDS = 120  # a GPU's driver may take a while to start


@dataclass(frozen=True, slots=True)
class Capabilities:
    """``encoders``: FFmpeg's names. ``runtimes``: see :func:`workers.vision.device.runtimes`."""

    encoders: tuple[str, ...]
    runtimes: tuple[str, ...]

    @classmethod
    def of(cls, found: Mapping[str, Iterable[str]]) -> "Capabilities":
        """From their JSON."""
        return cls(tuple(found["encoders"]), tuple(found["runtimes"]))

    def without(self, settings: "Settings") -> "Capabilities":
        """Without the encoders that the setting ``hidden_encoders`` names, with ``testing`` only."""
        hidden = settings.hidden_encoders.split(",") if settings.testing else []
        return Capabilities(tuple(name for name in self.encoders if name not in hidden), self.runtimes)


def ask(settings: "Settings", device: str) -> Capabilities:
    """The capabilities of a worker of ``device``, from a process of its own.

    Raises DeviceError when that process fails, FarmError when it does not start or end: another start of the worker
    may help then.
    """
    command = processes.module("workers.capabilities", device, settings.cpu_runtime)
    try:
        done = processes.ask(command, timeout=_SECONDS)
        done.check_returncode()
        found = Capabilities.of(json.loads(done.stdout)).without(settings)
        for line in done.stderr.splitlines():  # why a GPU lacks a runtime that is installed
            log.warning("%s", line)
    except subprocess.CalledProcessError as e:
        if e.returncode == -signal.SIGKILL:  # as the kernel does where memory is short
            raise FarmError(f"{device}: the process that determines the worker's abilities was killed") from e
        last = (e.stderr.strip().splitlines() or [str(e)])[-1]  # str: a signal, as when a driver crashes
        raise DeviceError(f"{device}: the worker's abilities cannot be determined: {last}") from e
    except (OSError, subprocess.TimeoutExpired, ValueError) as e:
        raise FarmError(f"{device}: the worker's abilities cannot be determined: {e}") from e
    return found


def find(devices: Iterable[Device], cpu_runtime: str) -> Capabilities:
    """What workers of these devices can do, found out in this process, which imports PyAV, OpenVINO and, for a GPU,
    what computes on it.

    Raises SettingsError, and DeviceError, also for a GPU that cannot be computed on: its worker must not begin.
    """
    from farm.media.encoding.encoders import quiet_encoders  # noqa: PLC0415 - the worker's parent never needs these
    from farm.media.encoding.holding import available_encoders  # noqa: PLC0415

    quiet_encoders()
    kinds = {device.kind: device for device in devices}
    found = {kind: runtimes(cpu_runtime, device) for kind, device in kinds.items()}
    if gpu := kinds.get("cuda"):
        from workers.vision.detectors.checking import working  # noqa: PLC0415 - heavy

        found["cuda"] = working(gpu, found["cuda"])
    return Capabilities(available_encoders(), tuple(name for names in found.values() for name in names))


if __name__ == "__main__":
    try:
        sys.stdout.write(json.dumps(asdict(find([Device.named(sys.argv[1])], sys.argv[2]))))
    except FarmError as error:
        sys.exit(f"{error}")
