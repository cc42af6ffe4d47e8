"""A home in which a crash or a hand left nonsense: it works, or one line says what to do."""

import sqlite3
from pathlib import Path

import pytest

from farm.database.models import Job
from farm.errors import DatabaseError, SettingsError
from farm.jobs.context import open_context
from farm.jobs.queries import count_jobs
from farm.local.home import lock_home, running_farm
from farm.settings import Settings, load_settings

pytestmark = pytest.mark.integration
GARBAGE = [
    b"",
    b"\xff\xfe\x00",
    b"[]",
    b"null",
    b"7",
    b'{"pid": "x"}',
    b'{"pid": null}',
    b'{"service": true}',
    b"{" * 9,
]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(home=tmp_path / "home")


@pytest.mark.parametrize("content", GARBAGE)
def test_a_lock_file_with_garbage_names_no_farm(settings: Settings, content: bytes) -> None:
    settings.make_home()
    settings.lock_file.write_bytes(content)
    assert running_farm(settings) is None
    held = lock_home(settings)
    assert held is not None
    with held:
        assert running_farm(settings) is None


@pytest.mark.parametrize("name", ["logs", "run"])
def test_a_file_in_the_place_of_a_folder_is_named(settings: Settings, name: str) -> None:
    settings.home.mkdir()
    (settings.home / name).write_bytes(b"")
    with pytest.raises(SettingsError, match=f"cannot write into the folder .*/home: .*/{name}: File exists"):
        settings.make_home()


def test_an_empty_database_file_becomes_a_database(settings: Settings) -> None:
    settings.home.mkdir()
    (settings.home / "farm.db").touch()
    context = open_context(settings)
    assert count_jobs(context) == {}
    context.database.close()


def _job(name: str) -> Job:
    return Job(
        id=name, fingerprint="f", status="detecting", source="in.mp4", output=name, container="mp4",
        options={"text": "x" * 2000}, plan="p", model_sha256="m", frames=1, seconds=1.0, created_at=1.0,
    )  # fmt: skip


@pytest.mark.parametrize("share", [0.2, 0.9])
def test_a_truncated_database_is_one_line(settings: Settings, share: float) -> None:
    context = open_context(settings)
    with context.database.write() as session:
        session.add_all([_job(f"{n:08x}") for n in range(200)])
    context.database.close()
    file = settings.home / "farm.db"
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DatabaseError, match=r"farm\.db .*malformed \(.*restore a backup") as caught:
        count_jobs(open_context(settings))
    assert len(str(caught.value).splitlines()) == 1


def test_a_write_ahead_log_that_a_crash_left_is_read(settings: Settings, tmp_path: Path) -> None:
    context = open_context(settings)
    reader = sqlite3.connect(settings.home / "farm.db")  # while it is open, nothing is moved into the database
    reader.execute("SELECT count(*) FROM jobs").fetchall()
    with context.database.write() as session:
        session.add(_job("abc"))
    copy = load_settings(home=tmp_path / "copy")
    copy.make_home()
    for name in ("farm.db", "farm.db-wal"):
        (copy.home / name).write_bytes((settings.home / name).read_bytes())
    restored = open_context(copy)
    assert count_jobs(restored) == {"detecting": 1}
    restored.database.close()
    context.database.close()
    reader.close()
