"""The last step: what gets the output's name is what was verified, whatever the store and the disk."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from farm.coordinator.publishing import publish_output
from farm.database.models import Job
from farm.errors import DamagedArtefact, OutputError
from farm.messages import Artefact
from farm.storage.base import Storage
from farm.storage.local import LocalStorage
from tests.memory_store import MemoryStorage

STORES: dict[str, Callable[[Path], Storage]] = {"local": LocalStorage, "memory": MemoryStorage}


@pytest.fixture(params=sorted(STORES))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    (tmp_path / "store").mkdir()
    return STORES[request.param](tmp_path / "store")


@pytest.fixture
def made(store: Storage) -> Artefact:
    with store.put("outputs/f/output.mp4") as draft:
        draft.path.write_bytes(b"the video")
    return draft.artefact(5)


@pytest.fixture(params=["same disk", "another disk"])
def job(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    """A job whose output lies beside the store, or where no hard link from the store leads to."""
    if request.param == "another disk":
        link = os.link

        def across(source: Path, target: Path) -> None:
            if target.suffix == ".part":
                raise OSError(18, "cross-device link")
            link(source, target)

        monkeypatch.setattr(os, "link", across)
    (tmp_path / "out").mkdir()
    return Job(output=str(tmp_path / "out" / "out.mp4"), overwrite=False)


def folder(job: Job) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(job.output).parent.iterdir()}


def test_the_output_gets_its_name_once(store: Storage, made: Artefact, job: Job) -> None:
    publish_output(store, job, made)
    publish_output(store, job, made)
    store.delete(made.key)
    publish_output(store, job, made)
    assert folder(job) == {"out.mp4": b"the video"}


def test_what_is_not_what_was_verified_gets_no_name(store: Storage, made: Artefact, job: Job) -> None:
    other = made.model_copy(update={"sha256": "0" * 64})
    with pytest.raises(DamagedArtefact, match="is damaged"):
        publish_output(store, job, other)
    assert folder(job) == {}


def test_what_is_gone_from_the_store_gets_no_name(store: Storage, made: Artefact, job: Job) -> None:
    store.delete(made.key)
    with pytest.raises(DamagedArtefact, match="is not there"):
        publish_output(store, job, made)
    assert folder(job) == {}


def test_a_name_that_is_taken_stays_unless_it_may_be_replaced(store: Storage, made: Artefact, job: Job) -> None:
    Path(job.output).write_bytes(b"somebody's own")
    with pytest.raises(OutputError, match="already exists"):
        publish_output(store, job, made)
    assert folder(job) == {"out.mp4": b"somebody's own"}
    job.overwrite = True
    publish_output(store, job, made)
    assert folder(job) == {"out.mp4": b"the video"}


def test_what_another_coordinator_publishes_meanwhile_is_published(
    store: Storage, made: Artefact, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A leader that lost its lead and its successor reach the same step."""
    link, final = os.link, Path(job.output)

    def late(source: Path, target: Path) -> None:
        if target == final:
            final.write_bytes(b"the video")
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    publish_output(store, job, made)
    assert folder(job) == {"out.mp4": b"the video"}


@pytest.mark.parametrize("name", ["0.png", "other.png"])
def test_pictures_that_another_coordinator_publishes_meanwhile_are_published(
    store: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    final, rename = tmp_path / "frames", Path.rename
    with store.put("outputs/f/output.zip") as draft, zipfile.ZipFile(draft.path, "w") as archive:
        archive.writestr("0.png", b"a picture")

    def late(source: Path, target: Path) -> Path:
        final.mkdir()
        (final / name).write_bytes(b"a picture")
        return rename(source, target)

    monkeypatch.setattr(Path, "rename", late)
    job, output = Job(output=str(final), overwrite=False), draft.artefact(1)
    if name == "0.png":
        publish_output(store, job, output)
    else:
        with pytest.raises(OutputError, match="exists and is not empty"):
            publish_output(store, job, output)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frames", "store"]
    assert [path.name for path in final.iterdir()] == [name]
