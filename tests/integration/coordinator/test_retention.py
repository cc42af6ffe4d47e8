"""What is deleted, and that nothing is which a job needs: also while jobs are submitted and run."""

import json
import os
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farm.coordinator.advance import advance, ready
from farm.coordinator.dispatch import dispatch
from farm.coordinator.outcomes import accept
from farm.coordinator.retention import Retention
from farm.database.models import Attempt, Chunk, Event, Job, Note, Outgoing, Worker
from farm.database.session import Database
from farm.domain.artefacts import artefact_key, pts_key
from farm.domain.detection import SIGNATURE_SIZE, ChunkDetections, FrameDetections, dump_chunk, dump_frame
from farm.domain.lifecycle import JobEvent
from farm.domain.manifest import Manifest, load_manifest
from farm.domain.stages import JobStatus
from farm.errors import FarmError, IllegalTransition, StorageError
from farm.jobs import retention
from farm.jobs import submit as submitting
from farm.jobs.context import Context
from farm.jobs.control import control
from farm.jobs.placing import prepare
from farm.jobs.retention import Cleaned, clean
from farm.jobs.submit import submit
from farm.messages import Completed, Failed, Hello, Order, Started, queue_of
from farm.models.store import ModelStore
from farm.processes import rotate_logs, start, stop
from farm.settings import Settings, load_settings
from farm.storage.base import Extent, Storage
from farm.storage.local import LocalStorage
from tests.integration.coordinator.conftest import Bench, Clock, wait_until
from tests.integration.coordinator.test_control import at_compose, finish
from tests.integration.coordinator.test_stages import step, write_output
from tests.integration.coordinator.test_submit import ALL, asked
from tests.integration.trips import X264, Rendered, with_sound
from workers.stages.orders import Result, check_input, make_once
from workers.stages.spent import Spent

AddJob = Callable[..., Manifest]
DAY = 86400.0
ORPHAN = "detections/" + "0" * 32


@pytest.fixture(autouse=True)
def _source_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farm.jobs.retrying.check_source", lambda *_: None)


def groups(bench: Bench) -> list[str]:
    return sorted(group.prefix.partition("/")[0] for group in bench.context.store.groups())


def done(bench: Bench, add_job: AddJob) -> None:
    order = at_compose(bench, add_job)
    bench.complete(order, frames=10, key=write_output(bench, order))
    step(bench)
    assert bench.job().status == "done"


def put(store: Storage, key: str, content: str = "content") -> None:
    with store.put(key) as path:
        path.write_text(content)


def age(folder: Path, seconds: float) -> None:
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (time.time() - seconds,) * 2, follow_symlinks=False)


def test_what_a_done_job_left_is_deleted_after_its_time(bench: Bench, add_job: AddJob) -> None:
    done(bench, add_job)
    output = Path(bench.job().output).read_bytes()
    assert groups(bench) == ["detections", "plans", "tracks"]
    bench.clock.pass_(DAY)
    assert clean(bench.context, 7 * DAY) == Cleaned()
    bench.clock.pass_(7 * DAY)
    told = clean(bench.context, 7 * DAY, dry_run=True)
    assert groups(bench) == ["detections", "plans", "tracks"]
    found = clean(bench.context, 7 * DAY)
    assert found == told
    assert found.artefacts.files == 2 + 3 + 2
    assert found.artefacts.size > 1000
    assert groups(bench) == []
    assert [p.name for p in bench.context.settings.store_root.rglob("*") if p.is_file()] == [".owners"]
    assert Path(bench.job().output).read_bytes() == output


@pytest.mark.parametrize("event", [JobEvent.CANCEL, None])
def test_a_job_that_was_cleaned_is_retried(bench: Bench, add_job: AddJob, event: JobEvent | None) -> None:
    order = at_compose(bench, add_job)
    if event is None:
        worker = bench.worker_of(order)
        accept(bench.context, Failed(token=order.token, worker=worker, reason="broken", permanent=True))
    else:
        control(bench.context, "job", event)
    assert groups(bench) == ["detections", "plans", "segments", "tracks"]
    bench.clock.pass_(8 * DAY)
    clean(bench.context, 7 * DAY)
    assert groups(bench) == ["plans"]
    control(bench.context, "job", JobEvent.RETRY)
    bench.hello()
    assert len(finish(bench)) == 5


def test_what_jobs_share_stays_while_one_of_them_needs_it(bench: Bench, add_job: AddJob) -> None:
    done(bench, add_job)
    bench.clock.pass_(8 * DAY)
    add_job("young", output="young.mp4")
    bench.hello()
    for order in bench.orders():
        bench.detect(order)
    control(bench.context, "young", JobEvent.PAUSE)
    clean(bench.context, 0)
    assert groups(bench) == ["detections", "plans"]  # paused: not over, however long ago
    control(bench.context, "young", JobEvent.CANCEL)
    clean(bench.context, DAY)
    assert groups(bench) == ["detections", "plans"]  # cancelled just now
    bench.clock.pass_(2 * DAY)
    clean(bench.context, DAY)
    assert groups(bench) == ["plans"]


def test_orphans_go_when_they_are_old(bench: Bench) -> None:
    store, root = bench.context.store, bench.context.settings.store_root
    put(store, f"{ORPHAN}/0_5.jsonl", "123")
    assert clean(bench.context, 0) == Cleaned()
    age(root, 3601)
    assert clean(bench.context, DAY) == Cleaned()
    assert clean(bench.context, 0, dry_run=True).orphans == clean(bench.context, 0).orphans == Extent(1, 3)
    assert groups(bench) == []


def test_what_is_not_the_farms_is_never_touched(bench: Bench, tmp_path: Path) -> None:
    root, outside = bench.context.settings.store_root, tmp_path / "outside"
    mine = [root / "holiday" / ("0" * 32) / "a.mp4", root / "segments" / "holiday" / "a.mp4", root / "plans" / "a.mp4",
            root / "plans" / ("A" * 32) / "a", root / "a.mp4", outside / "0_5.jsonl"]  # fmt: skip
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("mine")
    (root / "tracks").mkdir()
    (root / "tracks" / ("1" * 32)).symlink_to(outside)
    (root / "detections").symlink_to(outside)
    (root / "segments" / ("2" * 32)).mkdir()
    (root / "segments" / ("2" * 32) / "link").symlink_to(outside)
    age(root, 100 * DAY)
    clean(bench.context, 0)
    assert not (root / "segments" / ("2" * 32)).exists()  # with the link, and without what that leads to
    assert [path.read_text() for path in mine] == ["mine"] * len(mine)
    assert (root / "detections").is_symlink()


def test_a_store_of_two_databases_is_left_alone(bench: Bench, add_job: AddJob) -> None:
    done(bench, add_job)
    bench.clock.pass_(8 * DAY)
    bench.context.store.claim("another")
    with pytest.raises(StorageError, match="is used by 2 databases: nothing was deleted"):
        clean(bench.context, 0)
    assert groups(bench) == ["detections", "plans", "tracks"]


def test_rows_of_jobs_go_after_their_time(bench: Bench, add_job: AddJob) -> None:
    done(bench, add_job)
    add_job("paused", output="paused.mp4")
    control(bench.context, "paused", JobEvent.PAUSE)
    with bench.context.database.write() as session:
        session.query(Worker).update({"alive": False})
    assert clean(bench.context, 0).jobs == 0
    bench.clock.pass_(91 * DAY)
    add_job("new", output="new.mp4")
    assert clean(bench.context, 0, dry_run=True).jobs == 1
    assert clean(bench.context, 0).jobs == 1
    with bench.context.database.read() as session:
        assert {job.id for job in session.query(Job)} == {"paused", "new"}
        ids = [session.query(column).all() for column in (Chunk.job_id, Note.job_id, Event.job_id)]
        assert {job for rows in ids for (job,) in rows} <= {"paused", "new"}
        assert (session.query(Attempt).count(), session.query(Worker).count()) == (0, 0)
    assert groups(bench) == ["detections", "plans"]  # which the others name


def test_the_file_of_the_database_shrinks(bench: Bench) -> None:
    path = bench.context.settings.home / "farm.db"
    with bench.context.database.write() as session:
        session.add_all(Event(at=0.0, text="x" * 1000) for _ in range(3000))
    assert bench.context.database.compact() == 0
    with bench.context.database.write() as session:
        session.query(Event).delete()
    before = path.stat().st_size
    freed = bench.context.database.compact()
    assert freed > 2_000_000
    assert path.stat().st_size <= before - freed


def test_downloads_that_were_killed_are_unfinished(bench: Bench) -> None:
    folder = bench.context.settings.home / "models"
    folder.mkdir()
    for name in (".centerface.onnx-0123456789ab", ".centerface.onnx-mine", "centerface.onnx"):
        (folder / name).write_text("123")
    assert clean(bench.context, 0) == Cleaned()
    age(folder, 2 * DAY)
    assert clean(bench.context, 0, dry_run=True).unfinished == clean(bench.context, 0).unfinished == Extent(1, 3)
    assert sorted(p.name for p in folder.iterdir()) == [".centerface.onnx-mine", "centerface.onnx"]
    assert ModelStore(bench.context.settings).remove_unfinished(0) == []


def test_the_coordinator_cleans_by_itself(bench: Bench, add_job: AddJob) -> None:
    done(bench, add_job)
    bench.clock.pass_(8 * DAY)
    logs = bench.context.settings.home / "logs"
    logs.mkdir()
    (logs / "workers.log").write_bytes(b"x" * 10_000_001)
    tending = Retention(bench.context)
    tending.tend()
    until = time.monotonic() + 15
    while groups(bench):
        assert time.monotonic() < until
        time.sleep(0.02)
    tending.stop()
    assert {p.name: p.stat().st_size for p in logs.iterdir()} == {"workers.log": 0, "workers.log.1": 10_000_000}


def test_a_process_goes_on_with_its_log_when_that_is_rotated(tmp_path: Path) -> None:
    log, old = tmp_path / "child.log", tmp_path / "child.log.1"
    child = start(["sh", "-c", "while :; do echo a line; sleep 0.01; done"], log)
    try:
        for _ in range(3):
            wait_until(lambda: log.read_bytes().count(b"\n") > 9)
            rotate_logs(tmp_path, 16e-6)
            assert len(old.read_bytes()) == 16
            assert log.stat().st_size < 50
        wait_until(lambda: log.stat().st_size > 0)
    finally:
        stop([child], grace=5)
    assert set(log.read_text().splitlines()) == {"a line"}  # no hole where the old part was
    rotate_logs(tmp_path, 1)
    assert log.stat().st_size > 0


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
            Hello(worker=name, incarnation="a", host="h", device="cpu0", pid=1, encoders=("libx264",), runtime="r"),
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
    with store.fetch(order.plan) as path:
        manifest = load_manifest(path.read_text())
    for artefact in order.inputs:
        check_input(store, artefact)
    if order.stage == "compose":
        key = artefact_key("compose", order.fingerprint, suffix=".mkv")
        frames = manifest.frames
    else:
        chunk = manifest.chunks[order.chunk]
        key, frames = artefact_key(order.stage, order.fingerprint, chunk.name), chunk.frames
        with store.fetch(pts_key(order.plan, chunk)) as path:
            pts = json.loads(path.read_text())

    def write(path: Path) -> int:
        time.sleep(0.01)
        if order.stage == "detect":
            flat = bytes(SIGNATURE_SIZE[0] * SIGNATURE_SIZE[1])
            lines = [dump_frame(FrameDetections(n, cut=False, detections=())) for n in pts]
            path.write_text("\n".join([*lines, dump_chunk(ChunkDetections(frames, flat, flat))]) + "\n")
        else:
            path.write_text(f"{order.stage} {order.chunk}")
        return frames

    result = make_once(store, key, frames, Spent(), write)
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
    stored, plans = submitting._store_plan, list[list[str]]()

    def and_clean(store: Storage, plan: str, *rest: object) -> None:
        stored(store, plan, *rest)  # type: ignore[arg-type]  # what the caller gave
        plans.append(list(store.keys("plans")))
        if len(plans) < 3:
            clean(bench.context, 0)
            assert list(store.keys("plans")) == []

    monkeypatch.setattr(submitting, "_store_plan", and_clean)
    job = submit(bench.context, prepare(asked(source, tmp_path / "out.mkv"), ALL), "1" * 64, 4).job
    assert plans == [plans[0]] * 3
    assert list(bench.context.store.keys("plans")) == plans[0]
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

            monkeypatch.setattr("farm.jobs.retrying.check_source", late_check)
            control(bench.context, "job", JobEvent.RETRY)
        second[0].result(30)
        pool.shutdown()
        other.database.close()
        assert (bench.job().status, groups(bench)) == (
            ("detecting", ["plans"]) if first == "clean" else ("composing", before)
        )


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_deleted_no_job_that_may_go_on_needs_it(bench: Bench, data: st.DataObject) -> None:
    """For any ages and ends of jobs that share groups: exactly what no job needs goes."""
    context, now = bench.context, 1000 * DAY
    bench.clock.now = now
    root = context.settings.store_root
    shutil.rmtree(root, ignore_errors=True)
    names = ["a" * 32, "b" * 32, "c" * 32]
    jobs = data.draw(st.lists(st.tuples(
        st.sampled_from(list(JobStatus)), st.integers(0, 20), st.sets(st.sampled_from(names)), st.sampled_from(names),
    ), max_size=4))  # fmt: skip
    needed: set[str] = set()
    with context.database.write() as session:
        session.query(Chunk).delete()
        session.query(Job).delete()
        for number, (status, days, uses, plan) in enumerate(jobs):
            session.add(Job(
                id=str(number), fingerprint="", status=status.value, source="", output="", container="", options={},
                plan=f"plans/{plan}/manifest.json", model_sha256="", frames=1, seconds=1.0, created_at=0.0,
                finished_at=now - days * DAY if status.over else None,
            ))  # fmt: skip
            session.flush()
            used = {f"segments/{name}" for name in uses}
            for index, prefix in enumerate(sorted(used)):
                session.add(Chunk(job_id=str(number), stage="redact", index=index, frames=1,
                                  fingerprint=prefix.partition("/")[2]))  # fmt: skip
            if not status.over or days <= 7:
                needed |= used | {f"plans/{plan}"}
            elif status is not JobStatus.DONE:
                needed.add(f"plans/{plan}")
    for name in names:
        put(context.store, f"plans/{name}/manifest.json")
        put(context.store, f"segments/{name}/0_1.mp4")
    age(root, 30 * DAY)
    clean(context, 7 * DAY)
    assert {group.prefix for group in context.store.groups()} == needed
