"""Blur Farm: the coordinator's side and the domain that it shares with the workers. ``from farm import Farm``."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from farm.api import Farm

__version__ = "0.1.0"
__all__ = ["Farm", "__version__"]


def __getattr__(name: str) -> object:
    """``Farm`` imports much that the workers and most commands do not need."""
    if name == "Farm":
        from farm.api import Farm  # noqa: PLC0415 - heavy

        return Farm
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
