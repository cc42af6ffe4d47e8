"""Fetching weights, with a progress bar."""

from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from farm.cli.display import errors
from farm.domain.artefacts import fingerprint
from farm.domain.detectors import DetectOptions
from farm.errors import ModelError
from farm.models.store import ModelStore
from farm.settings import Settings


def model_digest(settings: Settings, detector: DetectOptions, *, quiet: bool) -> str:
    """The SHA-256 of a detector's weights, which are fetched if necessary; a digest of its name if it has none.

    Raises ModelError, also outside tests for the tests' own detector.
    """
    if detector.hidden and not settings.testing:
        raise ModelError(f"the {detector.model} finds no faces: it is there for tests", hint="leave --model out")
    if detector.weights is None:
        return fingerprint(detector.model)
    ensure_model(settings, detector.weights.name, quiet=quiet)
    return detector.weights.sha256


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
