"""Fetching weights, with a progress bar."""

from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from farm.cli.display import errors
from farm.errors import ModelError
from farm.models.digest import Fetch
from farm.models.store import ModelStore
from farm.settings import Settings


def fetcher(settings: Settings, *, quiet: bool) -> Fetch:
    """Fetches weights that are missing, with a progress bar unless ``quiet``."""
    return lambda name: ensure_model(settings, name, quiet=quiet)


def ensure_model(settings: Settings, name: str, *, quiet: bool, pull: bool = False) -> Path:
    """The weights' file, fetched if there is none. ``pull``: also replace a damaged one. Raises ModelError."""
    store = ModelStore(settings)
    store.named(name)
    try:
        if path := store.locate(name):
            return path
    except ModelError:
        if not pull:
            raise
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=errors,
        disable=quiet or not errors.is_terminal,
    ) as progress:
        bar = progress.add_task(f"weights of {name}", total=None)
        if not errors.is_terminal and not quiet:
            errors.print(f"downloading the weights of {name} (once)")
        return store.pull(name, lambda done, total: progress.update(bar, completed=done, total=total))
