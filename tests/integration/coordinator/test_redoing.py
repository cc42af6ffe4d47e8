"""A part of a video is looked at again: its chunks only, and only what changed is encoded."""

from dataclasses import replace

import pytest

from farm.domain.detection import ChunkDetections, Detection, FrameDetections, dump_chunk, dump_frame
from farm.domain.detectors import DetectOptions
from farm.domain.edits import Action
from farm.domain.geometry import Box
from farm.domain.lifecycle import JobEvent
from farm.errors import EditError, IllegalTransition
from farm.jobs.control import control
from farm.jobs.edits import add_edits
from farm.jobs.proving import prove
from farm.jobs.queries import job_facts
from farm.jobs.redoing import redo
from farm.messages import Order
from tests.integration.coordinator.conftest import CHUNK_FRAMES, AddJob, Bench
from tests.integration.coordinator.test_editing import finish, marker, published
from tests.integration.coordinator.test_stages import detected, step

FOUND = Detection(Box(10, 10, 20, 20), 0.9)
OTHER = Detection(Box(40, 5, 15, 15), 0.95)


def thorough(detect: DetectOptions) -> DetectOptions:
    return replace(detect, quality="thorough")


def again(bench: Bench, order: Order, *faces: Detection) -> None:
    """Do a detect order: these faces stand still in all frames."""
    with bench.context.store.put(bench.name_of(order)) as draft, draft.path.open("w") as out:
        for n in range(CHUNK_FRAMES):
            out.write(dump_frame(FrameDetections(order.chunk * CHUNK_FRAMES + n, False, faces)) + "\n")
        out.write(dump_chunk(ChunkDetections(CHUNK_FRAMES)) + "\n")
    bench.start(order)
    bench.complete(order, artefact=draft.artefact(CHUNK_FRAMES))


@pytest.fixture
def done(bench: Bench, add_job: AddJob, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """A job of two chunks that is done; chunks of a fifth of a second are shorter than the usual margin."""
    monkeypatch.setattr("farm.jobs.redoing.MARGIN", 0.01)
    published(bench, add_job)
    return bench


def test_only_the_part_is_looked_at_again_as_was_asked(done: Bench) -> None:
    assert redo(done.context, "job", (0.25, 0.3), thorough) == ("job", 1)
    assert done.job().status == "detecting"
    (order,) = done.orders()
    assert (order.stage, order.chunk) == ("detect", 1)
    assert order.request["detect"]["quality"] == "thorough"  # type: ignore[index,call-overload]
    again(done, order, FOUND)
    step(done)
    assert finish(done) == [("compose", 0)]  # nothing else changed: masks name no tracks
    links = prove(done.context, "job").links
    assert [link.holds for link in links if link.name != "source"] == [True] * (len(links) - 1)  # which is no video


def test_what_changed_is_encoded_again(done: Bench) -> None:
    redo(done.context, "job", (0.25, None), thorough)
    (order,) = done.orders()
    again(done, order, FOUND, OTHER)
    step(done)
    stages = finish(done)
    assert ("redact", 1) in stages
    assert job_facts(done.context, "job").status == "done"
    # what was asked for stays, and is asked for no more once the job's own options are
    assert done.chunk(1).request["detect"]["quality"] == "thorough"
    redo(done.context, "job", (0.25, None), lambda detect: detect)
    (order,) = done.orders()
    assert (order.request, order.known is not None) == ({}, False)


def test_edits_are_kept_and_one_that_finds_no_track_makes_the_job_wait(done: Bench) -> None:
    edits = marker(done).of_tracks(Action.KEEP, [0], (None, None))
    add_edits(done.context, "job", lambda _: edits)
    redo(done.context, "job", (None, None), thorough)
    orders = done.orders()
    assert len(orders) == 2
    for order in orders:
        again(done, order, OTHER)
    step(done)
    facts = job_facts(done.context, "job")
    assert (facts.status, facts.waits, done.job().unmatched) == ("reviewing", True, [1])


def test_a_job_that_waits_for_review_waits_again(
    bench: Bench, add_job: AddJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farm.jobs.redoing.MARGIN", 0.01)
    detected(bench, add_job)
    with bench.context.database.write() as session:
        session.merge(bench.job()).review = True
    step(bench)
    redo(bench.context, "job", (0.25, None), thorough)
    (order,) = bench.orders()
    again(bench, order, FOUND, OTHER)
    step(bench)
    assert (bench.job().status, bench.job().review, bench.orders()) == ("reviewing", True, [])


def test_what_cannot_be_looked_at_again(bench: Bench, add_job: AddJob) -> None:
    add_job()
    with pytest.raises(IllegalTransition, match="is not done: it is detecting"):
        redo(bench.context, "job", (None, None), thorough)
    control(bench.context, "job", JobEvent.PAUSE)
    with pytest.raises(IllegalTransition, match="is not done: it is paused"):
        redo(bench.context, "job", (None, None), thorough)


def test_a_part_outside_the_video(done: Bench) -> None:
    with pytest.raises(EditError, match="is not in the video"):
        redo(done.context, "job", (100.0, None), thorough)

    def refuse(_: DetectOptions) -> DetectOptions:
        raise EditError("no such weights")

    with pytest.raises(EditError, match="no such weights"):
        redo(done.context, "job", (None, None), refuse)
    assert done.job().status == "done"


def test_what_was_found_otherwise_is_of_no_other_job(done: Bench, add_job: AddJob) -> None:
    """Neither does a redo take what another job has found, nor another job what a redo has."""
    redo(done.context, "job", (0.25, None), thorough)
    (order,) = done.orders()
    assert order.known is None
    again(done, order)  # nothing is found
    step(done)
    finish(done)
    add_job("other", output="other.mp4")
    known = {order.chunk: order.known for order in done.orders() if order.job == "other"}
    assert known[0] is not None  # which the other job has found as this one would
    assert known[1] is None
