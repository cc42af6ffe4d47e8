"""What the store has lost is made again, from the stage that made it, and nothing else is."""

from collections.abc import Callable
from pathlib import Path

import pytest

from farm.coordinator import remaking
from farm.coordinator.advance import advance
from farm.coordinator.outcomes import accept
from farm.domain.artefacts import key_of
from farm.domain.lifecycle import JobEvent
from farm.domain.manifest import Manifest
from farm.jobs.control import control
from farm.jobs.placing import prepare
from farm.messages import Artefact, Completed, Failed, Order
from farm.storage.base import is_whole
from tests.integration.coordinator.conftest import Bench, ends
from tests.integration.coordinator.test_control import at_compose, composing, redact
from tests.integration.coordinator.test_stages import detected, step, told, write_output
from tests.integration.coordinator.test_submit import ALL, asked, submitted
from tests.integration.trips import X264, Rendered, with_sound

AddJob = Callable[..., Manifest]


def harm(bench: Bench, key: str) -> Path:
    path = bench.context.settings.store_root / key
    path.write_bytes(b"damaged")
    return path


def report(bench: Bench, order: Order, key: str) -> None:
    """A worker finds an input damaged; the coordinator does what it is told."""
    failed = Failed(token=order.token, worker="w0", reason=f"{key} is damaged", damaged=key)
    reply = accept(bench.context, failed)
    assert reply.damaged == (order.job, key)
    advance(bench.context, *reply.damaged)


def redacting(bench: Bench, add_job: AddJob) -> list[Order]:
    detected(bench, add_job)
    step(bench)
    return bench.orders()


def rest(bench: Bench) -> None:
    """Do what is left of the job."""
    for _ in range(20):
        if bench.job().status == "done":
            return
        step(bench)
        bench.clock.pass_(10)
        bench.hello()
        for order in bench.orders():
            if order.stage == "detect":
                bench.detect(order)
            elif order.stage == "redact":
                bench.complete(order, artefact=bench.made(order, b"a segment"))
            else:
                assert all(is_whole(bench.context.store, artefact.key) for artefact in order.inputs)
                bench.complete(order, artefact=write_output(bench, order))
        step(bench)
    raise AssertionError(told(bench))


def test_tracks_are_linked_again_and_no_other_chunk_notices(bench: Bench, add_job: AddJob) -> None:
    first, second = redacting(bench, add_job)
    key = first.inputs[0].key
    harm(bench, key)
    bench.start(second)
    report(bench, first, key)
    assert is_whole(bench.context.store, key)
    assert bench.job().status == "redacting"
    assert (bench.chunk(0, "redact").status, bench.chunk(1, "redact").status) == ("pending", "leased")
    assert [(a.status, a.cause) for a in bench.chunk(0, "redact").attempts] == [("lost", "farm")]
    assert f"{key} was found damaged or missing" in told(bench)
    bench.complete(second, artefact=bench.made(second, b"a segment"))
    rest(bench)


def test_tracks_whose_detections_are_gone_too_set_the_job_back(bench: Bench, add_job: AddJob) -> None:
    first, second = redacting(bench, add_job)
    detections = [(bench.chunk(i).artefact or {})["key"] for i in (0, 1)]
    tracks = [(bench.chunk(i, "link").artefact or {})["key"] for i in (0, 1)]
    for key in (detections[1], tracks[0], first.inputs[0].key):
        harm(bench, key)
    report(bench, first, first.inputs[0].key)
    assert bench.job().status == "detecting"
    assert (bench.chunk(0).status, bench.chunk(1).status) == ("done", "pending")
    assert bench.start(second, "w0").stop == ((second.token, "w0"),)  # its attempt is no more
    rest(bench)
    assert [(bench.chunk(i).artefact or {})["key"] for i in (0, 1)] == detections


def test_a_missing_segment_is_redacted_again_before_the_output_is_composed(bench: Bench, add_job: AddJob) -> None:
    detected(bench, add_job)
    step(bench)
    segments = [bench.name_of(order) for order in redact(bench)]
    step(bench)
    (order,) = bench.orders()
    harm(bench, order.inputs[1].key).unlink()
    report(bench, order, order.inputs[1].key)
    assert bench.job().status == "redacting"
    assert [bench.chunk(i, "redact").status for i in (0, 1)] == ["done", "pending"]
    (again,) = bench.orders()
    assert (bench.name_of(again), again.chunk) == (segments[1], 1)
    bench.complete(again, artefact=bench.made(again, b"a segment"))
    rest(bench)


def test_a_damaged_list_of_segments_is_written_again(bench: Bench, add_job: AddJob) -> None:
    order = at_compose(bench, add_job)
    assert order.listed.startswith(f"outputs/{order.fingerprint}/inputs.")
    harm(bench, order.listed)
    report(bench, order, order.listed)
    bench.clock.pass_(10)
    bench.hello()
    (again,) = bench.orders()
    assert (again.listed, again.inputs) == (order.listed, order.inputs)
    assert next((a.status, a.cause) for a in bench.chunk(0, "compose").attempts) == ("lost", "farm")
    bench.complete(again, artefact=write_output(bench, again))
    rest(bench)


def test_a_list_that_cannot_be_written_is_a_loss_of_its_chunk_only(bench: Bench, add_job: AddJob) -> None:
    composing(bench, add_job)
    add_job(job_id="other", output="other.mp4")
    outputs = bench.context.settings.store_root / "outputs"
    outputs.write_text("in the way")
    assert {order.job for order in bench.orders()} == {"other"}
    (attempt,) = bench.chunk(0, "compose").attempts
    assert (attempt.status, attempt.cause) == ("lost", "infrastructure")
    assert "cannot write to" in (attempt.reason or "")
    outputs.unlink()
    bench.clock.pass_(10)
    bench.hello()
    (order,) = bench.orders()
    assert (order.job, order.stage, len(order.inputs)) == ("job", "compose", 2)


def test_a_report_of_what_is_whole_sets_nothing_back(bench: Bench, add_job: AddJob) -> None:
    first, second = redacting(bench, add_job)
    report(bench, first, first.inputs[0].key)
    assert bench.job().status == "redacting"
    bench.complete(second, artefact=bench.made(second, b"a segment"))
    assert ends(bench) == [("done", None)]
    rest(bench)


def test_a_store_that_loses_everything_for_ever_ends_the_job(
    bench: Bench, add_job: AddJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remaking, "_MOST", 3)
    detected(bench, add_job)
    for _ in range(3):
        harm(bench, (bench.chunk(0).artefact or {})["key"])
        step(bench)
        assert bench.job().status == "detecting"
        (order,) = bench.orders()
        bench.detect(order)
    harm(bench, (bench.chunk(0).artefact or {})["key"])
    step(bench)
    assert bench.job().status == "failed"
    assert "check the disk of the store, then: farm retry job" in (bench.job().reason or "")
    control(bench.context, "job", JobEvent.RETRY)
    rest(bench)


def test_a_paused_job_resumes_where_the_artefact_is_made(bench: Bench, add_job: AddJob) -> None:
    detected(bench, add_job)
    step(bench)
    redact(bench)
    step(bench)
    (order,) = bench.orders()
    bench.start(order)
    control(bench.context, "job", JobEvent.PAUSE)
    harm(bench, order.inputs[0].key)
    report(bench, order, order.inputs[0].key)
    assert (bench.job().status, bench.job().interrupted) == ("paused", "redacting")
    control(bench.context, "job", JobEvent.RESUME)
    rest(bench)


def test_a_plan_is_written_again_from_the_database_and_the_source(
    bench: Bench, render: Rendered, tmp_path: Path
) -> None:
    source = render("submitted.mkv", *with_sound(), "-map", "1", "-map", "0", *X264)
    job, manifest = submitted(bench, prepare(asked(source, tmp_path / "out.mkv"), ALL))
    plan = bench.context.settings.store_root / job.plan
    files = {path: path.read_bytes() for path in plan.parent.rglob("*.json")}
    assert len(files) == 1 + len(manifest.chunks)
    bench.hello(encoders=("libx264",), runtimes=("onnxruntime-f32",))
    (order, *_) = bench.orders()
    for path in files:
        path.write_bytes(b"damaged")
    report(bench, order, job.plan)
    assert {path: path.read_bytes() for path in plan.parent.rglob("[!.]*.json")} == files
    assert bench.job(job.id).status == "detecting"


def test_a_report_that_names_another_artefact_is_not_accepted(bench: Bench, add_job: AddJob) -> None:
    """A result is known by its name and digest, a segment by its masks too: see design, "what proves an artefact"."""
    order, _ = redacting(bench, add_job)
    right = bench.made(order, b"a segment")
    tracks = order.inputs[0]
    wrong: list[tuple[str, Artefact]] = [
        ("not an artefact of this chunk", right.model_copy(update={"key": tracks.key, "sha256": tracks.sha256})),
        ("not an artefact of this chunk", right.model_copy(update={"sha256": "0" * 64})),
        ("with other masks", right.model_copy(update={"masks": "0" * 64})),
    ]
    for says, artefact in wrong:
        accept(bench.context, Completed(token=order.token, worker="w0", artefact=artefact))
        attempt = bench.chunk(0, "redact").attempts[-1]
        assert (attempt.status, attempt.cause) == ("failed", "task")
        assert says in (attempt.reason or "")
        bench.clock.pass_(1)
        if says != wrong[-1][0]:
            (order,) = (o for o in bench.orders() if o.chunk == 0)
    assert bench.job().status == "failed"


def test_a_segment_with_fewer_covered_frames_than_the_masks_have_is_not_accepted(bench: Bench, add_job: AddJob) -> None:
    order, _ = redacting(bench, add_job)
    assert order.inputs[0].covered == 5
    few = bench.made(order, b"a segment").model_copy(update={"covered": 4})
    assert few.key == key_of(bench.name_of(order), few.sha256)
    accept(bench.context, Completed(token=order.token, worker="w0", artefact=few))
    assert "4 covered frames, the masks cover 5" in (bench.chunk(0, "redact").attempts[0].reason or "")
    assert bench.chunk(0, "redact").artefact is None
