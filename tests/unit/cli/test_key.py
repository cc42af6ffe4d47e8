"""``farm key``, and what a person reads whose farm of several machines has no key."""

import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from farm import processes
from farm.local.redis import EmbeddedRedis
from farm.settings import Settings
from farm.signing import Signer
from farm.supervision import Supervisor
from tests.unit.cli.conftest import Run, the_line


def test_a_key_is_made_once(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "home" / "farm.key"
    first = run("key").stdout
    assert first.startswith("key ")
    assert first.endswith(f": {path} made; copy it to all hosts of the farm, for its user only (mode 600)\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = path.read_text()
    name = Signer.load(path).name
    assert run("key").stdout == f"key {name}: {path} is there already\n"
    assert path.read_text() == content
    for words in (("key",), ("config",), ("doctor",)):
        assert content.strip()[:12] not in run(*words).stdout
    assert f"ok   key: {path} holds key {name}" in run("doctor").stdout


def test_other_programs_make_one_too(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "shared.key"
    path.touch(mode=0o600)
    subprocess.run(f"head -c 32 /dev/urandom | base64 > {path}", shell=True, check=True)
    assert "is there already" in run("key", FARM_KEY_FILE=str(path)).stdout


@pytest.mark.parametrize("content", [b"", b"rubbish\n"])
def test_a_file_that_holds_none_is_left_alone(run: Run, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    path.chmod(0o600)
    assert the_line(run("key", code=2, FARM_KEY_FILE=str(path))).startswith(
        f"error: the key file {path} holds no key: "
    )
    assert path.read_bytes() == content


@pytest.fixture
def shared(tmp_path: Path, redis_server: Path) -> Iterator[str]:
    """The address of a Redis that answers."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(redis_server), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    server = processes.start(command, tmp_path / "redis.log")
    until = time.monotonic() + 15
    with redis.Redis(port=port) as client:
        while True:
            try:
                client.ping()
            except redis.ConnectionError:
                assert time.monotonic() < until
                time.sleep(0.05)
            else:
                break
    yield f"redis://127.0.0.1:{port}/0"
    processes.stop([server], grace=5)


@pytest.mark.parametrize("words", [("worker",), ("coordinator",), ("up",), ("submit", "a.mp4")])
def test_without_a_key_nothing_of_a_farm_of_several_machines_starts(
    run: Run, tmp_path: Path, shared: str, words: tuple[str, ...]
) -> None:
    (tmp_path / "a.mp4").write_bytes(b"")
    line = the_line(run(*words, code=2, FARM_BROKER_URL=shared))
    path = tmp_path / "home" / "farm.key"
    assert line == (
        f"error: there is no key file {path}, which signs the farm's messages "
        "(make one with `farm key`; all hosts of a farm need a copy of the same file)"
    )
    assert not path.exists()
    assert f"BAD  key: there is no key file {path}" in run("doctor", code=1, FARM_BROKER_URL=shared).stdout


def test_a_farm_on_one_machine_makes_its_key_and_keeps_it(tmp_path: Path, redis_server: Path) -> None:
    settings = Settings(home=tmp_path / "home")
    keys = []
    for _ in range(2):
        server = EmbeddedRedis(settings, Supervisor(print))
        server.start()
        server.stop()
        keys.append(settings.key_path.read_text())
    assert keys[0] == keys[1]
    assert stat.S_IMODE(settings.key_path.stat().st_mode) == 0o600
