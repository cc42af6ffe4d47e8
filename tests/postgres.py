"""A real PostgreSQL server of the tests' own, from the machine's binaries. Its fixtures are taken into conftest.py."""

import os
import pwd
import shutil
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


def _wait(url: str, server: "subprocess.Popen[bytes]", log: Path) -> None:
    engine = create_engine(url)
    until = time.monotonic() + _START_SECONDS
    while True:
        try:
            engine.connect().close()
        except OperationalError:
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.1)
        else:
            break
    engine.dispose()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The address of the server, on loopback. Skips where its binaries are not installed."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server here: install postgresql")
    # not below pytest's folder, which only this user may enter
    folder = Path(tempfile.mkdtemp(prefix="blurfarm-postgres-"))
    who, port, cluster, log = _somebody_else(folder), _free_port(), folder / "cluster", folder / "log"
    init = [binaries / "initdb", "-D", cluster, "-U", "farm", "-A", "trust", "--no-sync"]
    subprocess.run(init, check=True, capture_output=True, cwd=folder, **who)  # type: ignore[call-overload]  # who
    words = [binaries / "postgres", "-D", cluster, "-h", "127.0.0.1", "-p", str(port), "-k", folder, "-F"]
    with log.open("wb") as out:
        server = subprocess.Popen(words, stdout=out, stderr=out, cwd=folder, **who)  # type: ignore[call-overload]  # who
    url = f"postgresql+psycopg://farm@127.0.0.1:{port}/postgres"
    try:
        _wait(url, server, log)
        yield url
    finally:
        server.terminate()
        server.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def fresh_postgres(postgres_url: str) -> str:
    """An empty database on that server."""
    engine = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("DROP DATABASE IF EXISTS farm WITH (FORCE)"))
        connection.execute(text("CREATE DATABASE farm"))
    engine.dispose()
    return postgres_url.rsplit("/", 1)[0] + "/farm"
