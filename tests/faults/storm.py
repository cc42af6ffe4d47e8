"""Lets the faults of a schedule happen to a farm, and watches what becomes of its jobs."""

import contextlib
import os
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import redis

from tests.faults.disk import damage
from tests.faults.forging import alter
from tests.faults.proxy import ORDERS, OUTCOMES, Mischief
from tests.faults.reference import Reference, rows
from tests.faults.rig import Rig
from tests.faults.schedule import DAMAGE, MESSAGES, MOMENTS, Fault, Schedule

#: A moment that is not reached by then does not count: the jobs are over, or wait for what an earlier fault broke.
_PATIENCE = 30.0
OVER = ("done", "failed", "cancelled")
#: The chunk of the first job that a poison is in.
POISONED = 2
#: Free space that a full disk keeps: not enough for an artefact.
_LEFT = 4096


@dataclass(slots=True)
class Hit:
    """A fault that happened: ``hit`` says to what. ``began`` and ``ended``: seconds from the farm's start."""

    kind: str
    began: float
    ended: float
    hit: str


@dataclass(slots=True)
class Storm:
    """The faults of one schedule in one farm. ``said``: what happened and when, a line each.

    ``hits``: the faults that hit something; ``progress``: when the jobs came further; ``over``: when all were.
    ``damaged``: paths of artefacts.
    """

    rig: Rig
    schedule: Schedule
    said: list[str] = field(default_factory=list)
    hits: list[Hit] = field(default_factory=list)
    progress: list[float] = field(default_factory=list)
    over: float | None = None
    damaged: set[Path] = field(default_factory=set)
    _began: float = field(default_factory=time.monotonic)
    _ends: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    _reached: dict[str, float] = field(default_factory=dict)
    _over: threading.Event = field(default_factory=threading.Event)
    _known: set[str] = field(default_factory=set)
    _threads: list[threading.Thread] = field(default_factory=list)
    _lost: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reached["start"] = 0.0

    @property
    def now(self) -> float:
        """Seconds since the farm began."""
        return time.monotonic() - self._began

    def watch(self) -> None:
        """Begin to note when the jobs reach a moment and when chunks are done, and to poison; :meth:`close` ends it."""
        for work in (self._watch, self._poison) if self.schedule.poison else (self._watch,):
            self._threads.append(threading.Thread(target=self._guarded, args=[work], name="watch", daemon=True))
            self._threads[-1].start()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as e:  # noqa: BLE001 - raised in close
            self._lost.append(e)

    def close(self) -> None:
        """Stop watching. Raises what went wrong there."""
        self._over.set()
        for thread in self._threads:
            thread.join(5)
        if self._lost:
            raise self._lost[0]

    def blow(self) -> None:
        """Let all faults happen; at the end nothing is stopped, full or split any more, and all of the farm runs."""
        for fault in self.schedule.faults:
            if not self._wait_for(fault):
                self._say(f"not reached: {fault}")
                continue
            began = self.now
            hit = self._happen(fault)
            self._say(f"{fault}: {hit or 'nothing there to hit'}")
            if hit:
                self.hits.append(Hit(fault.kind, began, max(self.now, began + (fault.lasts or 0.0)), hit))
        while self._ends:
            self._tend(hurry=self._all_over())
        self._tend()

    def _all_over(self) -> bool:
        statuses = self.statuses()
        return len(statuses) == len(self.schedule.jobs) and all(status in OVER for status in statuses)

    def _say(self, text: str) -> None:
        self.said.append(f"  {self.now:5.2f} s: {text}")

    def statuses(self) -> list[str]:
        """Of all jobs, oldest first."""
        return [row["status"] for row in rows(self.rig.home, "SELECT status FROM jobs ORDER BY created_at")]

    def _watch(self) -> None:
        before: object = None
        while not self._over.wait(0.04):
            statuses = self.statuses()
            done = rows(self.rig.home, "SELECT count(*) AS n FROM chunks WHERE status = 'done'")
            if (now := (statuses, done)) != before:
                before = now
                self.progress.append(self.now)
            if self.over is None and self._all_over():
                self.over = self.now
            for moment in MOMENTS:
                if moment in statuses:
                    self._reached.setdefault(moment, self.now)

    def _poison(self) -> None:
        """What has begun with the frames of the poisoned chunk is killed, or hangs for good."""
        query = (
            "SELECT a.token, a.worker FROM attempts a JOIN chunks c ON c.id = a.chunk_id JOIN jobs j ON j.id = c.job_id"
            " WHERE a.token = ? AND c.stage = 'detect' AND c.\"index\" = ? AND j.output LIKE ?"
        )
        while not self._over.wait(0.005):
            for pid, token in self.rig.at_work().items():
                if token in self._known:
                    continue
                self._known.add(token)
                for row in rows(self.rig.home, query, token, POISONED, f"%/{self.schedule.jobs[0]}.mp4"):
                    began = self.now
                    with contextlib.suppress(psutil.Error):
                        child = psutil.Process(pid)
                        child.kill() if self.schedule.poison == "kills" else child.suspend()
                    self._say(f"chunk {POISONED + 1} {self.schedule.poison} pid {pid} of {row['worker']}")
                    self.hits.append(Hit(f"poison that {self.schedule.poison}", began, began, str(pid)))

    def _wait_for(self, fault: Fault) -> bool:
        """False if the moment does not come."""
        until = self.now + _PATIENCE
        while True:
            self._tend()
            later = [self._reached[m] for m in MOMENTS[MOMENTS.index(fault.moment) :] if m in self._reached]
            if later and self.now >= min(later) + fault.after:
                return True
            if self.now > until or self._all_over():
                return False
            time.sleep(0.01)

    def _tend(self, *, hurry: bool = False) -> None:
        """End what is due, in a ``hurry`` all that lasts, and start again what a fault has killed."""
        for due in [end for end in self._ends if end[0] <= self.now or hurry]:
            self._ends.remove(due)
            due[1]()
        self.rig.start()
        time.sleep(0.02)

    def _later(self, fault: Fault, end: Callable[[], None]) -> None:
        self._ends.append((self.now + (fault.lasts or 0.0), end))

    def _happen(self, fault: Fault) -> str:
        """What it hit, in words; empty if nothing."""
        if fault.kind in MESSAGES:
            return self._meddle(fault)
        if fault.kind in DAMAGE:
            return self._damage(fault)
        verb, _, what = fault.kind.partition(" ")
        if verb in ("kill", "stop", "hang"):
            return self._strike(fault, what)
        return {
            "flushall": self._flush,
            "redis full": self._fill_redis,
            "disk full": self._fill_disk,
            "partition": self._split,
            "long partition": self._split,
        }[fault.kind](fault)

    def _strike(self, fault: Fault, what: str) -> str:
        hangs = fault.kind.startswith("hang")
        until = self.now + (3.0 if what in ("ffmpeg", "host") or hangs else 0.0)  # it lives or works for a moment only
        while not (victims := self._victims(what, fault.choice, busy=hangs)) and self.now < until:
            pass
        for victim in victims:
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.kill() if fault.kind.startswith("kill") else victim.suspend()
        if fault.lasts is not None:
            self._later(fault, lambda: _resume(victims))
        if fault.kind.startswith("kill"):
            self.rig.reap({victim.pid for victim in victims})
        return f"pid {', '.join(str(victim.pid) for victim in victims)}" if victims else ""

    def _victims(self, what: str, choice: float, *, busy: bool) -> list[psutil.Process]:
        """Of the children, one that is at work where there is one. ``busy``: no other."""
        if what == "child":
            for row in rows(self.rig.home, "SELECT worker FROM attempts WHERE status = 'leased'"):
                if (child := self.rig.child_of(row["worker"])) is not None:
                    return [child]
        if what == "host":
            for row in rows(self.rig.home, "SELECT worker FROM attempts WHERE status = 'leased'"):
                return self.rig.family_of(row["worker"])
            return []
        return [] if busy else self.rig.victims(what, choice)

    def _flush(self, _: Fault) -> str:
        with contextlib.suppress(redis.RedisError), self.rig.client() as client:
            client.flushall()
            return "emptied"
        return ""  # it is killed or stopped

    def _fill_redis(self, fault: Fault) -> str:
        with contextlib.suppress(redis.RedisError), self.rig.client() as client:
            used = int(client.info("memory")["used_memory"])
            client.config_set("maxmemory", used + 1)
            self._later(fault, self._empty_redis)
            return f"maxmemory {used + 1}"
        return ""

    def _empty_redis(self) -> None:
        with contextlib.suppress(redis.RedisError), self.rig.client() as client:  # else it was started anew
            client.config_set("maxmemory", 0)

    def _fill_disk(self, fault: Fault) -> str:
        ballast = self.rig.store / f".ballast-{fault.after}-{fault.choice}"
        if not os.path.ismount(self.rig.store):
            return ""
        with contextlib.suppress(OSError), ballast.open("wb") as file:
            free = os.statvfs(self.rig.store)
            os.posix_fallocate(file.fileno(), 0, max(1, free.f_bavail * free.f_frsize - _LEFT))
        self._later(fault, lambda: ballast.unlink(missing_ok=True))
        return f"{_LEFT} bytes left"

    def _split(self, fault: Fault) -> str:
        chosen = [self.rig.proxies[:1], self.rig.proxies[1:], self.rig.proxies][int(fault.choice * 3)]
        how = "silent" if fault.choice * 10 % 1 < 0.5 else "refusing"
        for proxy in chosen:
            proxy.split(how)

        def heal() -> None:
            for proxy in chosen:
                proxy.heal()

        self._later(fault, heal)
        sides = ["the coordinator's side", "the workers' side", "both sides"][int(fault.choice * 3)]
        return f"{sides}, {how}"

    def _meddle(self, fault: Fault) -> str:
        queues = [b"", b"", ORDERS, OUTCOMES][int(fault.choice * 4)]
        dice = random.Random(f"{self.schedule.seed} {fault}")
        ours = []
        for proxy in self.rig.proxies:
            proxy.mischief = Mischief(fault.kind, dice, queues)
            ours.append((proxy, proxy.mischief))

        def end() -> None:
            self._say(f"{fault.kind}: {sum(mischief.done for _, mischief in ours)} messages")
            for proxy, mischief in ours:
                if proxy.mischief is mischief:  # not another fault's
                    proxy.mischief = None  # what is late arrives late

        self._later(fault, end)
        return f"messages to {queues.decode() or 'all queues'}"

    def alter(self, reference: Reference) -> None:
        """Change the artefact that the schedule names, once it is there."""
        patience, what = self.now + 3 * _PATIENCE, self.schedule.altered
        path = alter(what, self.rig, reference, lambda: self.now > patience or self._all_over())
        assert path is not None, f"no {what} to alter"
        self.damaged.add(path)
        self.hits.append(Hit(f"altered {what}", self.now, self.now, path.name))
        self._say(f"altered: {path.relative_to(self.rig.store)}")

    def _damage(self, fault: Fault) -> str:
        if all(status in OVER for status in self.statuses()):
            return ""
        path = damage(self.rig.store, fault.kind, fault.choice)
        if path is None:
            return ""
        self.damaged.add(path)
        return str(path.relative_to(self.rig.store))


def _resume(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):  # killed while it was stopped
            process.resume()
