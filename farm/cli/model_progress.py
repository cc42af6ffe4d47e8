"""Fetching weights, with a progress bar."""

import hashlib
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from farm.cli.display import errors
from farm.domain.artefacts import fingerprint
from farm.domain.detectors import DetectOptions
from farm.domain.quality import resolved
from farm.domain.recognisers import DEFAULT, PeopleOptions, named_recogniser
from farm.errors import ModelError
from farm.models.store import ModelStore
from farm.settings import Settings


def model_digest(settings: Settings, detector: DetectOptions, *, quiet: bool) -> str:
    """The SHA-256 of a detector's weights, which are fetched if necessary; of several, that of their digests in order.

    For a network without weights a digest of its name counts. Raises ModelError, also outside tests for the tests' own
    network.
    """
    digests = []
    for network in (one.network for one in resolved(detector).networks):
        if network.hidden and not settings.testing:
            raise ModelError(f"the {network.name} finds no faces: it is there for tests", hint="leave --detector out")
        if network.weights is None:
            digests.append(fingerprint(network.name))
        else:
            ensure_model(settings, network.weights.name, quiet=quiet)
            digests.append(network.weights.sha256)
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def ensure_recogniser(settings: Settings, options: PeopleOptions, *, quiet: bool) -> None:
    """Fetch the weights of a recogniser, if it has any that the farm knows. Raises ModelError."""
    named = options.named or named_recogniser(DEFAULT)
    if named.recogniser.weights is not None:
        ensure_model(settings, named.recogniser.weights.name, quiet=quiet)


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
