"""The embedded Redis: a server as a child process, on a unix socket that only its user can reach."""

import contextlib
import logging
import os
import socket
import stat
import time

from farm import processes
from farm.errors import BrokerError
from farm.executables import find_redis_server
from farm.settings import Settings
from farm.signing import own_key
from farm.supervision import Child, Supervisor

log = logging.getLogger(__name__)

_START_SECONDS = 15.0
_ANSWER_SECONDS = 2.0
_HANGS_SECONDS = 10.0


class EmbeddedRedis:
    """One child of ``supervisor``, which keeps it running and starts it again when it hangs."""

    def __init__(self, settings: Settings, supervisor: Supervisor) -> None:
        self.socket = settings.redis_socket
        self.log = settings.home / "logs" / "redis.log"
        self._supervisor = supervisor
        self._named = settings.redis_server
        self._own_key = None if settings.key_file else settings.key_path  # a file that a person named is left alone

    def start(self) -> None:
        """Make the key that signs what passes through Redis, start Redis and wait until it answers.

        Raises BrokerError, SettingsError.
        """
        binary = find_redis_server(self._named).path
        if self._own_key is not None and (told := own_key(self._own_key)) is not None:
            log.warning("%s", told)
        child = Child("redis", self._command, self.log, role="redis", answers=self._answers, patience=_HANGS_SECONDS)
        self._supervisor.add(child)
        until = time.monotonic() + _START_SECONDS
        while not self._answers():
            if not self._supervisor.pids("redis") or time.monotonic() > until:
                said = processes.tail(self.log, 1)
                self.stop()
                raise BrokerError(f"the embedded Redis ({binary}) did not start: {said}", hint=f"see {self.log}")
            time.sleep(0.02)

    def _command(self) -> list[str]:
        self._own_folder()
        self._end_other()
        binary = find_redis_server(self._named).path
        self.socket.unlink(missing_ok=True)
        # Redis may be emptied at any moment, so nothing is written to disk
        return [
            str(binary), "--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700",
            "--dir", str(self.socket.parent), "--save", "", "--appendonly", "no", "--daemonize", "no",
            "--maxmemory-policy", "noeviction",
        ]  # fmt: skip

    def _own_folder(self) -> None:
        folder = self.socket.parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = folder.lstat()
        if stat.S_ISLNK(found.st_mode) or found.st_uid != os.getuid():
            raise BrokerError(
                f"{folder} is a link or belongs to another user", hint="remove it, or choose another FARM_HOME"
            )
        if stat.S_IMODE(found.st_mode) != 0o700:
            folder.chmod(0o700)

    def _end_other(self) -> None:
        """End the Redis that a killed farm left on the socket: this process could not watch it."""
        self._ask(b"SHUTDOWN NOSAVE")  # it closes the connection instead of answering

    def _answers(self) -> bool:
        return self._ask(b"PING") == b"+PONG\r\n"

    def _ask(self, command: bytes) -> bytes:
        """The beginning of the answer to a command, empty without one. Redis's client would take 0.1 s to import."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_ANSWER_SECONDS)
            connection.connect(str(self.socket))
            connection.sendall(command + b"\r\n")
            return connection.recv(64)
        return b""

    def stop(self) -> None:
        """Stop Redis."""
        self._supervisor.stop({"redis"}, grace=5)
