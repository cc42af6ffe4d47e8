"""A real PostgreSQL server of the tests' own, from the machine's binaries. Its fixtures are taken into conftest.py."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

_START_SECONDS = 60


def _binaries() -> Path | None:
    """The folder of ``initdb`` and ``postgres``."""
    for found in (shutil.which("initdb"), *sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)):
        if found:
            return Path(found).resolve().parent
    return None


def _somebody_else(folder: Path) -> dict[str, int]:
    """Who the server runs as where this is root, which it refuses to be."""
    if os.getuid() != 0:
        return {}
    try:
        user = pwd.getpwnam("postgres")
    except KeyError:
        pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return {"user": user.pw_uid, "group": user.pw_gid}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A server that can be stopped and started again, on the same address."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._folder, self._log, self._port = folder, folder / "log", _free_port()
        self._who = _somebody_else(folder)
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"postgresql+psycopg://farm@127.0.0.1:{self._port}/postgres"
        cluster = folder / "cluster"
        init = [binaries / "initdb", "-D", cluster, "-U", "farm", "-A", "trust", "--no-sync"]
        subprocess.run(init, check=True, capture_output=True, cwd=folder, **self._who)  # type: ignore[call-overload]  # who
        self._words = [
            binaries / "postgres",
            "-D",
            cluster,
            "-h",
            "127.0.0.1",
            "-p",
            str(self._port),
            "-k",
            folder,
            "-F",
        ]

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self._log.open("wb") as out:
            self._process = subprocess.Popen(self._words, stdout=out, stderr=out, cwd=self._folder, **self._who)  # type: ignore[call-overload]  # who
        engine = create_engine(self.url)
        until = time.monotonic() + _START_SECONDS
        while True:
            try:
                engine.connect().close()
            except OperationalError:
                assert self._process.poll() is None, self._log.read_text()
                assert time.monotonic() < until, self._log.read_text()
                time.sleep(0.1)
            else:
                break
        engine.dispose()

    def stop(self) -> None:
        """Stop it at once: its clients lose their connections."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(30)
            self._process = None


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """The server, on loopback. Skips where its binaries are not installed."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server here: install postgresql")
    # not below pytest's folder, which only this user may enter
    folder = Path(tempfile.mkdtemp(prefix="blurfarm-postgres-"))
    server = Server(binaries, folder)
    try:
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_url(postgres: Server) -> str:
    """The address of the server."""
    return postgres.url


@pytest.fixture
def fresh_postgres(postgres_url: str) -> str:
    """An empty database on that server."""
    engine = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("DROP DATABASE IF EXISTS farm WITH (FORCE)"))
        connection.execute(text("CREATE DATABASE farm"))
    engine.dispose()
    return postgres_url.rsplit("/", 1)[0] + "/farm"
