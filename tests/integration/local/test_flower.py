"""A real Flower answers to the names that it was given, and to no other one."""

import base64
import http.client
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from farm import processes
from farm.local.flower import host_names
from farm.local.redis import EmbeddedRedis
from farm.settings import Settings
from farm.supervision import Supervisor

pytestmark = pytest.mark.integration
Ask = Callable[..., tuple[int, str]]
AUTH = {"Authorization": f"Basic {base64.b64encode(b'admin:s3cret').decode()}"}


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory, redis_server: object) -> Iterator[Ask]:
    """``ask("host name", path, **headers)``: status and text of Flower's answer."""
    settings = Settings(home=tmp_path_factory.mktemp("flower"))
    server = EmbeddedRedis(settings, Supervisor(print))
    server.start()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    given = {
        "FARM_HOME": str(settings.home),
        "FARM_FLOWER_BASIC_AUTH": "admin:s3cret",
        "FARM_FLOWER_HOSTS": "video.lan, b",
    }
    process = processes.start(processes.module("farm.local.flower", str(port)), settings.home / "flower.log", given)

    def call(host: str, path: str = "/", **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("GET", path, headers={"Host": host, **headers})
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        return answer.status, text

    until = time.monotonic() + 60
    while True:
        try:
            call("localhost")
        except OSError:
            assert time.monotonic() < until, (settings.home / "flower.log").read_text()
            time.sleep(0.1)
        else:
            break
    yield call
    processes.stop([process], grace=10)
    server.stop()


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:5555", "LocalHost", "127.0.0.1:80", "[::1]:5555", "video.lan", "b:1"]
)
def test_names_of_its_own(ask: Ask, host: str) -> None:
    assert ask(host, **AUTH)[0] == 200
    assert ask(host)[0] == 401  # the password is asked for as before


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:5555", "localhost.evil.example", "192.168.0.1", "lan", "", "@localhost"]
)
@pytest.mark.parametrize(
    "path", ["/", "/workers", "/api/workers", "/metrics", "/healthcheck", "/static/js/flower.js", "/x"]
)
def test_names_of_others(ask: Ask, host: str, path: str) -> None:
    status, text = ask(host, path, **AUTH)
    assert status in (400, 403)
    assert "evil" not in text
    assert host in ("", "@localhost") or "FARM_FLOWER_HOSTS" in text


def test_the_broker_is_shown_without_a_password(ask: Ask) -> None:
    assert "s3cret" not in ask("localhost", "/broker", **AUTH)[1]


def test_the_configured_address_is_a_name_of_flower() -> None:
    names = host_names(Settings(flower_address="10.0.0.5", flower_hosts="A.lan,[fe80::1] , "))
    assert names == {"localhost", "127.0.0.1", "::1", "10.0.0.5", "a.lan", "fe80::1"}
