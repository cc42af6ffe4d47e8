"""The last step: what gets the output's name is what was verified, whatever the store and the disk."""

import os
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from farm.coordinator.publishing import publish_output
from farm.database.models import Job
from farm.errors import DamagedArtefact, OutputError, StorageError
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
    return Job(id="job", source=str(tmp_path / "in.mp4"), output=str(tmp_path / "out" / "out.mp4"), overwrite=False)


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
    job, output = Job(source="", output=str(final), overwrite=False), draft.artefact(1)
    if name == "0.png":
        publish_output(store, job, output)
    else:
        with pytest.raises(OutputError, match="exists and is not empty"):
            publish_output(store, job, output)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["frames", "store"]
    assert [path.name for path in final.iterdir()] == [name]


@pytest.fixture
def umask(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The umask of the person for whom outputs are published."""
    mask = int(request.param)
    monkeypatch.setattr("farm.processes._users_umask", mask)
    return mask


MODES = [(0o644, 0o022, 0o644), (0o600, 0o022, 0o600), (0o640, 0o002, 0o640), (0o777, 0o077, 0o600), (0, 0o022, 0o400),
         (None, 0o022, 0o400)]  # fmt: skip


@pytest.mark.parametrize(("source", "umask", "mode"), MODES, indirect=["umask"])
def test_an_output_is_readable_by_nobody_who_cannot_read_its_source(
    store: Storage, made: Artefact, job: Job, source: int | None, umask: int, mode: int
) -> None:
    if source is not None:
        Path(job.source).touch()
        Path(job.source).chmod(source)
    publish_output(store, job, made)
    assert stat.S_IMODE(Path(job.output).stat().st_mode) == mode


@pytest.mark.parametrize("umask", [0o022], indirect=True)
def test_the_outputs_of_two_jobs_have_permissions_of_their_own(
    store: Storage, made: Artefact, job: Job, tmp_path: Path, umask: int
) -> None:
    """Both are the same artefact: hard links to it would share their permissions."""
    other = Job(id="other", source=str(tmp_path / "other.mp4"), output=str(tmp_path / "out" / "2.mp4"), overwrite=False)
    for one, mode in ((job, 0o644), (other, 0o600)):
        Path(one.source).touch()
        Path(one.source).chmod(mode)
        publish_output(store, one, made)
    assert [stat.S_IMODE(Path(one.output).stat().st_mode) for one in (job, other)] == [0o644, 0o600]


@pytest.mark.parametrize(
    ("source", "umask", "mode"), [(0o644, 0o022, 0o644), (0o600, 0o022, 0o600)], indirect=["umask"]
)
def test_pictures_and_their_folder_are_readable_by_nobody_who_cannot_read_the_source(
    store: Storage, tmp_path: Path, source: int, umask: int, mode: int
) -> None:
    final = tmp_path / "frames"
    with store.put("outputs/f/output.zip") as draft, zipfile.ZipFile(draft.path, "w") as archive:
        archive.writestr("0.png", b"a picture")
    (tmp_path / "in.mp4").touch()
    (tmp_path / "in.mp4").chmod(source)
    job = Job(id="job", source=str(tmp_path / "in.mp4"), output=str(final), overwrite=False)
    publish_output(store, job, draft.artefact(1))
    assert stat.S_IMODE((final / "0.png").stat().st_mode) == mode
    assert stat.S_IMODE(final.stat().st_mode) == (0o755 if mode == 0o644 else 0o700)


@pytest.mark.parametrize("name", ["output.mp4", "output.zip"])
def test_a_folder_that_vanished_is_named_and_a_retry_publishes(store: Storage, tmp_path: Path, name: str) -> None:
    with store.put(f"outputs/f/{name}") as draft, zipfile.ZipFile(draft.path, "w") as archive:
        archive.writestr("0.png", b"a picture")
    made, job = draft.artefact(1), Job(id="job", source="", output=str(tmp_path / "gone" / "out"))
    with pytest.raises(StorageError, match=r"gone is not there any more \(create the folder again\)") as caught:
        publish_output(store, job, made)
    assert not caught.value.permanent
    (tmp_path / "gone").mkdir()
    publish_output(store, job, made)
    assert [path.name for path in (tmp_path / "gone").iterdir()] == ["out"]
