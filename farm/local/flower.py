"""Flower, a read-only view of the farm's broker. ``farm up`` starts it as ``python -m farm.local.flower``."""

import errno
import logging
import socket
import sys
from collections.abc import Collection
from typing import Any

from farm.errors import SettingsError
from farm.processes import end_with_input
from farm.settings import Settings, load_settings

_PORTS = 100
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
#: The columns of the table of tasks.
COLUMNS = "name,kwargs,worker,state,received,started,runtime,uuid"


def free_port(settings: Settings) -> int:
    """The port for Flower: the configured one, else the next one that is free.

    Raises SettingsError where the address or the port cannot be used.
    """
    for port in range(settings.flower_port, min(settings.flower_port + _PORTS, 65536)):
        try:
            _listen(settings.flower_address, port)
        except OSError as e:
            if e.errno != errno.EADDRINUSE:
                raise SettingsError(
                    f"Flower cannot listen on {settings.flower_address}:{port}: {e.strerror}",
                    hint="correct FARM_FLOWER_ADDRESS or FARM_FLOWER_PORT, or use --no-flower",
                ) from e
        else:
            return port
    raise SettingsError(f"no port is free for Flower from {settings.flower_port} on", hint="set FARM_FLOWER_PORT")


def _listen(address: str, port: int) -> None:
    """Listen for a moment where Flower would. Raises OSError."""
    for family, kind, protocol, _, where in socket.getaddrinfo(address, port, type=socket.SOCK_STREAM):
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            probe.bind(where)
            probe.listen()


def arguments(settings: Settings, port: int) -> list[str]:
    """Flower's command line: read-only, bound to the configured address, with basic auth if it is set.

    Raises SettingsError for an address other than loopback without basic auth.
    """
    if not settings.flower_basic_auth and settings.flower_address not in _LOOPBACK:
        raise SettingsError(
            f"Flower on {settings.flower_address} would be accessible without a password",
            hint="set FARM_FLOWER_BASIC_AUTH=user:password",
        )
    words = [
        "flower",
        f"--address={settings.flower_address}",
        f"--port={port}",
        f"--tasks_columns={COLUMNS}",
        "--read_only=True",
        "--persistent=False",
        "--inspect_timeout=3000",
    ]
    if settings.flower_basic_auth:
        words.append(f"--basic_auth={settings.flower_basic_auth}")
    return words


def host_names(settings: Settings) -> set[str]:
    """The names that Flower answers to: of this machine itself, and the configured ones."""
    given = (settings.flower_address, *settings.flower_hosts.split(","))
    return {*_LOOPBACK, *(name.strip().strip("[]").lower() for name in given)} - {""}


def answer_only(names: Collection[str]) -> None:
    """Have Flower refuse requests for a host of another name.

    A web page could give its own name this machine's address, and read Flower's pages as its own (DNS rebinding).
    """
    from flower.app import Flower  # noqa: PLC0415 - as in main
    from tornado.web import RequestHandler  # noqa: PLC0415 - as in main

    class Refusal(RequestHandler):
        def prepare(self) -> None:
            self.set_status(403)
            self.set_header("Content-Type", "text/plain")
            self.finish("Flower does not answer to this host name. FARM_FLOWER_HOSTS lists its names.\n")

    find = Flower.find_handler

    def find_handler(flower: Any, request: Any, **more: Any) -> Any:  # noqa: ANN401 - Tornado's own
        if request.host_name.strip("[]") in names:
            return find(flower, request, **more)
        return flower.get_handler_delegate(request, Refusal)

    Flower.find_handler = find_handler


def main() -> int:
    """Run Flower until it is stopped. Its port: the first argument, else the configured one."""
    from farm.broker import celery_app  # noqa: PLC0415 - the process that supervises Flower needs no Celery

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    end_with_input()
    settings = load_settings(database_url=None)  # it has no use for the database
    port = int(sys.argv[1]) if len(sys.argv) > 1 else settings.flower_port
    answer_only(host_names(settings))
    celery_app(settings).start(arguments(settings, port))
    return 0


if __name__ == "__main__":
    sys.exit(main())
