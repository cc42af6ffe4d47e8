"""Whom a job covers: faces are asked of workers, a rule decides once, and a person's edits count more."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import pytest

from farm.coordinator.advance import ready
from farm.coordinator.outcomes import accept
from farm.database.models import Chunk
from farm.database.statuses import locked_job
from farm.domain.artefacts import key_of, references_name
from farm.domain.edits import Action
from farm.domain.faces import Face, Quality, Reference, dump_face, dump_references
from farm.domain.geometry import Box
from farm.domain.lifecycle import JobEvent
from farm.domain.options import JobOptions
from farm.domain.recognisers import PeopleOptions
from farm.errors import IllegalTransition
from farm.jobs.control import control
from farm.jobs.edits import approve, edits_of, revise, undo
from farm.jobs.queries import job_facts
from farm.jobs.recognition import RULE, biometric, job_known, store_references
from farm.jobs.tracks import JobTracks
from farm.messages import Failed, Order
from tests.integration.coordinator.conftest import AddJob, Bench
from tests.integration.coordinator.test_editing import add, finish, marker, masks
from tests.integration.coordinator.test_stages import step, told

ANNA, BOB = (1.0, 0.0), (0.0, 1.0)
PHOTO = dump_references([Reference("anna.jpg", ANNA)])
OPTIONS = PeopleOptions(
    whom="but", recogniser="onnx:/r.onnx", references=hashlib.sha256(PHOTO.encode()).hexdigest(), smallest=10
)


def begun(bench: Bench, add_job: AddJob, options: PeopleOptions = OPTIONS, *, review: bool = False) -> list[Order]:
    """A job whose faces were detected and linked: the orders that then go out."""
    manifest = add_job(options=JobOptions(people=options))
    bench.hello()
    if review:
        with bench.context.database.write() as session:
            locked_job(session, "job").review = True
    if options.references:
        store_references(bench.context.store, bench.job().plan, PHOTO)
    for order in bench.orders():
        bench.detect(order)
    assert manifest.frames == 10
    step(bench)
    return bench.orders()


def look(bench: Bench, orders: Sequence[Order], *vectors: tuple[float, float]) -> None:
    """Workers look at every second frame of each chunk, whose track shows the same face."""
    for order, vector in zip(orders, vectors, strict=True):
        assert order.stage == "recognise"
        first = order.chunk * 5
        faces = (Face(0, first + n, Box(9, 9, 20, 20), Quality(20, 2, 0, 9), vector) for n in (0, 2, 4))
        made = bench.made(order, "".join(dump_face(face) + "\n" for face in faces).encode())
        bench.start(order)
        bench.complete(order, artefact=made)
    step(bench)


def covered(bench: Bench) -> list[bool]:
    return [bool(mask.boxes) for mask in masks(bench)]


def rows(bench: Bench, stage: str) -> int:
    with bench.context.database.read() as session:
        return session.query(Chunk).filter_by(stage=stage).count()


def test_what_follows_from_photos_is_an_edit(bench: Bench, add_job: AddJob) -> None:
    orders = begun(bench, add_job)
    assert (bench.job().status, bench.job().open_chunks) == ("reviewing", 2)
    look(bench, orders, ANNA, ANNA)
    (edit,) = edits_of(bench.context, "job")
    assert (edit.action, edit.author, edit.begins, edit.ends) == (Action.KEEP, RULE, None, None)
    assert edit.reason == "kept: 6 of 6 look like anna.jpg (1.00)"
    assert (bench.job().status, bench.job().masked) == ("redacting", 1)
    assert covered(bench) == [False] * 10
    (facts,) = JobTracks(bench.context, "job").facts()
    assert (facts.person, facts.reason) == (1, edit.reason)
    assert "by --keep, 1 of 1 tracks are not covered" in told(bench)
    assert "anna" not in told(bench)


def test_faces_are_deleted_once_it_was_decided(bench: Bench, add_job: AddJob) -> None:
    orders = begun(bench, add_job)
    assert biometric(bench.context, "job") == [
        "the faces on its photos, until `farm clean` or retention takes its tracks"
    ]
    store = bench.context.store
    look(bench, orders[:1], ANNA)
    key = (bench.chunk(0, "recognise").artefact or {})["key"]
    assert (store.exists(key), len(biometric(bench.context, "job"))) == (True, 2)
    look(bench, orders[1:], BOB)
    assert (store.exists(key), rows(bench, "recognise"), rows(bench, "people")) == (False, 0, 1)
    assert len(biometric(bench.context, "job")) == 1
    assert covered(bench) == [False] * 5 + [True] * 5


def test_in_review_a_person_sees_what_was_decided_and_decides_otherwise(bench: Bench, add_job: AddJob) -> None:
    orders = begun(bench, add_job, review=True)
    assert (job_facts(bench.context, "job").waits, ready(bench.context)) == (False, ["job"])
    with pytest.raises(IllegalTransition, match=r"not known yet whose faces its tracks show \(follow it: farm watch"):
        approve(bench.context, "job", "somebody", "")
    look(bench, orders, ANNA, ANNA)
    assert (job_facts(bench.context, "job").waits, ready(bench.context)) == (True, [])
    add(bench, *marker(bench).of_tracks(Action.RESTORE, [0], (None, 0.2)))
    approve(bench.context, "job", "somebody", "")
    step(bench)
    assert covered(bench) == [True] * 5 + [False] * 5
    finish(bench)
    add(bench, undo(edits_of(bench.context, "job"), 1, "somebody", ""))
    revise(bench.context, "job")
    step(bench)
    assert covered(bench) == [True] * 10  # and nothing was decided anew
    assert [edit.number for edit in edits_of(bench.context, "job") if edit.author == RULE] == [1]


def test_other_tracks_are_decided_anew_but_for_those_of_which_a_person_has_said(bench: Bench, add_job: AddJob) -> None:
    orders = begun(bench, add_job)
    look(bench, orders, ANNA, ANNA)
    control(bench.context, "job", JobEvent.CANCEL)
    with bench.context.database.write() as session:  # as after other detections
        people = session.query(Chunk).filter_by(stage="people").one()
        people.name = people.name.replace("people.", "people.other", 1)
        job = locked_job(session, "job")
        job.interrupted = "reviewing"
        session.query(Chunk).filter_by(stage="edit").update({"status": "pending", "artefact": None})
        session.query(Chunk).filter_by(stage="redact").delete()
        job.open_chunks = 2
    control(bench.context, "job", JobEvent.RETRY)
    step(bench)
    look(bench, [order for order in bench.orders() if order.stage == "recognise"], ANNA, BOB)
    edits = edits_of(bench.context, "job")
    assert [(edit.action, edit.undoes, edit.ends) for edit in edits] == [
        (Action.KEEP, None, None),
        (Action.UNDO, 1, None),
        (Action.KEEP, None, 5),
    ]
    assert covered(bench) == [False] * 5 + [True] * 5


def test_without_photos_tracks_are_grouped_and_all_are_covered(bench: Bench, add_job: AddJob) -> None:
    orders = begun(bench, add_job, PeopleOptions(recogniser="sface", smallest=10))
    look(bench, orders, BOB, BOB)
    assert edits_of(bench.context, "job") == []
    assert covered(bench) == [True] * 10
    with bench.context.database.read() as session:
        assert job_known(session, bench.context.store, "job")[0].person == 1


def test_faces_that_cannot_be_had_fail_the_job(bench: Bench, add_job: AddJob) -> None:
    (order, _) = begun(bench, add_job)
    bench.start(order)
    why = "face.onnx is missing"
    accept(bench.context, Failed(token=order.token, worker=bench.worker_of(order), reason=why, permanent=True))
    step(bench)
    job = bench.job()
    assert job.status == "failed"
    assert job.reason == f"reviewing: whose faces the tracks show cannot be found out: {why}"


def test_photos_that_are_lost_fail_the_job(bench: Bench, add_job: AddJob) -> None:
    orders = begun(bench, add_job)
    bench.context.store.delete(key_of(references_name(bench.job().plan), str(OPTIONS.references)))
    look(bench, orders, ANNA, ANNA)
    assert "the faces on the photos are not in the store any more" in str(bench.job().reason)
    assert bench.job().status == "failed"


def test_a_job_that_is_cancelled_and_retried_asks_again(bench: Bench, add_job: AddJob) -> None:
    begun(bench, add_job)
    control(bench.context, "job", JobEvent.CANCEL)
    control(bench.context, "job", JobEvent.RETRY)
    step(bench)
    step(bench)
    look(bench, bench.orders(), ANNA, ANNA)
    assert covered(bench) == [False] * 10


def test_other_photos_make_another_job() -> None:
    other = replace(OPTIONS, references="1" * 64)
    assert JobOptions(people=other) != JobOptions(people=OPTIONS)
