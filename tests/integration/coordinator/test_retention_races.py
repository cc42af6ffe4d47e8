"""Cleaning while jobs are submitted, run, cancelled and retried: nothing is deleted that one of them needs."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from farm.coordinator.advance import advance, ready
from farm.coordinator.dispatch import dispatch
from farm.coordinator.outcomes import accept
from farm.database.models import Attempt, Job, Outgoing
from farm.database.session import Database
from farm.domain.detection import ChunkDetections, FrameDetections, dump_chunk, dump_frame
from farm.domain.lifecycle import JobEvent
from farm.domain.manifest import Manifest
from farm.errors import FarmError, IllegalTransition
from farm.jobs import plans as plan_keeping
from farm.jobs import retention
from farm.jobs import submit as submitting
from farm.jobs.context import Context
from farm.jobs.control import control
from farm.jobs.placing import prepare
from farm.jobs.retention import clean
from farm.jobs.submit import submit
from farm.messages import Completed, Failed, Hello, Order, Started, queue_of
from farm.settings import Settings, load_settings
from farm.storage.base import Storage, opened
from farm.storage.local import LocalStorage
from tests.integration.coordinator.conftest import Bench, Clock, painted
from tests.integration.coordinator.test_control import at_compose
from tests.integration.coordinator.test_retention import DAY, groups
from tests.integration.coordinator.test_submit import ALL, asked
from tests.integration.trips import X264, Rendered, with_sound
from tests.memory_store import keys_below
from workers.stages.orders import Result, Written, make_once, read_plan
from workers.stages.spent import Spent

AddJob = Callable[..., Manifest]


class Crowd:
    """Submitters, a coordinator, workers and cleaners at once, each with connections of its own."""

    def __init__(self, settings: Settings, source: Path, folder: Path) -> None:
        self.settings, self.source, self.folder = settings, source, folder
        self.ended = threading.Event()
        self.databases: list[Database] = []
        self.submitted: list[str] = []
        self.cleaned = 0

    def context(self) -> Context:
        self.databases.append(Database(self.settings.sql_url))
        return Context(self.settings, self.databases[-1], LocalStorage(self.settings.store_root))

    def submitter(self, number: int, jobs: int) -> None:
        context, dice = self.context(), random.Random(number)
        for n in range(jobs):
            request = asked(self.source, self.folder / f"{number}-{n}.mkv", crf=20 + n % 2)
            job = submit(context, prepare(request, ALL), "1" * 64, 4).job
            self.submitted.append(job)
            if dice.random() < 0.5:
                self.disturb(context, job, dice)

    def disturb(self, context: Context, job: str, dice: random.Random) -> None:
        """Cancel a job at any moment, and let it go on."""
        time.sleep(dice.random() / 10)
        try:
            control(context, job, JobEvent.CANCEL)
        except IllegalTransition:  # it is done
            return
        time.sleep(dice.random() / 10)
        control(context, job, JobEvent.RETRY)

    def coordinator(self) -> None:
        context = self.context()
        while not self.ended.is_set():
            for job in ready(context):
                advance(context, job)
            dispatch(context)
            time.sleep(0.002)

    def worker(self, name: str) -> None:
        context = self.context()
        accept(
            context,
            Hello(
                worker=name,
                incarnation="a",
                host="h",
                device="cpu0",
                pid=1,
                encoders=("libx264",),
                runtimes=("onnxruntime-f32",),
            ),
        )
        while not self.ended.is_set():
            with context.database.write() as session:
                rows = session.query(Outgoing).filter_by(queue=queue_of(name)).all()
                orders = [Order.model_validate(row.body) for row in rows]
                for row in rows:
                    session.delete(row)
            for order in orders:
                self.work(context, order, name)
            time.sleep(0.002)

    def work(self, context: Context, order: Order, name: str) -> None:
        """Do an order as the real stages do: from the plan and checked inputs, or with what is there already."""
        who = {"token": order.token, "worker": name}
        accept(context, Started(**who))
        try:
            result = made(context.store, order)
        except (FarmError, OSError) as e:  # of no account if the job was cancelled
            accept(context, Failed(**who, cause="infrastructure", reason=str(e)))
        else:
            accept(context, Completed(**who, artefact=result.artefact, reused=result.reused))

    def cleaner(self) -> None:
        context = self.context()
        while not self.ended.is_set():
            clean(context, 0)
            self.cleaned += 1

    def run(self, submitters: int, jobs: int) -> None:
        with ThreadPoolExecutor(8) as pool:
            lasting = [pool.submit(self.coordinator), *(pool.submit(self.worker, f"w{n}") for n in range(2)),
                       *(pool.submit(self.cleaner) for _ in range(2))]  # fmt: skip
            try:
                for each in [pool.submit(self.submitter, n, jobs) for n in range(submitters)]:
                    each.result()
                context, until = self.context(), time.monotonic() + 60
                while any(row["status"] != "done" for row in self.jobs(context)):
                    assert time.monotonic() < until, self.jobs(context)
                    broken = [row for row in self.jobs(context) if row["status"] == "failed"]
                    assert not broken, broken
                    assert not [each.result() for each in lasting if each.done()]
                    time.sleep(0.05)
            finally:
                self.ended.set()
            for each in lasting:
                each.result()

    def jobs(self, context: Context) -> list[dict[str, str | None]]:
        with context.database.read() as session:
            return [{"id": job.id, "status": job.status, "reason": job.reason} for job in session.query(Job)]


def made(store: Storage, order: Order) -> Result:
    plan = read_plan(order, store)
    for artefact in plan.order.inputs:
        with opened(store, artefact.key):
            pass
    frames = plan.manifest.frames if order.stage == "compose" else plan.chunk.frames
    pts = plan.pts(plan.chunk)

    def write(path: Path) -> Written:
        time.sleep(0.01)
        if order.stage == "detect":
            lines = [dump_frame(FrameDetections(n, cut=False, detections=())) for n in pts]
            path.write_text("\n".join([*lines, dump_chunk(ChunkDetections(frames))]) + "\n")
        else:
            path.write_text(f"{order.stage} {order.chunk}")
        return Written(frames, **painted(order))

    result = make_once(plan, frames, Spent(), write)
    time.sleep(0.01)
    return result


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Settings]:
    url = str(request.getfixturevalue("fresh_postgres")) if request.param == "postgresql" else None
    settings = load_settings(home=tmp_path / "home", database_url=url)
    settings.make_home()
    database = Database(settings.sql_url)
    database.migrate()
    yield settings
    database.close()


@pytest.mark.faults
def test_cleaning_while_jobs_are_submitted_and_run_takes_nothing_that_they_need(
    shared: Settings, render: Rendered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that no unfinished job names is deleted at once, by two processes; no attempt meets a missing artefact."""
    monkeypatch.undo()
    monkeypatch.setattr(retention, "_FRESH_SECONDS", -1)
    source = render("submitted.mkv", *with_sound(), "-map", "1", "-map", "0", *X264)
    before = source.read_bytes()
    (tmp_path / "out").mkdir()
    crowd = Crowd(shared, source, tmp_path / "out")
    crowd.run(submitters=3, jobs=3)
    context = crowd.context()
    with context.database.read() as session:
        lost = [(a.chunk.stage, a.reason) for a in session.query(Attempt).filter(Attempt.cause.is_not(None))]
    assert lost == []
    assert len(crowd.submitted) == len(list((tmp_path / "out").iterdir())) == 9
    assert source.read_bytes() == before
    assert crowd.cleaned > 5
    clean(context, 0)
    assert list(context.store.groups()) == []
    for database in crowd.databases:
        database.close()


def test_a_plan_that_is_deleted_before_its_job_is_stored_is_stored_again(
    bench: Bench, render: Rendered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_FRESH_SECONDS", -1)
    source = render("submitted.mkv", *with_sound(), "-map", "1", "-map", "0", *X264)
    stored, plans = plan_keeping.store_plan, list[list[str]]()

    def and_clean(store: Storage, *rest: Any) -> None:
        stored(store, *rest)
        plans.append(keys_below(store, "plans"))
        if len(plans) < 3:
            clean(bench.context, 0)
            assert keys_below(store, "plans") == []

    monkeypatch.setattr(submitting, "store_plan", and_clean)
    job = submit(bench.context, prepare(asked(source, tmp_path / "out.mkv"), ALL), "1" * 64, 4).job
    assert plans == [plans[0]] * 3
    assert keys_below(bench.context.store, "plans") == plans[0]
    assert bench.job(job).status == "detecting"


class TestBothDatabases:
    """The moment between the look at the database and the deletion."""

    @pytest.fixture
    def bench(self, shared: Settings) -> Iterator[Bench]:
        clock, database = Clock(), Database(shared.sql_url)
        yield Bench(Context(shared, database, LocalStorage(shared.store_root), clock), clock)
        database.close()

    @pytest.mark.parametrize("first", ["clean", "retry"])
    def test_a_retry_either_keeps_what_it_needs_or_finds_it_gone(
        self, bench: Bench, add_job: AddJob, monkeypatch: pytest.MonkeyPatch, first: str
    ) -> None:
        at_compose(bench, add_job)
        control(bench.context, "job", JobEvent.CANCEL)
        bench.clock.pass_(8 * DAY)
        before = groups(bench)
        other = Context(bench.context.settings, Database(bench.context.settings.sql_url), bench.context.store)
        other = replace(other, clock=bench.clock)
        pool, second = ThreadPoolExecutor(1), list[Future[object]]()

        def meanwhile(work: Callable[[], object]) -> None:
            """Begin ``work`` once, and give it the time to get as far as it can."""
            if not second:
                second.append(pool.submit(work))
                wait(second, timeout=1)

        if first == "clean":
            discard = LocalStorage.discard

            def late_discard(store: LocalStorage, prefix: str) -> None:
                meanwhile(lambda: control(other, "job", JobEvent.RETRY))
                discard(store, prefix)

            monkeypatch.setattr(LocalStorage, "discard", late_discard)
            clean(bench.context, 7 * DAY)
        else:

            def late_check(*_: object) -> None:  # after retry has looked at the store
                meanwhile(lambda: clean(other, 7 * DAY))

            monkeypatch.setattr("farm.media.reading.chunk.check_source", late_check)
            control(bench.context, "job", JobEvent.RETRY)
        second[0].result(30)
        pool.shutdown()
        other.database.close()
        assert (bench.job().status, groups(bench)) == (
            ("detecting", ["plans"]) if first == "clean" else ("composing", before)
        )
