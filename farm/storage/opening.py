"""Chooses the store: the coordinator's side and the workers open it here, and name no implementation."""

from farm.settings import Settings
from farm.storage.base import Storage
from farm.storage.local import LocalStorage


def open_storage(settings: Settings) -> Storage:
    """The store that the settings name. Nothing is read or written yet."""
    return LocalStorage(settings.store_root)
