"""Real servers for the tests: PostgreSQL from the machine's own binaries. And clips on their way to an output."""

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from tests.integration.trips import CLIPS, Rendered, Trip, rendered, start


def _binaries() -> Path | None:
    """The folder of ``initdb`` and ``postgres``."""
    for found in (shutil.which("initdb"), *sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)):
        if found:
            return Path(found).resolve().parent
    return None


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL server of the tests' own, on loopback. Skips where its binaries are not installed."""
    binaries = _binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server here: install postgresql")
    folder = tmp_path_factory.mktemp("postgres")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    who: dict[str, object] = {}
    if os.getuid() == 0:  # the server refuses to run as root
        try:
            user = pwd.getpwnam("postgres")
        except KeyError:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        os.chown(folder, user.pw_uid, user.pw_gid)
        for parent in folder.parents:
            if parent.owner() == "root" and parent.is_relative_to(tmp_path_factory.getbasetemp().parent.parent):
                parent.chmod(parent.stat().st_mode | 0o055)
        who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    cluster = folder / "cluster"
    subprocess.run(
        [binaries / "initdb", "-D", cluster, "-U", "farm", "-A", "trust", "--no-sync"],
        check=True, capture_output=True, cwd=folder, **who,  # type: ignore[call-overload]  # who to run as
    )  # fmt: skip
    words = ["-D", cluster, "-w", "-l", folder / "log", "-o", f"-h 127.0.0.1 -p {port} -k {folder} -F"]
    subprocess.run([binaries / "pg_ctl", *words, "start"], check=True, capture_output=True, cwd=folder, **who)  # type: ignore[call-overload]
    yield f"postgresql+psycopg://farm@127.0.0.1:{port}/postgres"
    stop = ["-D", cluster, "-m", "immediate", "stop"]
    subprocess.run([binaries / "pg_ctl", *stop], check=True, capture_output=True, cwd=folder, **who)  # type: ignore[call-overload]


@pytest.fixture
def fresh_postgres(postgres_url: str) -> str:
    """An empty database on that server."""
    engine = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text("DROP DATABASE IF EXISTS farm WITH (FORCE)"))
        connection.execute(text("CREATE DATABASE farm"))
    engine.dispose()
    return postgres_url.rsplit("/", 1)[0] + "/farm"


@pytest.fixture(scope="session")
def render(tmp_path_factory: pytest.TempPathFactory) -> Rendered:
    """``render(name, *ffmpeg arguments)``: a clip, made once. Read only."""
    folder = tmp_path_factory.mktemp("clips")
    return lambda name, *arguments: rendered(folder / name, *arguments)


@pytest.fixture(scope="session")
def trip(render: Rendered, tmp_path_factory: pytest.TempPathFactory) -> Trip:
    """A composed, good output; tests change a copy of it or of what it is compared with."""
    made = start(render("cfr.mp4", *CLIPS["cfr.mp4"]), tmp_path_factory.mktemp("trip"))
    made.compose()
    made.verify()
    return made
