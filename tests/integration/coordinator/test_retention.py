"""What is deleted, and that nothing is which a job needs: also while jobs are submitted and run."""

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farm.coordinator.outcomes import accept
from farm.coordinator.retention import Retention
from farm.database.models import Attempt, Chunk, Event, Job, Note, Worker
from farm.domain.lifecycle import JobEvent
from farm.domain.manifest import Manifest
from farm.domain.stages import JobStatus
from farm.errors import StorageError
from farm.jobs.control import control
from farm.jobs.retention import Cleaned, clean
from farm.messages import Failed
from farm.models.store import ModelStore
from farm.processes import rotate_logs, start, stop
from farm.storage.base import Extent, Storage
from tests.integration.coordinator.conftest import Bench, wait_until
from tests.integration.coordinator.test_control import at_compose, finish
from tests.integration.coordinator.test_stages import step, write_output

AddJob = Callable[..., Manifest]
DAY = 86400.0
ORPHAN = "detections/" + "0" * 32


def groups(bench: Bench) -> list[str]:
    return sorted(group.prefix.partition("/")[0] for group in bench.context.store.groups())


def done(bench: Bench, add_job: AddJob) -> None:
    order = at_compose(bench, add_job)
    bench.complete(order, artefact=write_output(bench, order))
    step(bench)
    assert bench.job().status == "done"


def put(store: Storage, name: str, content: str = "content") -> str:
    with store.put(name) as draft:
        draft.path.write_text(content)
    return draft.key


def age(folder: Path, seconds: float) -> None:
    for path in (folder, *folder.rglob("*")):
        os.utime(path, (time.time() - seconds,) * 2, follow_symlinks=False)


def test_what_a_done_job_left_is_deleted_after_its_time(bench: Bench, add_job: AddJob) -> None:
    done(bench, add_job)
    output = Path(bench.job().output).read_bytes()
    assert groups(bench) == ["detections", "masks", "plans", "segments", "tracks"]
    bench.clock.pass_(DAY)
    assert clean(bench.context, 7 * DAY) == Cleaned()
    bench.clock.pass_(7 * DAY)
    told = clean(bench.context, 7 * DAY, dry_run=True)
    assert groups(bench) == ["detections", "masks", "plans", "segments", "tracks"]
    found = clean(bench.context, 7 * DAY)
    assert found == told
    assert found.artefacts.files == 2 + 3 + 2 + 2 + 2
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
    assert groups(bench) == [
        "detections",
        "masks",
        "outputs",
        "plans",
        "segments",
        "tracks",
    ]  # outputs: the list of segments
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
    assert groups(bench) == ["detections", "masks", "plans", "segments", "tracks"]


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
