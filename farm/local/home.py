"""Which farm runs in a home: the lock of the home says so. It needs no database."""

import json
from dataclasses import dataclass
from typing import IO

from farm import processes
from farm.settings import Settings


@dataclass(frozen=True, slots=True)
class Running:
    """The farm that runs in a home, as it wrote itself into the home's lock.

    ``service``: it was started by ``farm up``, else by a command that ends it. ``up``: its first worker is ready.
    ``flower``: the address of Flower.
    """

    pid: int
    service: bool
    up: bool = False
    flower: str | None = None


def lock_home(settings: Settings, patience: float = 0.0) -> IO[str] | None:
    """Take the lock of this home's farm, which is held until closed; None if another process holds it.

    ``patience``: seconds to wait for it, as :func:`is_running` takes it for a moment.
    """
    settings.make_home()
    return processes.hold(settings.lock_file, patience)


def is_running(settings: Settings) -> bool:
    """Whether a process runs the farm of this home."""
    held = lock_home(settings)
    if held is not None:
        held.close()
    return held is None


def running_farm(settings: Settings) -> Running | None:
    """The farm that runs in this home; None if none does, or it has just begun."""
    if not is_running(settings):
        return None
    try:
        said = json.loads(settings.lock_file.read_text())
        return Running(**{**said, "pid": int(said["pid"])})
    except (OSError, ValueError, TypeError, LookupError):
        return None
