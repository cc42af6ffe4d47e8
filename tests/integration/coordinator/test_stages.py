"""From stage to stage, once; publishing by one step."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from farm.cli.tables import job_lines
from farm.coordinator.advance import advance, ready
from farm.database.models import Attempt, Chunk, Job
from farm.domain.lifecycle import JobEvent
from farm.domain.manifest import Manifest
from farm.domain.options import JobOptions, LinkOptions
from farm.domain.track import load_frame
from farm.errors import DatabaseError, StorageError
from farm.jobs.control import control
from farm.jobs.queries import job_events, job_facts
from farm.jobs.retention import discard_intermediates
from farm.messages import Artefact, Order
from farm.storage.base import is_whole
from tests.integration.coordinator.conftest import Bench
from tests.memory_store import keys_below

AddJob = Callable[..., Manifest]


def step(bench: Bench) -> None:
    for job in ready(bench.context):
        advance(bench.context, job)


def write_output(bench: Bench, order: Order, content: bytes = b"the video") -> Artefact:
    return bench.made(order, content, frames=10)


def told(bench: Bench, job: str = "job") -> str:
    return "\n".join(text for _, text in job_events(bench.context, job))


def detected(bench: Bench, add_job: AddJob) -> None:
    add_job()
    bench.hello()
    for order in bench.orders():
        bench.detect(order)


def redacted(bench: Bench) -> Order:
    step(bench)
    for order in bench.orders():
        bench.start(order)
        bench.complete(order)
    step(bench)
    return bench.orders()[0]


def test_link_writes_one_line_of_tracks_a_frame(bench: Bench, add_job: AddJob) -> None:
    detected(bench, add_job)
    step(bench)
    assert bench.job().status == "redacting"
    orders = bench.orders()
    assert [o.stage for o in orders] == ["redact", "redact"]
    with bench.context.store.fetch(orders[1].inputs[0].key) as path:
        frames = [load_frame(line) for line in path.read_text().splitlines()]
    assert [f.pts for f in frames] == [5, 6, 7, 8, 9]
    assert all(len(f.boxes) == 1 for f in frames)


def test_advancing_twice_makes_no_second_stage(bench: Bench, add_job: AddJob) -> None:
    detected(bench, add_job)
    advance(bench.context, "job")
    advance(bench.context, "job")
    assert len(bench.orders()) == 2


def test_detections_that_are_not_what_was_reported_are_made_again(bench: Bench, add_job: AddJob) -> None:
    detected(bench, add_job)
    artefact = bench.chunk().artefact
    assert artefact is not None
    (bench.context.settings.store_root / artefact["key"]).write_text("tampered\n")
    step(bench)
    assert bench.job().status == "detecting"
    (order,) = bench.orders()
    assert (order.stage, order.chunk) == ("detect", 0)
    bench.detect(order)
    step(bench)
    assert bench.job().status == "redacting"
    assert bench.chunk().artefact == artefact
    assert f"{artefact['key']} was found damaged or missing" in told(bench)


def test_done_only_after_the_output_has_its_name(bench: Bench, add_job: AddJob) -> None:
    detected(bench, add_job)
    order = redacted(bench)
    assert order.stage == "compose"
    final = Path(bench.job().output)
    bench.start(order)
    bench.complete(order, frames=10, artefact=write_output(bench, order))
    assert bench.job().status == "composing"
    assert not final.exists()
    step(bench)
    assert bench.job().status == "done"
    assert final.read_bytes() == b"the video"
    assert [p.name for p in final.parent.iterdir() if "part" in p.name] == []


def test_what_a_killed_coordinator_left_beside_the_output_is_removed(bench: Bench, add_job: AddJob) -> None:
    detected(bench, add_job)
    order = redacted(bench)
    final = Path(bench.job().output)
    ours, theirs = final.with_name(".blurfarm-job-0123.part"), final.with_name(".blurfarm-job2-0123.part")
    for path in (ours, theirs):
        path.write_bytes(b"half")
    final.with_name(".blurfarm-job-4567.part").mkdir()  # of pictures
    bench.start(order)
    bench.complete(order, frames=10, artefact=write_output(bench, order))
    step(bench)
    assert bench.job().status == "done"
    assert [p.name for p in final.parent.iterdir() if "part" in p.name] == [theirs.name]


def test_a_former_leader_that_fails_to_publish_does_not_fail_a_job_that_another_has_ended(
    bench: Bench, add_job: AddJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was stopped in the middle, and the other one has removed what it had begun."""
    detected(bench, add_job)
    order = redacted(bench)
    bench.start(order)
    bench.complete(order, frames=10, artefact=write_output(bench, order))

    def stopped(store: object, job: Job, output: object) -> None:
        monkeypatch.undo()
        step(bench)
        raise StorageError("the temporary file is gone")

    monkeypatch.setattr("farm.coordinator.advance.publish_output", stopped)
    step(bench)
    assert (bench.job().status, bench.job().reason) == ("done", None)


def test_intermediates_are_removed_unless_an_unfinished_job_shares_them(bench: Bench, add_job: AddJob) -> None:
    detected(bench, add_job)
    order = redacted(bench)
    output, store = write_output(bench, order), bench.context.store
    segments, tracks = bench.chunk(0, "redact").fingerprint, bench.chunk(0, "redact").inputs[0]["key"]
    with store.put(bench.chunk(0, "redact").name) as draft:
        draft.path.write_bytes(b"a segment")
    segment = draft.key
    add_job("twin", output="twin.mp4")
    with bench.context.database.write() as session:
        session.add(Chunk(job_id="twin", stage="redact", index=0, frames=5, fingerprint=segments))
    bench.complete(order, frames=10, artefact=output)
    step(bench)
    assert bench.job().status == "done"
    assert store.exists(segment)
    assert not store.exists(output.key)
    control(bench.context, "twin", JobEvent.CANCEL)
    discard_intermediates(bench.context, "job")
    assert store.exists(segment)  # a cancelled job may be retried
    with bench.context.database.write() as session:
        session.query(Chunk).filter_by(job_id="twin", stage="redact").delete()
    discard_intermediates(bench.context, "job")
    assert store.exists(segment)  # the settings keep segments
    context = replace(bench.context, settings=bench.context.settings.model_copy(update={"keep_segments": False}))
    discard_intermediates(context, "job")
    assert keys_below(store, "segments") == []
    assert store.exists(tracks)


def test_people_see_the_stages_of_workers(bench: Bench, add_job: AddJob) -> None:
    detected(bench, add_job)
    step(bench)
    facts = job_facts(bench.context, "job")
    assert [(s.stage, s.chunks, s.chunks_done, s.frames, s.frames_done) for s in facts.stages] == [
        ("detect", 2, 2, 10, 10), ("redact", 2, 0, 10, 0), ("compose", 0, 0, 10, 0),
    ]  # fmt: skip
    assert " 33 % " in list(job_lines([facts], 80))[1]


def test_artefacts_that_are_not_those_of_all_chunks_begin_no_stage(bench: Bench, add_job: AddJob) -> None:
    detected(bench, add_job)
    with bench.context.database.write() as session:
        session.query(Attempt).delete()
        session.query(Chunk).filter_by(index=1).delete()
    step(bench)
    assert bench.job().status == "failed"
    assert "the artefacts of detect are not those of all chunks" in (bench.job().reason or "")
    assert bench.orders() == []


def test_a_crash_between_publishing_and_its_record_is_harmless(bench: Bench, add_job: AddJob) -> None:
    detected(bench, add_job)
    order = redacted(bench)
    bench.complete(order, frames=10, artefact=write_output(bench, order))
    Path(bench.job().output).write_bytes(b"the video")
    step(bench)
    assert bench.job().status == "done"


def test_an_output_that_appeared_meanwhile_is_not_replaced(bench: Bench, add_job: AddJob) -> None:
    detected(bench, add_job)
    order = redacted(bench)
    bench.complete(order, frames=10, artefact=write_output(bench, order))
    Path(bench.job().output).write_bytes(b"somebody's own")
    step(bench)
    assert bench.job().status == "failed"
    assert "already exists" in (bench.job().reason or "")
    assert Path(bench.job().output).read_bytes() == b"somebody's own"


def test_an_error_after_the_job_is_done_is_in_the_log(
    bench: Bench, add_job: AddJob, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    detected(bench, add_job)
    order = redacted(bench)
    bench.complete(order, frames=10, artefact=write_output(bench, order))

    def refuse(*_: object) -> None:
        raise OSError("no such disk")

    monkeypatch.setattr("farm.coordinator.advance.discard_intermediates", refuse)
    step(bench)
    assert (bench.job().status, bench.job().reason) == ("done", None)
    assert "job job: no such disk" in caplog.text


def test_a_database_that_refuses_once_fails_no_job(
    bench: Bench, add_job: AddJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    detected(bench, add_job)

    def refuse(*_: object) -> None:
        raise DatabaseError("the connection broke")

    with monkeypatch.context() as patch:
        patch.setattr("farm.coordinator.advance.begin_stage", refuse)
        with pytest.raises(DatabaseError):
            advance(bench.context, "job")
    assert bench.job().status == "detecting"
    step(bench)
    assert bench.job().status == "redacting"


def test_tracks_that_are_damaged_in_the_store_are_made_again(bench: Bench, add_job: AddJob) -> None:
    detected(bench, add_job)
    step(bench)
    made = [bench.chunk(i, "link").artefact or {} for i in (0, 1)]
    (bench.context.settings.store_root / made[1]["key"]).write_text("damaged")
    add_job("again", output="again.mp4")
    while orders := [order for order in bench.orders() if order.stage == "detect"]:
        for order in orders:
            bench.detect(order)
    step(bench)
    assert [bench.chunk(i, "link", "again").artefact for i in (0, 1)] == made
    assert is_whole(bench.context.store, made[1]["key"])
    assert "was damaged: set aside" in told(bench, "again")


@pytest.mark.parametrize("face", [False, True])
def test_a_video_without_a_face_is_not_published_where_faces_are_required(
    bench: Bench, add_job: AddJob, face: bool
) -> None:
    add_job(options=JobOptions(link=LinkOptions(require_faces=True)))
    bench.hello()
    first, second = bench.orders()
    bench.detect(first, face=False)
    bench.detect(second, face=face)
    for _ in range(2):  # a retry ends in the same way
        step(bench)
        facts = job_facts(bench.context, "job")
        assert facts.faces == face
        if face:
            assert facts.status == "redacting"
            return
        assert facts.status == "failed"
        assert "linking: no face was found in any of the 10 frames, and --require-faces" in (facts.reason or "")
        assert not Path(facts.output).exists()
        assert bench.orders() == []
        control(bench.context, "job", JobEvent.RETRY)


def test_the_facts_tell_where_no_face_was_found(bench: Bench, add_job: AddJob) -> None:
    add_job(chunks=12, options=JobOptions(link=LinkOptions(hold=0.25)))  # chunks of 0.2 s each
    bench.hello()
    while orders := bench.orders():
        for order in orders:
            bench.detect(order, face=order.chunk == 0)
    assert job_facts(bench.context, "job").without_faces is None
    step(bench)
    facts = job_facts(bench.context, "job")
    # held for a quarter of a second behind the last detection, at 0.16 s
    assert (facts.faces, facts.frames_with_faces, facts.without_faces) == (1, 11, [[0.44, 2.4]])
