"""Who this worker is. The parent process decides, the process that does the work inherits it."""

import os
import secrets
import socket

_NAME, _DEVICE, _INCARNATION = "FARM_WORKER_NAME", "FARM_WORKER_DEVICE", "FARM_WORKER_INCARNATION"


def assume(device: str) -> str:
    """Become the worker of ``device`` on this host, for this process and its children; the worker's name."""
    name = f"{device}@{socket.gethostname()}"
    os.environ.update({_NAME: name, _DEVICE: device, _INCARNATION: secrets.token_hex(6)})
    return name


def name() -> str:
    """``device@host``."""
    return os.environ[_NAME]


def device() -> str:
    """The device's name, as in ``cuda0``."""
    return os.environ[_DEVICE]


def incarnation() -> str:
    """A random word that changes with every start of the worker."""
    return os.environ[_INCARNATION]
