"""Every writer of the farm on a disk that is full: one error that says what to do, nothing partial, and it goes on."""

import os
from pathlib import Path

import pytest

from farm.cli import display
from farm.coordinator.publishing import publish_output
from farm.database.models import Job
from farm.domain.options import JobOptions
from farm.domain.weights import Weights
from farm.errors import DatabaseAway, ModelError, SettingsError, StorageError
from farm.jobs.context import Context, open_context
from farm.jobs.placing import Request, prepare
from farm.jobs.space import check_space
from farm.jobs.submit import submit
from farm.local.farm import EmbeddedFarm, missing_part
from farm.local.home import lock_home
from farm.media.encoding.encoders import ENCODERS
from farm.models.store import ModelStore, _replacing
from farm.settings import load_settings
from farm.storage.local import LocalStorage
from tests.integration.trips import X264, Rendered, with_sound
from tests.small_disk import MEGABYTES, fill

pytestmark = pytest.mark.integration
LARGE = bytes(2 * MEGABYTES << 20)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_an_artefact_is_whole_or_not_there(small_disk: Path) -> None:
    store = LocalStorage(small_disk / "store")
    with (
        pytest.raises(StorageError, match=r"No space left on device .*free some space there"),
        store.put("a/b.x") as draft,
    ):
        draft.path.write_bytes(LARGE)
    assert files(small_disk) == []
    with store.put("a/b.x") as draft:
        draft.path.write_bytes(b"small")
    assert files(small_disk) == [draft.key.removeprefix("a/")]


@pytest.mark.parametrize("overwrite", [False, True])
def test_an_output_is_whole_or_not_there(small_disk: Path, tmp_path: Path, overwrite: bool) -> None:
    store = LocalStorage(tmp_path / "store")
    with store.put("outputs/f/output.mp4") as draft:
        draft.path.write_bytes(LARGE)
    job = Job(id="job", source="", output=str(small_disk / "out.mp4"), overwrite=overwrite)
    if overwrite:
        (small_disk / "out.mp4").write_bytes(b"before")
    with pytest.raises(StorageError, match=r"out\.mp4: No space left on device .*free some space there") as caught:
        publish_output(store, job, draft.artefact(1))
    assert not caught.value.permanent
    assert files(small_disk) == (["out.mp4"] if overwrite else [])
    assert not overwrite or (small_disk / "out.mp4").read_bytes() == b"before"


def _context(small_disk: Path) -> Context:
    context = open_context(load_settings(home=small_disk / "home"))
    with context.database.write() as session:
        session.add(
            Job(id="abc", fingerprint="f", status="detecting", source="in.mp4", output="out.mp4", container="mp4",
                options={}, plan="p", model_sha256="m", frames=1, seconds=1.0, created_at=1.0)
        )  # fmt: skip
    return context


def _note(context: Context) -> None:
    with context.database.write() as session:
        session.get_one(Job, "abc").reason = os.urandom(100_000).hex()


def test_a_database_without_room_is_waited_for(small_disk: Path, capsys: pytest.CaptureFixture[str]) -> None:
    context = _context(small_disk)
    filler = fill(small_disk)
    with pytest.raises(DatabaseAway, match="database or disk is full"):
        _note(context)
    assert (
        missing_part(context) == f"the disk of {small_disk / 'home'} is full: free some space, then the farm continues"
    )
    tries = 0

    def action() -> str:
        nonlocal tries
        tries += 1
        if tries == 3:
            filler.unlink()
        _note(context)
        return "done"

    assert display.Patience()(action, "") == "done"
    assert capsys.readouterr().err.count("disk is full") == 1
    context.database.close()


def test_a_farm_whose_home_has_no_room_says_so(small_disk: Path) -> None:
    settings = load_settings(home=small_disk / "home")
    settings.make_home()
    lock = lock_home(settings)
    assert lock is not None
    filler = fill(small_disk)
    with lock, pytest.raises(SettingsError, match=r"farm\.lock: No space left on device \(free some space there\)"):
        EmbeddedFarm(settings, lock, print)
    filler.unlink()


def test_weights_are_whole_or_not_there(small_disk: Path, tmp_path: Path) -> None:
    model = Weights("m", "M", "MIT", "m.onnx", "0" * 64, ())
    fill(small_disk)
    store = ModelStore(load_settings(home=tmp_path, models_dir=small_disk), models={"m": model})
    with (
        pytest.raises(ModelError, match=r"No space left on device .*FARM_MODELS_DIR"),
        _replacing(store.target / model.file_name) as file,
    ):
        file.write(LARGE)
    assert files(small_disk) == ["filler"]


@pytest.fixture
def source(render: Rendered) -> Path:
    return render("room.mkv", *with_sound(), *X264)


def test_a_job_for_which_there_is_no_room_is_refused_or_warned_of(
    source: Path, small_disk: Path, tmp_path: Path
) -> None:
    request = Request(source, tmp_path / "out.mkv", overwrite=False, options=JobOptions())
    prepared = prepare(request, frozenset(ENCODERS))
    manifest, _ = prepared.plan(1)
    assert check_space(tmp_path / "none" / "store", prepared, manifest) is None
    assert check_space(small_disk, prepared, manifest) is None
    filler = fill(small_disk)
    text = rf"{small_disk}: 0 bytes are free, and the job needs about [0-9.]+ kB"
    with pytest.raises(StorageError, match=rf"{text} \(free some space there; `farm clean`"):
        check_space(small_disk / "store", prepared, manifest)
    os.truncate(filler, filler.stat().st_size - source.stat().st_size)
    warning = check_space(small_disk / "store", prepared, manifest)
    assert warning is not None
    assert "are free, and the job needs about" in warning
    context = open_context(load_settings(home=tmp_path / "home", store_dir=small_disk / "store"))
    assert submit(context, prepared, "1" * 64, 1).warning == warning
    context.database.close()


def test_the_disk_of_the_output_counts_too(source: Path, small_disk: Path, tmp_path: Path) -> None:
    prepared = prepare(
        Request(source, small_disk / "out.mkv", overwrite=False, options=JobOptions()), frozenset(ENCODERS)
    )
    manifest, _ = prepared.plan(1)
    assert check_space(tmp_path / "store", prepared, manifest) is None
    fill(small_disk)
    with pytest.raises(StorageError, match=f"{small_disk}: 0 bytes are free"):
        check_space(tmp_path / "store", prepared, manifest)
