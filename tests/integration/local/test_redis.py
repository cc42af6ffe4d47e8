"""The farm's own Redis: for its user only, on no network, and never two of them on one socket."""

import contextlib
import os
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis

from farm.broker import redis_client
from farm.errors import BrokerError, SettingsError
from farm.local.redis import EmbeddedRedis
from farm.settings import Settings, load_settings
from farm.supervision import Supervisor
from tests.programs import OLD_REDIS, program

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(tmp_path: Path, redis_server: Path) -> Settings:
    return load_settings(home=tmp_path / "home")


@pytest.fixture
def server(settings: Settings) -> Iterator[EmbeddedRedis]:
    server = EmbeddedRedis(settings, Supervisor(print))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def client(settings: Settings, server: EmbeddedRedis) -> Iterator[redis.Redis]:
    with redis_client(settings) as client:
        yield client


def process(client: redis.Redis) -> psutil.Process:
    return psutil.Process(client.info()["process_id"])


def test_its_folder_and_socket_are_its_users_alone(server: EmbeddedRedis) -> None:
    assert stat.S_IMODE(server.socket.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(server.socket.stat().st_mode) == 0o700
    assert server.socket.is_socket()


def test_a_folder_that_was_open_to_others_is_closed(settings: Settings) -> None:
    settings.redis_socket.parent.mkdir(parents=True, mode=0o777)
    settings.redis_socket.parent.chmod(0o777)
    server = EmbeddedRedis(settings, Supervisor(print))
    server.start()
    server.stop()
    assert stat.S_IMODE(server.socket.parent.stat().st_mode) == 0o700


def test_it_listens_on_no_network(server: EmbeddedRedis, client: redis.Redis) -> None:
    assert client.config_get("port") == {"port": "0"}
    own = process(client)
    assert own.net_connections("inet") == []
    assert {str(c.laddr) for c in own.net_connections("unix")} - {""} == {str(server.socket)}


def test_it_refuses_rather_than_forgets_and_writes_nothing(server: EmbeddedRedis, client: redis.Redis) -> None:
    assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    client.set("a", "b")
    assert [p.name for p in server.socket.parent.iterdir()] == ["redis.sock"]


def test_after_stop_it_is_gone(settings: Settings) -> None:
    server = EmbeddedRedis(settings, Supervisor(print))
    server.start()
    with redis_client(settings) as client:
        own = process(client)
    server.stop()
    assert not own.is_running()


def test_a_redis_that_a_killed_farm_left_is_replaced_by_one_that_is_watched(
    settings: Settings, server: EmbeddedRedis, client: redis.Redis
) -> None:
    left = process(client)
    supervisor = Supervisor(print)
    second = EmbeddedRedis(settings, supervisor)
    second.start()
    psutil.wait_procs([left], timeout=5)
    assert not left.is_running() or left.status() == psutil.STATUS_ZOMBIE
    assert {process(client).pid} == supervisor.pids("redis")
    second.stop()
    with pytest.raises((redis.RedisError, OSError)):
        client.ping()


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGSTOP, marks=pytest.mark.faults)])
def test_a_redis_that_is_killed_or_hangs_is_started_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setattr("farm.local.redis._HANGS_SECONDS", 2.0)
    said: list[str] = []
    supervisor = Supervisor(said.append)
    server = EmbeddedRedis(settings, supervisor)
    server.start()
    (first,) = supervisor.pids("redis")
    os.kill(first, number)
    until = time.monotonic() + 30
    with redis.Redis(unix_socket_path=str(server.socket), socket_timeout=1) as client:
        while True:
            supervisor.watch()
            with contextlib.suppress(redis.RedisError):
                if client.info()["process_id"] != first:
                    break
            assert time.monotonic() < until, said
            time.sleep(0.05)
    assert supervisor.pids("redis") == {process(client).pid}
    why = "was killed (SIGKILL)" if number == signal.SIGKILL else "did not answer for 2 s and was killed"
    assert said == [f"redis {why}; starting it again in 0.5 s"]
    assert not psutil.pid_exists(first)
    server.stop()


def test_a_socket_that_a_killed_redis_left_is_replaced(
    settings: Settings, server: EmbeddedRedis, client: redis.Redis
) -> None:
    own = process(client)
    own.kill()
    own.wait(5)
    assert server.socket.exists()
    second = EmbeddedRedis(settings, Supervisor(print))
    second.start()
    assert client.ping()
    assert process(client) != own
    second.stop()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder to somebody else")
def test_a_folder_of_somebody_else_is_refused(settings: Settings) -> None:
    folder = settings.redis_socket.parent
    folder.mkdir(parents=True, mode=0o700)
    os.chown(folder, 65534, 65534)
    with pytest.raises(BrokerError, match="belongs to another user"):
        EmbeddedRedis(settings, Supervisor(print)).start()
    assert list(folder.iterdir()) == []


def test_a_program_that_is_refused_is_not_started(settings: Settings, tmp_path: Path) -> None:
    old = program(tmp_path, "redis-server", f"echo '{OLD_REDIS}'; touch {tmp_path}/$1")
    with pytest.raises(SettingsError, match=r"Redis 6\.2 or newer is needed"):
        EmbeddedRedis(settings.model_copy(update={"redis_server": old}), Supervisor(print)).start()
    assert {p.name for p in tmp_path.iterdir()} == {"redis-server", "--version"}


def test_a_program_that_fails_is_named_with_its_last_words(settings: Settings, tmp_path: Path) -> None:
    body = '[ "$1" = --version ] && echo Redis server v=7.0.15 || { echo out of luck; exit 1; }'
    named = program(tmp_path, "redis-server", body)
    with pytest.raises(BrokerError, match=r"did not start: out of luck .*redis\.log"):
        EmbeddedRedis(settings.model_copy(update={"redis_server": named}), Supervisor(print)).start()
