"""Which of several coordinators leads: the one that increments the counter in the table ``leaders``.

No clocks of two hosts are compared: a coordinator that waits measures, by its own clock, for how long the counter has
not changed.
"""

import contextlib
import os
import secrets
import socket
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from sqlalchemy import ColumnElement, update

from farm.database.models import Leader
from farm.database.session import Database, changed, insert_once
from farm.errors import DatabaseError
from farm.jobs.queries import BEAT_SECONDS, SILENCE_SECONDS

_NAME = "coordinator"


class LeadLost(Exception):
    """Another coordinator leads by now."""


class Leadership:
    """One coordinator's claim to lead. Not to be shared between threads.

    ``sole``: nobody else can lead, so the lead is taken at once. ``held``: whether this one led when it last looked;
    decide only after :meth:`keep`. ``leader``: who leads instead, in words.
    """

    def __init__(
        self,
        database: Database,
        *,
        sole: bool = False,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.held = False
        self.leader = ""
        self._database, self._sole, self._clock, self._monotonic = database, sole, clock, monotonic
        self._host, self._pids = socket.gethostname(), _pid_namespace()
        self._holder = f"{self._pids}/{secrets.token_hex(8)}"
        self._beaten = 0.0
        self._seen: tuple[str, int] | None = None
        self._since = 0.0

    def keep(self) -> None:
        """Check that this coordinator leads; if the last beat is two seconds old, by a new one.

        Raises LeadLost, and DatabaseError if it cannot tell: then it must not decide anything.
        """
        now = self._monotonic()  # before the beat: its age must not be underestimated
        if self.held and now - self._beaten < BEAT_SECONDS:
            return
        if not self.held or not self._update(Leader.holder == self._holder):
            self.held = False
            raise LeadLost
        self._beaten = now

    def take(self) -> bool:
        """Take the lead if nobody has it: whether this coordinator leads now. Raises DatabaseError."""
        now = self._monotonic()
        try:
            row = self._row()
        except DatabaseError:
            self._seen = None  # the leader could not beat either
            raise
        if self._seen != (row.holder, row.beat):
            self._seen, self._since = (row.holder, row.beat), now
        silent = now - self._since >= SILENCE_SECONDS
        mine = row.holder == self._holder  # an earlier call committed, but its connection broke
        if self._sole or silent or mine or not row.holder or self._is_gone(row):
            unchanged = Leader.holder == row.holder, Leader.beat == row.beat
            self.held = self._update(*unchanged, holder=self._holder, host=self._host, pid=os.getpid())
            self._beaten = now
        self.leader = f"pid {row.pid} on {row.host}"
        return self.held

    def release(self) -> None:
        """Let another coordinator lead at once."""
        if self.held:
            self.held = False
            with contextlib.suppress(DatabaseError):  # then the others notice the missing beats
                self._update(Leader.holder == self._holder, holder="")

    def _row(self) -> Leader:
        with self._database.read() as session:
            row = session.get(Leader, _NAME)
        if row is not None:
            return row
        with self._database.write() as session:
            insert_once(session, Leader, name=_NAME)
            return session.get_one(Leader, _NAME)

    def _update(self, *conditions: ColumnElement[bool], **values: object) -> bool:
        statement = update(Leader).where(Leader.name == _NAME, *conditions)
        with self._database.write() as session:
            return changed(session, statement.values(beat=Leader.beat + 1, seen_at=self._clock(), **values))

    def _is_gone(self, row: Leader) -> bool:
        """Whether the leader was a process of this host that has ended."""
        if row.host != self._host or row.holder.partition("/")[0] != self._pids:
            return False
        try:
            return psutil.Process(row.pid).status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return True


def _pid_namespace() -> str:
    """Where pids are comparable: containers with the host's name may have pids of their own."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""
