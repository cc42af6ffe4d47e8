"""A job of a repaired copy: the copy lies in the store for as long as the job needs it; people see the source."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from farm.coordinator.outcomes import accept
from farm.domain.options import SourceOptions
from farm.domain.stages import JobStatus
from farm.errors import SourceError, StorageError
from farm.jobs.placing import Prepared, prepare
from farm.jobs.plans import job_manifest, restore_plan
from farm.jobs.queries import job_facts
from farm.jobs.repairing import Repairs, said_of
from farm.jobs.retention import clean
from farm.jobs.submit import submit
from farm.media.reading.chunk import OR_REPAIR, check_source
from farm.messages import Failed
from tests.integration.coordinator.conftest import Bench
from tests.integration.coordinator.test_submit import SOFTWARE, asked
from tests.integration.trips import X264, Rendered, with_sound

Prepare = Callable[[], Prepared]


@pytest.fixture
def source(render: Rendered, tmp_path: Path) -> Path:
    path = tmp_path / "joined.ts"
    path.write_bytes(2 * render("part.ts", *with_sound(), *X264).read_bytes())
    return path


@pytest.fixture
def prepared(bench: Bench, source: Path, tmp_path: Path) -> Prepare:
    def one() -> Prepared:
        request = asked(source, tmp_path / "out.ts")
        options = replace(request.options, source=SourceOptions(repair=True))
        repairs = Repairs(bench.context.store, bench.context.settings.store_root)
        return prepare(replace(request, options=options, repairs=repairs), SOFTWARE)

    return one


def test_the_job_reads_the_copy_and_shows_the_source(bench: Bench, prepared: Prepare, source: Path) -> None:
    submitted = submit(bench.context, prepared(), "1" * 64, 2)
    facts = job_facts(bench.context, submitted.job)
    assert facts.source == str(source)
    assert "repair: 2 recordings joined" in facts.notes
    with bench.context.database.read() as session:
        manifest = job_manifest(session, submitted.job)
    copy = Path(manifest.source.path)
    assert copy.is_relative_to(bench.context.settings.store_root.resolve())
    assert manifest.source.original == str(source)
    before = copy.stat()
    again = submit(bench.context, prepared(), "1" * 64, 2)  # the same copy, and so the same job
    assert (again.job, again.resumed) == (submitted.job, True)
    assert (copy.stat().st_mtime_ns, copy.stat().st_size) == (before.st_mtime_ns, before.st_size)
    plan = bench.context.settings.store_root / bench.job(submitted.job).plan
    shutil.rmtree(plan.parent / "pts")
    source.unlink()  # what is planned is the copy
    restore_plan(bench.context, submitted.job)


def test_an_error_of_a_worker_names_the_source(bench: Bench, prepared: Prepare, source: Path) -> None:
    asked_for = prepared()
    job = submit(bench.context, asked_for, "1" * 64, 1).job
    bench.hello(encoders=("libx264",))
    order = bench.orders()[0]
    assert order.source == str(source)
    bench.start(order)
    reason = f"{asked_for.probe.path}: the frame at 2.000 s is damaged (add --on-undetectable blackout{OR_REPAIR})"
    failed = Failed(token=order.token, worker=bench.worker_of(order), reason=reason, permanent=True)
    accept(bench.context, failed)
    said = job_facts(bench.context, job).reason or ""
    assert f"{source}: the frame at 2.000 s is damaged (add --on-undetectable blackout)" in said


def test_a_copy_that_is_gone_is_told_of_by_the_name_of_the_source(prepared: Prepare, source: Path) -> None:
    manifest = prepared().plan(1)[0]
    planned = replace(manifest.source, original=str(source))
    copy = Path(planned.path)
    check_source(copy, planned)
    copy.unlink()
    with pytest.raises(SourceError) as gone:
        check_source(copy, planned)
    assert str(gone.value) == f"{source}: its repaired copy is gone (submit it again with --repair --overwrite)"


@pytest.mark.parametrize(
    ("hint", "said"), [("add --repair: x", "repaired already"), (f"a{OR_REPAIR}", "a"), ("b", "b")]
)
def test_no_hint_advises_to_repair_a_repaired_copy(source: Path, hint: str, said: str) -> None:
    copy = source.with_name("copy.ts")
    with pytest.raises(SourceError) as refused, said_of(source, copy):
        raise SourceError(f"{copy}: x", hint=hint)
    assert refused.value.message == f"{source}: x"
    assert said in str(refused.value.hint)
    assert "--repair" not in str(refused.value.hint)


def test_the_copy_is_kept_while_the_job_needs_it(bench: Bench, prepared: Prepare) -> None:
    asked_for = prepared()
    copy = asked_for.probe.path
    job = submit(bench.context, asked_for, "1" * 64, 2).job
    bench.clock.pass_(10 * 86400)
    clean(bench.context, 0)
    assert copy.exists()
    with bench.context.database.write() as session:
        row = session.get_one(type(bench.job(job)), job)
        row.status, row.finished_at = JobStatus.DONE.value, bench.clock()
    clean(bench.context, 3600)
    assert copy.exists()
    bench.clock.pass_(86400)
    clean(bench.context, 3600)
    assert not copy.exists()
    with pytest.raises(StorageError, match="its repaired copy was cleaned just now"):
        submit(bench.context, asked_for, "1" * 64, 2)


def test_a_full_disk_is_seen_before_the_copy(prepared: Prepare, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(StorageError, match="are free, and the repaired copy needs"):
        prepared()
