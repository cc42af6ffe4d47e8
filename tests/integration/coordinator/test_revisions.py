"""New revisions of a published output: what is made again, what is replaced, and what makes a job wait."""

from collections.abc import Callable
from pathlib import Path

import pytest

from farm.database.models import Attempt
from farm.domain.edits import Action, Edit, KeyFrame
from farm.domain.geometry import Box
from farm.domain.lifecycle import JobEvent
from farm.domain.manifest import Manifest
from farm.errors import IllegalTransition, NotFound, OutputError, SourceError
from farm.jobs.control import control
from farm.jobs.edits import add_edits, approve, revise, undo
from farm.jobs.proving import prove
from farm.jobs.queries import job_facts
from farm.jobs.tracks import JobTracks
from tests.integration.coordinator.conftest import Bench
from tests.integration.coordinator.test_editing import add, finish, made, marker, masks, published
from tests.integration.coordinator.test_stages import detected, step, told

AddJob = Callable[..., Manifest]


def test_a_revision_encodes_only_the_chunks_whose_masks_changed(bench: Bench, add_job: AddJob) -> None:
    output = published(bench, add_job)
    before, segments = output.read_bytes(), [bench.chunk(i, "redact").artefact for i in (0, 1)]
    add(bench, marker(bench).cover("1,2,3,4", (0.0, 0.1)))
    assert job_facts(bench.context, "job").unmasked == 1
    assert revise(bench.context, "job") == ("job", True)
    assert output.read_bytes() == before  # until the next one is there
    step(bench)
    assert finish(bench) == [("redact", 0), ("compose", 0)]
    assert [bench.chunk(i, "redact").artefact == segments[i] for i in (0, 1)] == [False, True]
    assert [(s.chunks, s.chunks_reused) for s in job_facts(bench.context, "job").stages] == [(2, 0), (2, 1), (1, 0)]
    assert output.read_bytes() != before
    assert job_facts(bench.context, "job").unmasked == 0
    assert {link.name: link.holds for link in prove(bench.context, "job").links}["redact"]
    assert revise(bench.context, "job") == ("job", False)


def test_a_revision_in_which_no_mask_changed_encodes_nothing(bench: Bench, add_job: AddJob) -> None:
    output = published(bench, add_job)
    before = output.read_bytes()
    add(bench, *marker(bench).of_tracks(Action.RESTORE, [0], (None, None)))
    revise(bench.context, "job")
    step(bench)
    assert finish(bench) == [("compose", 0)]
    assert output.read_bytes() == before


def test_an_undone_edit_brings_the_earlier_segment_back(bench: Bench, add_job: AddJob) -> None:
    published(bench, add_job)
    first = bench.chunk(0, "redact").artefact
    add(bench, marker(bench).cover("1,2,3,4", (0.0, 0.1)))
    revise(bench.context, "job")
    step(bench)
    finish(bench)
    add_edits(bench.context, "job", lambda before: [undo(before, None, "somebody", "")])
    revise(bench.context, "job")
    step(bench)
    finish(bench)
    assert bench.chunk(0, "redact").artefact == first


def test_what_retention_has_taken_is_made_again_for_a_revision(bench: Bench, add_job: AddJob) -> None:
    published(bench, add_job)
    for stage in ("redact", "edit", "link", "detect"):
        for index in (0, 1):
            bench.context.store.delete((bench.chunk(index, stage).artefact or {})["key"])
    add(bench, marker(bench).cover("1,2,3,4", (0.0, 0.1)))
    revise(bench.context, "job")
    assert bench.job().status == "detecting"
    for order in bench.orders():
        bench.detect(order)
    step(bench)
    assert finish(bench) == [("redact", 0), ("redact", 1), ("compose", 0)]


def test_a_revision_replaces_only_what_the_job_published(bench: Bench, add_job: AddJob) -> None:
    output = published(bench, add_job)
    add(bench, marker(bench).cover("1,2,3,4", (0.0, 0.1)))
    output.write_bytes(b"somebody else's")
    with pytest.raises(OutputError, match=r"out.mp4 was changed since it was published \(move it away"):
        revise(bench.context, "job")
    assert (bench.job().status, output.read_bytes()) == ("done", b"somebody else's")
    output.unlink()
    revise(bench.context, "job")
    step(bench)
    finish(bench)
    assert output.exists()


def test_a_revision_that_is_retried_replaces_nothing_of_others(bench: Bench, add_job: AddJob) -> None:
    output = published(bench, add_job)
    add(bench, marker(bench).cover("1,2,3,4", (0.0, 0.1)))
    revise(bench.context, "job")
    step(bench)
    control(bench.context, "job", JobEvent.CANCEL)
    with pytest.raises(IllegalTransition, match=r"it is cancelled \(farm retry job\)"):
        revise(bench.context, "job")
    output.unlink()  # it may be linked to the store
    output.write_bytes(b"somebody else's")
    control(bench.context, "job", JobEvent.RETRY)
    for _ in range(2):  # the chunk, then the whole
        for order in bench.orders():
            bench.start(order)
            bench.complete(order, artefact=made(bench, order))
        step(bench)
    assert (output.read_bytes(), bench.job().status) == (b"somebody else's", "failed")


def test_a_revision_whose_tracks_are_gone_contains_the_edit(bench: Bench, add_job: AddJob) -> None:
    published(bench, add_job)
    add(bench, marker(bench).cover("1,2,3,4", (0.0, 0.1)))
    for index in (0, 1):
        bench.context.store.delete((bench.chunk(index, "link").artefact or {})["key"])
    with pytest.raises(NotFound, match=r"not in the store any more \(farm redact job makes them again\)"):
        JobTracks(bench.context, "job")
    revise(bench.context, "job")
    step(bench)
    finish(bench)
    assert [mask.boxes[0].track for mask in masks(bench)] == [-1] * 3 + [0] * 7


def test_tracks_that_are_gone_are_made_again_without_an_edit(bench: Bench, add_job: AddJob) -> None:
    published(bench, add_job)
    bench.context.store.delete((bench.chunk(0, "link").artefact or {})["key"])
    assert revise(bench.context, "job") == ("job", True)
    step(bench)
    assert finish(bench) == [("compose", 0)]
    assert JobTracks(bench.context, "job").facts()


def test_a_job_that_is_not_done_and_one_without_its_source_are_not_revised(bench: Bench, add_job: AddJob) -> None:
    detected(bench, add_job)
    with pytest.raises(IllegalTransition, match=r"job job is not done: it is detecting \(follow it: farm watch job\)"):
        revise(bench.context, "job")
    step(bench)
    finish(bench)
    add(bench, marker(bench).cover("1,2,3,4", (0.0, 0.1)))
    Path(bench.job().source).write_bytes(b"another")
    with pytest.raises(SourceError):
        revise(bench.context, "job")
    assert bench.job().status == "done"


def test_an_edit_whose_track_is_gone_makes_the_job_wait_and_is_named(bench: Bench, add_job: AddJob) -> None:
    published(bench, add_job)
    add(bench, Edit(action=Action.DROP, where=(KeyFrame(3, Box(40, 30, 10, 10)),), track=7))
    revise(bench.context, "job")
    step(bench)
    assert (bench.job().status, job_facts(bench.context, "job").waits, bench.orders()) == ("reviewing", True, [])
    assert "waits for a person: no track is where it was for edit 1 (drop track 7)" in told(bench)
    approve(bench.context, "job", "somebody", "it is gone, and that is right")
    step(bench)
    assert finish(bench) == [("compose", 0)]  # nothing else had changed


def test_no_attempt_is_left_of_rows_that_a_revision_replaced(bench: Bench, add_job: AddJob) -> None:
    published(bench, add_job)
    add(bench, marker(bench).cover("1,2,3,4", (0.0, 0.1)))
    revise(bench.context, "job")
    step(bench)
    finish(bench)
    with bench.context.database.read() as session:
        assert all(attempt.chunk is not None for attempt in session.query(Attempt))
