"""Run damaged files through the farm, with a limit on time and memory per file, in processes that may crash."""

import json
import queue
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import PROJECT
from tests.matrix.clips import Kitchen
from tests.matrix.foreign import foreign, way
from tests.matrix.mutations import FILES, damaged, mutation

SECONDS = 60.0
_START_SECONDS = 60.0


@dataclass(frozen=True)
class Ending:
    """How one mutation ended: ``verified`` or ``refused``, which are correct; otherwise ``hang``, ``crash``,
    ``exception`` or ``wrong`` (an output that the checker rejects). ``said``: the error line, or what was wrong.
    """

    number: int
    name: str
    kind: str
    how: str
    said: str
    seconds: float

    @property
    def allowed(self) -> bool:
        return self.how in {"verified", "refused"}


class Victim:
    """A process that handles damaged files; it is restarted after a crash."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str | None] = queue.Queue()

    def take(self, source: Path, folder: Path, way: str = "plain") -> tuple[str, str]:
        """Process one file in one of :data:`tests.matrix.foreign.WAYS`; return how it ended, and the message."""
        process = self._running()
        assert process.stdin
        try:
            process.stdin.write(json.dumps({"source": str(source), "folder": str(folder), "way": way}) + "\n")
            process.stdin.flush()
            ended, said = json.loads(self._answer("hang"))
            wrong = json.loads(self._answer("hang of the checker"))
        except _Gone as gone:
            self.end()
            return gone.how, f"status {process.returncode}"
        if ended == "output":
            return ("wrong", " | ".join(wrong)) if wrong else ("verified", said)
        return ("wrong", " | ".join(wrong)) if wrong else (ended, said)

    def _answer(self, late: str) -> str:
        try:
            line = self._answers.get(timeout=SECONDS)
        except queue.Empty:
            raise _Gone(late) from None
        if line is None:
            raise _Gone("crash")
        return line

    def _running(self) -> "subprocess.Popen[str]":
        if self._process is None:
            self._answers = queue.Queue()
            command = [sys.executable, "-m", "tests.matrix.victim"]
            self._process = subprocess.Popen(
                command,
                cwd=PROJECT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            threading.Thread(target=_listen, args=(self._process, self._answers), daemon=True).start()
        return self._process

    def end(self) -> None:
        """Kill the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe:
                    pipe.close()
            self._process = None


class _Gone(Exception):
    """The process will send no answer."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


def _listen(process: "subprocess.Popen[str]", answers: "queue.Queue[str | None]") -> None:
    assert process.stdout
    for line in process.stdout:
        answers.put(line)
    answers.put(None)


def hunt(
    kitchen: Kitchen, folder: Path, seed: int, numbers: Iterable[int], processes: int = 2, *, rare: bool = False
) -> list[Ending]:
    """Run the mutations ``numbers``. Files that ended incorrectly stay in ``folder``, named by seed and number.

    ``rare``: of the files of :mod:`tests.matrix.foreign` as well, in all ways of submitting them.
    """
    sound = {name: kitchen.clip(name, recipe).read_bytes() for name, recipe in FILES.items()}
    if rare:
        sound |= foreign(kitchen, sound)
    idle: queue.Queue[Victim] = queue.Queue()
    victims = [Victim() for _ in range(processes)]
    for victim in victims:
        idle.put(victim)

    def one(number: int) -> Ending:
        name, kind, chance = mutation(seed, number, tuple(sound))
        source = folder / f"{seed}-{number}-{name}"
        source.write_bytes(damaged(sound[name], kind, chance))
        victim, began = idle.get(), time.monotonic()
        work = folder / f"work{number}"
        work.mkdir()
        try:
            how, said = victim.take(source, work, way(chance) if rare else "plain")
        finally:
            idle.put(victim)
        subprocess.run(["rm", "-rf", str(work)], check=True)
        ending = Ending(number, name, kind, how, said.replace(str(folder), ""), time.monotonic() - began)
        if ending.allowed:
            source.unlink()
        return ending

    try:
        with ThreadPoolExecutor(processes) as pool:
            return list(pool.map(one, numbers))
    finally:
        for victim in victims:
            victim.end()


def summary(endings: Iterable[Ending]) -> str:
    """Return the counts by file and ending as Markdown, and a line for each mutation that ended incorrectly."""
    found = list(endings)
    hows = sorted({e.how for e in found})
    lines = [f"| file | {' | '.join(hows)} |", "|---" * (len(hows) + 1) + "|"]
    for name in sorted({e.name for e in found}):
        counts = Counter(e.how for e in found if e.name == name)
        lines.append(f"| {name} | {' | '.join(str(counts[how]) for how in hows)} |")
    wrong = [f"{e.number} {e.name} {e.kind}: {e.how}: {e.said}" for e in found if not e.allowed]
    return "\n".join([*lines, "", *wrong])
