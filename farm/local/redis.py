"""The embedded Redis: a ``redis-server`` child process on a unix socket that only its user can reach."""

import os
import stat
import subprocess
import time
from pathlib import Path

import redis

from farm import processes
from farm.broker import redis_client
from farm.errors import BrokerError
from farm.executables import find_redis_server
from farm.settings import Settings

_START_SECONDS = 15.0


class EmbeddedRedis:
    """Starts Redis, or takes over the one that an earlier, killed farm left on the same socket."""

    def __init__(self, settings: Settings) -> None:
        self.socket = settings.redis_socket
        self.log = settings.home / "logs" / "redis.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._client = redis_client(settings)
        self._named = settings.redis_server

    def start(self) -> None:
        """Start Redis and wait until it answers. Raises BrokerError, SettingsError."""
        self._own_folder()
        if self._answers():
            return
        binary = find_redis_server(self._named).path
        self.socket.unlink(missing_ok=True)
        # Redis may be emptied at any moment, so nothing is written to disk
        self._process = processes.start(
            [str(binary), "--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700",
             "--dir", str(self.socket.parent), "--save", "", "--appendonly", "no", "--daemonize", "no",
             "--maxmemory-policy", "noeviction"],
            self.log,
        )  # fmt: skip
        self._wait(binary)

    def _wait(self, binary: Path) -> None:
        until = time.monotonic() + _START_SECONDS
        while not self._answers():
            ended = self._process is not None and self._process.poll() is not None
            if ended or time.monotonic() > until:
                said = processes.tail(self.log, 1)
                raise BrokerError(f"the embedded Redis ({binary}) did not start: {said}", hint=f"see {self.log}")
            time.sleep(0.02)

    def _own_folder(self) -> None:
        folder = self.socket.parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = folder.lstat()
        if stat.S_ISLNK(found.st_mode) or found.st_uid != os.getuid():
            raise BrokerError(
                f"{folder} is a link or belongs to somebody else", hint="remove it, or choose another FARM_HOME"
            )
        if stat.S_IMODE(found.st_mode) != 0o700:
            folder.chmod(0o700)

    def _answers(self) -> bool:
        try:
            return bool(self._client.ping())
        except redis.RedisError:
            return False

    def stop(self) -> None:
        """Stop Redis, also one that was taken over."""
        if self._process is None:
            try:
                self._client.shutdown(nosave=True)
            except redis.RedisError:
                pass  # Redis closes the connection instead of answering
        else:
            processes.stop([self._process], grace=5)
        self._client.close()
