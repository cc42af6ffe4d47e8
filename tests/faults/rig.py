"""The farm under test: its processes, found by their command lines, and its Redis and store.

``embedded``: ``farm up``. ``networked``: a Redis, ``farm coordinator`` and ``farm worker``, each of which reaches Redis
through a proxy of its own; what is killed is started again, as an init system does.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import redis

from farm.errors import BrokerError
from farm.executables import find_ffmpeg
from farm.liveness import last_sign
from farm.settings import load_settings
from farm.signing import make_key
from tests.faults.proxy import Proxy
from tests.faults.reference import rows
from tests.processes import works
from tests.programs import program

#: Times of the farm, in seconds, so that what is lost is missed within a short test.
_QUICK = {"lease": 8, "progress": 0.5, "stall": 8, "heartbeat": 0.5, "worker_silence": 4, "queue": 12}

#: What finds the processes of a kind, but for the farm's own, by their command lines.
_FOUND: dict[str, Callable[[list[str]], bool]] = {
    "worker": lambda words: "workers.process" in words,
    "redis": lambda words: "valkey-server" in words[0],
    "coordinator": lambda words: "farm.local.coordinator" in words or "coordinator" in words[-1:],
    "ffmpeg": lambda words: "ffmpeg" in Path(words[0]).name and "-i" in words,
}


def _is(kind: str, process: psutil.Process) -> bool:
    """Whether a process is of a kind."""
    words = words_of(process)
    if not words:
        return False
    with contextlib.suppress(psutil.Error):
        return works(process) if kind == "child" else _FOUND[kind](words) and not works(process)
    return False


class Rig:
    """One farm. ``env``: of its processes; ``code``: the folder of its packages, if it is not the project's."""

    def __init__(
        self,
        kind: str,
        folder: Path,
        weights: Path,
        redis_server: Path,
        clock: dict[str, str],
        code: Path | None = None,
    ) -> None:
        self.kind, self.folder, self.home, self.store = kind, folder, folder / "home", folder / "store"
        self.console = folder / "console.txt"
        self.proxies: list[Proxy] = []
        self._server, self._clock, self._code = redis_server, clock, code
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._lock = threading.Lock()
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("FARM_")},
            **{f"FARM_{name.upper()}_SECONDS": str(value) for name, value in _QUICK.items()},
            "FARM_HOME": str(self.home), "FARM_STORE_DIR": str(self.store), "FARM_MODELS_DIR": str(weights),
            "FARM_DEVICES": "cpu:2",
        }  # fmt: skip
        if code is not None:
            self.env["PYTHONPATH"] = str(code)
        self._port = 0
        if kind == "networked":
            with socket.create_server(("127.0.0.1", 0)) as probe:
                self._port = probe.getsockname()[1]
            self.env["FARM_KEY_FILE"] = str(folder / "shared.key")
            make_key(folder / "shared.key")

    def lie_once(self) -> None:
        """Give the workers an ffmpeg that damages what it wrote, the first time that it composes, and returns 0."""
        body = f"""\
real={find_ffmpeg().path}
"$real" "$@" || exit
case "$*" in *-i*) ;; *) exit 0 ;; esac
mkdir {self.folder}/lied 2>/dev/null || exit 0
for last in "$@"; do :; done
last=${{last#file:}}
at=$(($(stat -c %s "$last") / 3))
head -c 2048 /dev/urandom | dd of="$last" bs=1 seek=$at conv=notrunc status=none"""
        self.env["FARM_FFMPEG"] = str(program(self.folder, "lying-ffmpeg", body))

    def client(self) -> redis.Redis:
        """A client of the Redis itself, not through a proxy."""
        if self._port:
            return redis.Redis(port=self._port, socket_timeout=1)
        return redis.Redis(unix_socket_path=str(load_settings(home=self.home).redis_socket), socket_timeout=1)

    def start(self) -> None:
        """Start all that does not run."""
        with self._lock:
            if self.kind == "embedded":
                self._keep("up", [sys.executable, "-m", "farm", "up", "--no-flower"], {})
                return
            self.folder.joinpath("redis").mkdir(exist_ok=True)
            server = [str(self._server), "--port", str(self._port), "--bind", "127.0.0.1", "--save", "",
                      "--dir", str(self.folder / "redis"), "--maxmemory-policy", "noeviction"]  # fmt: skip
            fresh = self._keep("redis", server, {})
            while fresh and not self._answers():
                time.sleep(0.02)
            if not self.proxies:
                self.proxies = [Proxy(self._port), Proxy(self._port)]
                self.env["FARM_BROKER_URL"] = self.proxies[0].url
            self._keep("coordinator", [sys.executable, "-m", "farm", "coordinator"], {})
            workers = {"FARM_BROKER_URL": self.proxies[1].url, **self._clock}
            self._keep("workers", [sys.executable, "-m", "farm", "worker"], workers)

    def _keep(self, name: str, command: list[str], env: dict[str, str]) -> bool:
        """Whether it was started now."""
        before = self._running.get(name)
        if before is not None and before.poll() is None:
            return False
        # as the systemd unit that we print does: a Redis that is away at the start is no reason to give up
        again = before is None or before.returncode < 0 or before.returncode == BrokerError.exit_code
        assert again, f"{name} ended by itself ({before and before.returncode}): {self.said()}"
        with self.console.open("ab") as out:
            self._running[name] = subprocess.Popen(
                command,
                cwd=self._code,
                env=self.env | env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        return True

    def _answers(self) -> bool:
        if self._running["redis"].poll() is not None:
            return True  # killed again: it is started again the next time
        with contextlib.suppress(redis.RedisError), self.client() as client:
            return bool(client.ping())
        return self._is_stopped()

    def _is_stopped(self) -> bool:
        return psutil.Process(self._running["redis"].pid).status() == psutil.STATUS_STOPPED

    def said(self) -> str:
        """What the farm printed."""
        return self.console.read_text(errors="replace")

    def run(self, *words: str, timeout: float = 150) -> subprocess.CompletedProcess[str]:
        """Run ``farm`` to its end; what it prints holds no traceback."""
        done = subprocess.run(
            [sys.executable, "-m", "farm", *words], cwd=self._code, env=self.env, capture_output=True, text=True,
            timeout=timeout, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stdout + done.stderr, done.stdout + done.stderr
        return done

    def processes(self) -> list[psutil.Process]:
        """All processes of this home, whoever their parent is."""
        found = {process.pid: process for process in self._family()}
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.environ().get("FARM_HOME") == str(self.home):
                    found[process.pid] = process
        return [found[pid] for pid in sorted(found) if not _has_ended(found[pid])]

    def _family(self) -> list[psutil.Process]:
        """What this started, and what that started: a Redis writes its title over its environment."""
        found = []
        for started in list(self._running.values()):
            with contextlib.suppress(psutil.Error):
                if started.poll() is None:
                    process = psutil.Process(started.pid)
                    found += [process, *process.children(recursive=True)]
        return found

    def victims(self, kind: str, choice: float) -> list[psutil.Process]:
        """The processes that a fault hits: one of the kind, or all of the farm."""
        with self._lock:
            known = {name: process.pid for name, process in self._running.items() if process.poll() is None}
        if kind == "up":
            return [psutil.Process(known["up"])] if "up" in known else []
        everyone = [process for process in self.processes() if not _is_command(process)]
        if kind == "farm":
            return everyone
        found = [process for process in everyone if _is(kind, process)]
        return [found[int(choice * len(found))]] if found else []

    def reap(self, pids: set[int]) -> None:
        """Wait for the end of those of these killed processes that this started."""
        for process in self._running.values():
            if process.pid in pids:
                process.wait(10)

    def workers(self) -> int:
        """How many workers are alive, as the coordinator sees it."""
        return len(rows(self.home, "SELECT name FROM workers WHERE alive"))

    def child_of(self, worker: str) -> psutil.Process | None:
        """The process that does the work of a worker, ``device@host``."""
        for row in rows(self.home, "SELECT pid FROM workers WHERE name = ?", worker):
            with contextlib.suppress(psutil.Error):
                for process in psutil.Process(row["pid"]).children():
                    if _is("child", process):
                        return process
        return None

    def family_of(self, worker: str) -> list[psutil.Process]:
        """The process of a worker, and all that it started."""
        with contextlib.suppress(psutil.Error):
            for row in rows(self.home, "SELECT pid FROM workers WHERE name = ?", worker):
                parent = psutil.Process(row["pid"])
                return [parent, *parent.children(recursive=True)]
        return []

    def at_work(self) -> dict[int, str]:
        """The children that have begun with the frames of an order, and its token, as they show it themselves."""
        signs = {path: last_sign(path) for path in (self.home / "run").glob("worker-*.life")}
        return {
            int(path.name.split(".")[-2]): sign.token
            for path, sign in signs.items()
            if sign is not None and sign.token and sign.frames is not None
        }

    def stop(self) -> None:
        """Stop the farm as a person does: it ends in order, and nothing of it is left."""
        order = [name for name in ("workers", "coordinator", "up", "redis") if name in self._running]
        for name in order:
            self._running[name].send_signal(signal.SIGTERM)
            code = self._running[name].wait(40)
            assert code == 0, f"{name} ended with {code}: {self.said()[-3000:]}"
        left = psutil.wait_procs(self.processes(), timeout=5)[1]
        assert left == [], f"left over: {[words_of(process) for process in left]}"

    def close(self) -> None:
        """Kill what still runs."""
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()
        for started in self._running.values():
            with contextlib.suppress(ProcessLookupError):
                started.kill()
            started.wait(10)
        for proxy in self.proxies:
            proxy.close()


def _has_ended(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.status() == psutil.STATUS_ZOMBIE
    return True


def _is_command(process: psutil.Process) -> bool:
    """Whether a process is a command of the test, as ``farm submit``, or was started by one to ask for abilities."""
    words = words_of(process)
    return any(word in ("submit", "retry", "status", "--abilities") for word in words)


def words_of(process: psutil.Process) -> list[str]:
    """A process's command line; empty if it has ended."""
    try:
        return process.cmdline()
    except psutil.Error:
        return []
