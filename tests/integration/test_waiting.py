"""Commands that follow a job survive a database that is away for a while."""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from farm.cli import display
from farm.database.models import Job
from farm.errors import DatabaseAway
from farm.jobs.context import Context, open_context
from farm.settings import load_settings
from tests.postgres import Server

pytestmark = [pytest.mark.integration]


@pytest.fixture
def address(request: pytest.FixtureRequest) -> str | None:
    return str(request.getfixturevalue("fresh_postgres")) if request.param == "postgresql" else None


@pytest.fixture
def context(address: str | None, tmp_path: Path) -> Iterator[Context]:
    context = open_context(load_settings(home=tmp_path / "home", database_url=address))
    with context.database.write() as session:
        session.add(
            Job(id="abc", fingerprint="f", status="detecting", source="in.mp4", output="out.mp4", container="mp4",
                options={}, plan="p", model_sha256="m", frames=1, seconds=1.0, created_at=1.0)
        )  # fmt: skip
    yield context
    context.database.close()


def end(context: Context) -> None:
    with context.database.write() as session:
        session.get_one(Job, "abc").status = "done"


def following(context: Context) -> tuple[threading.Thread, list[object]]:
    """A thread that follows the job, and what it got: the facts or an error."""
    got: list[object] = []

    def follow() -> None:
        try:
            got.append(display.Watcher(context, "abc", lambda: None, quiet=False).follow())
        except DatabaseAway as e:
            got.append(e)

    thread = threading.Thread(target=follow)
    thread.start()
    return thread, got


def until(holds: Callable[[], object]) -> None:
    limit = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.05)


@pytest.mark.postgres
@pytest.mark.parametrize("address", ["postgresql"], indirect=True)
def test_a_watcher_outlives_a_server_that_is_restarted(
    context: Context, postgres: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    said = ""

    def reads(text: str) -> bool:
        nonlocal said
        said += capsys.readouterr().err
        return text in said

    thread, got = following(context)
    until(lambda: reads("job abc: detecting"))
    postgres.stop()
    try:
        until(lambda: reads("waiting: the database"))
        time.sleep(2)
        assert thread.is_alive()
    finally:
        postgres.start()
    until(lambda: reads("the database answers again"))
    end(context)
    thread.join(30)
    assert [getattr(facts, "status", facts) for facts in got] == ["done"]
    reads("")
    assert said.count("waiting:") == said.count("answers again") == 1


@pytest.mark.postgres
@pytest.mark.parametrize("address", ["postgresql"], indirect=True)
def test_a_watcher_that_gives_up_says_how_to_follow_the_job(
    context: Context, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(display, "_AWAY_SECONDS", 1.0)
    postgres.stop()
    try:
        thread, got = following(context)
        thread.join(30)
    finally:
        postgres.start()
    (error,) = got
    assert isinstance(error, DatabaseAway)
    assert error.exit_code == 6
    assert str(error).startswith("gave up after 1 s: the database postgresql")
    assert str(error).endswith("(job abc continues without this command: farm watch abc)")


@pytest.mark.parametrize("address", ["sqlite"], indirect=True)
def test_a_watcher_outlives_an_sqlite_file_that_another_process_locks(
    context: Context, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a backup or a repair does: nobody else can even read."""
    context.database.close()
    monkeypatch.setattr("farm.database.session._PATIENCE_SECONDS", 0.3)
    file = context.settings.home / "farm.db"
    locker = sqlite3.connect(file, isolation_level=None)
    locker.execute("PRAGMA locking_mode=EXCLUSIVE")
    locker.execute("BEGIN EXCLUSIVE")
    thread, got = following(Context(context.settings, type(context.database)(context.settings.sql_url), context.store))
    time.sleep(2)
    assert thread.is_alive()
    locker.execute("UPDATE jobs SET status = 'done'")
    locker.execute("COMMIT")
    locker.close()
    thread.join(30)
    assert [getattr(facts, "status", facts) for facts in got] == ["done"]
    assert "waiting: the database" in capsys.readouterr().err


@pytest.mark.postgres
def test_an_address_may_say_how_long_to_wait_for_a_server(fresh_postgres: str, tmp_path: Path) -> None:
    for query, seconds in (("", "10"), ("?connect_timeout=3", "3")):
        context = open_context(load_settings(home=tmp_path, database_url=fresh_postgres + query))
        with context.database.engine.connect() as connection:
            driver = connection.connection.dbapi_connection
            assert driver is not None
            assert driver.info.get_parameters()["connect_timeout"] == seconds
        context.database.close()
