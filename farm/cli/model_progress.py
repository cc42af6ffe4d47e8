"""Pulling weights with a bar."""

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from farm.cli.display import errors
from farm.domain.artefacts import fingerprint
from farm.errors import ModelError
from farm.models.store import LocatedModel, ModelStore
from farm.settings import Settings

#: The detector that tests use: it has no weights.
STUB = "stub"


def model_digest(settings: Settings, name: str, *, quiet: bool) -> str:
    """The SHA-256 of a model's weights, fetched if need be.

    Raises ModelError, also for the tests' stub outside tests.
    """
    if name == STUB:
        if not settings.testing:
            raise ModelError("the stub finds no faces: it is there for tests", hint="leave --model out")
        return fingerprint(STUB)
    return ensure_model(settings, name, quiet=quiet).sha256


def ensure_model(settings: Settings, name: str, *, quiet: bool, pull: bool = False) -> LocatedModel:
    """The weights from this machine, else fetched. ``pull``: also replace wrong ones. Raises ModelError."""
    store = ModelStore(settings)
    located = None if pull else store.locate(name)
    if located is not None:
        return located
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
            errors.print(f"fetching the weights of {name}, once")
        return store.pull(name, lambda done, total: progress.update(bar, completed=done, total=total))
