"""Who a worker is."""

import secrets
import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Identity:
    """One start of one worker; made by its parent process, and part of what the child is built from.

    ``name``: ``device@host``, the same at each start. ``device``: as in ``cuda0``. ``incarnation``: random, new at
    each start.
    """

    name: str
    device: str
    incarnation: str
    host: str

    @classmethod
    def of(cls, device: str) -> "Identity":
        """A new incarnation of the worker of ``device`` on this host."""
        host = socket.gethostname()
        return cls(f"{device}@{host}", device, secrets.token_hex(6), host)
