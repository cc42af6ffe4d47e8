"""At most one of several coordinators leads; a silent, ended or released one is replaced."""

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import psutil
import pytest
from sqlalchemy import ColumnElement

from farm.coordinator.leading import Leadership, LeadLost
from farm.coordinator.service import Coordinator
from farm.database.models import Leader, Worker
from farm.database.session import Database
from farm.errors import DatabaseError
from farm.local.redis import EmbeddedRedis
from farm.messages import OUTCOMES, Hello
from tests.integration.coordinator.conftest import Bench, Clock, wait_until
from workers.reporting import Reporter

pytestmark = pytest.mark.integration
Candidates = Callable[..., tuple[Leadership, Clock]]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path}/farm.db"
    if request.param == "postgres":
        url = request.getfixturevalue("fresh_postgres")
    with closing(Database(url)) as database:
        database.migrate()
        yield database


@pytest.fixture
def candidate(database: Database) -> Candidates:
    """A coordinator's claim, as if on a host of its own, with a monotonic clock of its own."""
    count = 0

    def make(host: str = "", *, sole: bool = False) -> tuple[Leadership, Clock]:
        nonlocal count
        count += 1
        clock = Clock()
        clock.now = 1000.0 * count  # no two hosts' monotonic clocks agree
        leadership = Leadership(database, sole=sole, clock=lambda: 7.0, monotonic=clock)
        leadership._host = host or f"host{count}"
        return leadership, clock

    return make


def row(database: Database) -> Leader:
    with database.read() as session:
        return session.query(Leader).one()


def other_process(database: Database, pid: int) -> None:
    with database.write() as session:
        session.query(Leader).one().pid = pid


def test_the_first_leads_and_the_second_waits(database: Database, candidate: Candidates) -> None:
    first, second = candidate()[0], candidate()[0]
    assert first.take()
    assert not second.take()
    assert second.leader == f"pid {os.getpid()} on host1"
    found = row(database)
    assert (found.host, found.pid, found.beat, found.seen_at) == ("host1", os.getpid(), 1, 7.0)
    first.keep()
    with pytest.raises(LeadLost):
        second.keep()


def test_a_beat_every_two_seconds_keeps_the_lead(database: Database, candidate: Candidates) -> None:
    (first, clock), (second, waiting) = candidate(), candidate()
    assert first.take()
    for _ in range(60):
        clock.pass_(1)
        waiting.pass_(1)
        first.keep()
        assert not second.take()
    assert 30 <= row(database).beat <= 32


def test_ten_seconds_without_a_beat_change_the_leader(database: Database, candidate: Candidates) -> None:
    (first, clock), (second, waiting) = candidate(), candidate()
    assert first.take()
    waiting.pass_(500)  # its own past is no silence of the leader
    assert not second.take()
    waiting.pass_(9.9)
    assert not second.take()
    waiting.pass_(0.1)
    assert second.take()
    assert row(database).host == "host2"
    clock.pass_(11)
    with pytest.raises(LeadLost):
        first.keep()
    assert not first.held
    assert not first.take()
    with pytest.raises(LeadLost):
        first.keep()
    second.keep()


def test_a_late_beat_counts(candidate: Candidates) -> None:
    (first, clock), (second, waiting) = candidate(), candidate()
    assert first.take()
    for _ in range(3):
        assert not second.take()
        waiting.pass_(9)
        clock.pass_(9)
        first.keep()
    assert not second.take()


def test_a_release_lets_another_lead_at_once(database: Database, candidate: Candidates) -> None:
    first, second = candidate()[0], candidate()[0]
    assert first.take()
    assert not second.take()
    first.release()
    assert not first.held
    assert second.take()
    first.release()  # not its own any more
    assert row(database).host == "host2"
    second.keep()


@pytest.mark.parametrize("there", [True, False], ids=["same host", "another host"])
def test_a_process_that_is_gone_is_replaced_at_once_on_its_own_host(
    database: Database, candidate: Candidates, there: bool
) -> None:
    first, second = candidate("a")[0], candidate("a" if there else "b")[0]
    assert first.take()
    assert not second.take()
    other_process(database, max(psutil.pids()) + 100_000)
    assert second.take() is there


def test_a_process_in_another_containers_pids_is_not_taken_for_gone(database: Database, candidate: Candidates) -> None:
    first, second = candidate("a")[0], candidate("a")[0]
    first._holder = "pid:[1]/" + "0" * 16
    assert first.take()
    other_process(database, max(psutil.pids()) + 100_000)
    assert not second.take()


def test_the_sole_coordinator_waits_for_nobody(candidate: Candidates) -> None:
    (first, clock), (second, _) = candidate(), candidate(sole=True)
    assert first.take()
    assert second.take()
    clock.pass_(2)
    with pytest.raises(LeadLost):
        first.keep()


def test_of_many_that_take_at_once_one_leads(database: Database, candidate: Candidates) -> None:
    for turn in range(5):
        claims = [candidate() for _ in range(6)]
        for claim, clock in claims:
            assert turn == 0 or not claim.take()
            clock.pass_(10 if turn else 0)
        barrier = threading.Barrier(len(claims))

        def take(claim: Leadership, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            claim.take()

        threads = [threading.Thread(target=take, args=[claim]) for claim, _ in claims]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sum(claim.held for claim, _ in claims) == 1
        assert row(database).beat == turn + 1


def test_an_absent_database_is_no_lost_lead_and_no_silence(
    database: Database, candidate: Candidates, monkeypatch: pytest.MonkeyPatch
) -> None:
    (first, clock), (second, waiting) = candidate(), candidate()
    assert first.take()
    assert not second.take()

    def away(_: object = None) -> None:
        raise DatabaseError("away")

    with monkeypatch.context() as patch:
        patch.setattr(database, "read", away)
        patch.setattr(database, "write", away)
        for _ in range(30):
            clock.pass_(1)
            waiting.pass_(1)
            with suppress(DatabaseError):
                first.keep()
            with pytest.raises(DatabaseError):
                second.take()
        with pytest.raises(DatabaseError):
            first.keep()  # what cannot be known allows no decision
    assert first.held
    assert not second.take()
    first.keep()
    assert not second.take()


def test_a_lead_whose_commit_was_not_answered_is_known_again(
    database: Database, candidate: Candidates, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = candidate()[0]
    update = first._update

    def unanswered(*conditions: ColumnElement[bool], **values: object) -> bool:
        update(*conditions, **values)
        raise DatabaseError("the connection broke")

    with monkeypatch.context() as patch:
        patch.setattr(first, "_update", unanswered)
        with pytest.raises(DatabaseError):
            first.take()
    assert not first.held
    assert first.take()
    first.keep()


def test_only_the_leading_loop_takes_outcomes(
    bench: Bench, server: EmbeddedRedis, caplog: pytest.LogCaptureFixture
) -> None:
    """Two loops in one process; the first loses its lead in the middle and leaves everything to the second."""
    caplog.set_level("INFO", "farm.coordinator")
    told: list[str] = []
    stops = [threading.Event(), threading.Event()]
    loops = [Coordinator(bench.context), Coordinator(bench.context, tell=told.append)]
    threads = [threading.Thread(target=loop.run, args=[stop]) for loop, stop in zip(loops, stops, strict=True)]
    reporter = Reporter(bench.context.settings)

    def is_known(worker: str) -> bool:
        with bench.context.database.read() as session:
            return session.get(Worker, worker) is not None

    def arrives(worker: str) -> None:
        reporter.send(Hello(worker=worker, incarnation="a", host="h", device="cpu0", pid=1))
        wait_until(lambda: is_known(worker))

    try:
        threads[0].start()
        wait_until(lambda: loops[0].leads)
        threads[1].start()
        wait_until(lambda: told)
        assert told == [f"another coordinator (pid {os.getpid()} on {socket.gethostname()}) leads; waiting"]
        arrives("w0")
        assert not loops[1].leads
        with bench.context.database.write() as session:
            session.query(Leader).one().holder = "somebody else"
        wait_until(lambda: not loops[0].leads)
        reporter.send(Hello(worker="w1", incarnation="a", host="h", device="cpu0", pid=1))
        time.sleep(1.5)  # nobody leads here, nobody takes it
        assert loops[0]._broker._redis.llen(OUTCOMES) == 1
        with bench.context.database.write() as session:
            session.query(Leader).one().holder = ""
        wait_until(lambda: loops[0].leads or loops[1].leads)
        arrives("w2")
        assert loops[0].leads != loops[1].leads
    finally:
        reporter.close()
        for stop, thread in zip(stops, threads, strict=True):
            stop.set()
            thread.join()
    with bench.context.database.read() as session:
        assert session.query(Leader).one().holder == ""
    assert len(told) <= 2
    assert "lost the lead to another coordinator" in caplog.text
    assert "this coordinator leads" in caplog.text
