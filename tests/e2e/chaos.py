"""Random faults from a seed: processes of a running ``farm up`` are killed or stopped for a while, Redis is emptied."""

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import redis

from farm.settings import load_settings
from tests.e2e.conftest import Farm

SECONDS = 60.0
_PAUSE = (1.0, 6.0)
_STOPPED = (5.0, 40.0)


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens ``at`` which second. ``stopped``: for so long, by SIGSTOP; None: killed. ``choice``: of 0 to 1."""

    at: float
    kind: str
    stopped: float | None
    choice: float

    def __str__(self) -> str:
        what = "emptied" if self.kind == "flushall" else f"stopped {self.stopped:.1f} s" if self.stopped else "killed"
        return f"{self.at:5.1f} s: {self.kind} {what}"


def faults(seed: int, kinds: list[str]) -> Iterator[Fault]:
    """The faults of a seed, in order; none lasts longer than :data:`SECONDS` from the beginning."""
    dice = random.Random(seed)
    at = 0.0
    while True:
        at += dice.uniform(*_PAUSE)
        kind, stops, lasts, choice = dice.choice(kinds), dice.random() < 0.5, dice.random(), dice.random()
        if at >= SECONDS:
            return
        longest = min(_STOPPED[1], SECONDS - at)
        stopped = None
        if stops and kind != "flushall" and longest >= _STOPPED[0]:
            stopped = _STOPPED[0] + lasts * (longest - _STOPPED[0])
        yield Fault(at, kind, stopped, choice)


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return []


def _runs_module(words: list[str], module: str) -> bool:
    return any(words[at : at + 2] == ["-m", module] for at in range(len(words)))


#: What finds the processes of a kind by their command lines.
VICTIMS: dict[str, Callable[[list[str]], bool]] = {
    "child": lambda words: any("billiard.spawn" in word and "spawn_main" in word for word in words),
    "worker": lambda words: _runs_module(words, "workers.process"),
    "redis": lambda words: bool(words) and "valkey-server" in words[0],
    "coordinator": lambda words: _runs_module(words, "farm.local.coordinator"),
}
#: ``supervisor``: the process of ``farm up``; ``farm``: it and all that it started. Killed, it is started again.
KINDS = [*VICTIMS, "supervisor", "farm", "flushall"]


class StubbornFarm(Farm):
    """A farm whose ``farm up`` is killed and started again: ``main`` is the one that runs now."""

    def __init__(self, home: Path, weights: Path) -> None:
        super().__init__(home, weights)
        self.output = home.with_name(f"{home.name}.output")
        self.main: subprocess.Popen[str]

    def start(self) -> None:
        """Start ``farm up``."""
        with self.output.open("a") as out:
            self.main = subprocess.Popen(
                [sys.executable, "-m", "farm", "up", "--no-flower"],
                env=self.env, stdin=subprocess.DEVNULL, stdout=out, stderr=out, text=True, start_new_session=True,
            )  # fmt: skip
        self._spawned = [self.main]

    def processes(self) -> list[psutil.Process]:
        """All processes of this home, whoever their parent is by now, but not this test's own commands."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("FARM_HOME") == str(self.home) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:  # another user's, or it has just ended
                pass
        return found


@dataclass(slots=True)
class Storm:
    """The faults of one seed in one farm. ``said``: what happened and when, a line each."""

    farm: StubbornFarm
    seed: int
    kinds: list[str]
    said: list[str] = field(default_factory=list)
    _asleep: list[tuple[float, psutil.Process]] = field(default_factory=list)
    _began: float = 0.0

    def blow(self) -> None:
        """Let all faults happen; at the end nothing is stopped any more, and ``farm up`` runs."""
        self._began = time.monotonic()
        for fault in faults(self.seed, self.kinds):
            self._wait_until(fault.at)
            self._say(f"{fault}{self._happen(fault)}")
        self._wait_until(SECONDS)
        assert not self._asleep

    def _say(self, text: str) -> None:
        self.said.append(text)
        print(text, flush=True)

    def _wait_until(self, second: float) -> None:
        while (now := time.monotonic() - self._began) < second or any(at <= now for at, _ in self._asleep):
            for due in [(at, process) for at, process in self._asleep if at <= now]:
                self._asleep.remove(due)
                self._wake(due[1])
            self._check_up()
            time.sleep(0.05)

    def _wake(self, process: psutil.Process) -> None:
        try:
            process.resume()
        except psutil.NoSuchProcess:
            pass  # killed while it was stopped

    def _check_up(self) -> None:
        code = self.farm.main.poll()
        assert code is None, f"farm up ended by itself ({code}): {self.farm.output.read_text()}"

    def _happen(self, fault: Fault) -> str:
        """Returns what it hit, in words."""
        if fault.kind == "flushall":
            return self._flush()
        main, *others = self._family()
        if fault.kind in VICTIMS:
            found = [process for process in others if VICTIMS[fault.kind](_words(process))]
            victims = [found[int(fault.choice * len(found))]] if found else []
        else:
            victims = [main, *others] if fault.kind == "farm" else [main]
        for victim in victims:
            self._hit(victim, fault)
        pids = f" (pid {', '.join(str(victim.pid) for victim in victims) or 'none'})"
        if main in victims and fault.stopped is None:
            self.farm.main.wait()
            self.farm.start()
            return f"{pids}, started again"
        return pids

    def _family(self) -> list[psutil.Process]:
        main = psutil.Process(self.farm.main.pid)
        return [main, *sorted(main.children(recursive=True), key=lambda process: process.pid)]

    def _hit(self, victim: psutil.Process, fault: Fault) -> None:
        try:
            if fault.stopped is None:
                victim.kill()
            else:
                victim.suspend()
                self._asleep.append((fault.at + fault.stopped, victim))
        except psutil.NoSuchProcess:
            pass  # ended at the same moment

    def _flush(self) -> str:
        socket = str(load_settings(home=self.farm.home).redis_socket)
        try:
            with redis.Redis(unix_socket_path=socket, socket_timeout=0.5) as client:
                client.flushall()
        except redis.RedisError as e:
            return f": {e}"  # it is killed or stopped
        return ""
