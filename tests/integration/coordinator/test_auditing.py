"""An audit before an output is published, and of one that is: what is not audited, or refused, has no output."""

import json
from pathlib import Path

import pytest

from farm.domain.detection import Detection
from farm.domain.detectors import DetectOptions
from farm.domain.edits import Action
from farm.domain.geometry import Box
from farm.domain.residuals import dump_look
from farm.errors import IllegalTransition, NotFound, OutputError, SettingsError
from farm.jobs.auditing import audit, audit_of, job_of_output
from farm.jobs.edits import add_edits, approve, revise
from farm.jobs.plans import job_manifest
from farm.jobs.queries import job_facts
from farm.jobs.record import SUFFIX, exemptions, record
from farm.messages import Order
from tests.integration.coordinator.conftest import CHUNK_FRAMES, AddJob, Bench
from tests.integration.coordinator.test_editing import made, marker, published
from tests.integration.coordinator.test_stages import detected, step

#: Where nothing is covered; the job's only track stands still at 10, 10.
ELSEWHERE, COVERED = Box(40, 20, 12, 12), Box(11, 11, 18, 18)


def prepared(bench: Bench, add_job: AddJob, *, strict: bool = False) -> None:
    """A job that is to be audited, whose masks are made."""
    detected(bench, add_job)
    with bench.context.database.write() as session:
        job = session.merge(bench.job())
        job.audit = audit_of(job_manifest(session, "job"), DetectOptions(), 2).request()
        job.strict = strict
    step(bench)


def look(bench: Bench, order: Order, *boxes: Box) -> None:
    """Do an errand: these faces are found in every frame that is looked at."""
    first = order.chunk * CHUNK_FRAMES
    numbers = [n for n in range(first, first + CHUNK_FRAMES) if n % 2 == 0]
    text = "".join(dump_look(n, [Detection(box, 0.9) for box in boxes]) + "\n" for n in numbers)
    artefact = bench.made(order, text.encode())
    bench.start(order)
    bench.complete(order, artefact=artefact)


def work(bench: Bench, *boxes: Box) -> list[str]:
    """Do all that is ordered, until nothing is; returns what."""
    done = []
    while orders := bench.orders():
        for order in orders:
            done.append(order.stage)
            if order.stage == "audit":
                look(bench, order, *boxes)
            else:
                bench.start(order)
                bench.complete(order, artefact=made(bench, order))
        step(bench)
    return done


def test_nothing_is_published_before_it_was_audited(bench: Bench, add_job: AddJob) -> None:
    prepared(bench, add_job)
    while bench.job().status != "composing" or bench.job().open_chunks:
        for order in bench.orders():
            bench.start(order)
            bench.complete(order, artefact=made(bench, order))
        step(bench)
    output = Path(bench.job().output)
    first, second = bench.orders()
    assert {first.stage, second.stage} == {"audit"}
    look(bench, first, COVERED)
    step(bench)
    assert (bench.job().status, output.exists()) == ("composing", False)
    look(bench, second, COVERED, ELSEWHERE)
    step(bench)
    assert (bench.job().status, output.exists()) == ("done", True)
    audited = bench.job().audited
    assert audited is not None
    assert [(face["box"], face["looks"]) for face in audited["faces"]] == [([40, 20, 12, 12], 2)]
    beside = json.loads(output.with_name(output.name + SUFFIX).read_text())
    assert (beside["audit"]["faces"], beside["output"]["sha256"]) == (audited["faces"], bench.job().published)


def test_a_strict_audit_sends_the_job_to_a_person(bench: Bench, add_job: AddJob) -> None:
    prepared(bench, add_job, strict=True)
    assert work(bench, ELSEWHERE) == ["redact", "redact", "compose", "audit", "audit"]
    facts = job_facts(bench.context, "job")
    assert (facts.status, facts.refused, Path(facts.output).exists()) == ("reviewing", True, False)
    approve(bench.context, "job", "somebody", "")
    step(bench)
    assert work(bench, ELSEWHERE) == []  # nothing changed, so it is refused again
    assert job_facts(bench.context, "job").refused
    box = marker(bench).cover("40,20,12,12", (None, None))
    add_edits(bench.context, "job", lambda _: [box])
    approve(bench.context, "job", "somebody", "")
    step(bench)
    assert work(bench, ELSEWHERE) == ["redact", "redact", "compose", "audit", "audit"]
    assert (bench.job().status, Path(facts.output).exists()) == ("done", True)


@pytest.mark.parametrize(("action", "refused"), [(Action.KEEP, False), (Action.DROP, True)])
def test_a_face_that_is_kept_may_be_seen_and_one_that_was_dropped_may_not(
    bench: Bench, add_job: AddJob, action: Action, refused: bool
) -> None:
    prepared(bench, add_job, strict=True)
    work(bench)
    assert bench.job().status == "done"
    edits = marker(bench).of_tracks(action, [0], (None, None))
    add_edits(bench.context, "job", lambda _: edits)
    revise(bench.context, "job")
    step(bench)
    work(bench, COVERED)
    assert job_facts(bench.context, "job").refused == refused


def test_an_audit_of_an_output(bench: Bench, add_job: AddJob) -> None:
    published(bench, add_job)
    output = Path(bench.job().output)
    assert job_of_output(bench.context, output) == "job"
    with pytest.raises(NotFound, match="no job of this farm"):
        job_of_output(bench.context, output.with_name("other.mp4"))

    def tend() -> None:
        for order in bench.orders():
            look(bench, order, ELSEWHERE)

    found = audit(bench.context, "job", lambda detect: detect, 2, tend)
    assert (found["looks"], len(found["faces"])) == (5, 1)
    again = audit(bench.context, "job", lambda detect: detect, 2, lambda: pytest.fail("it was done before"))
    assert again == found
    said = record(bench.context, "job")
    assert (said["audit"]["faces"], said["video"]["frames"]) == (found["faces"], 10)
    edits = marker(bench).of_tracks(Action.KEEP, [0], (None, None))
    add_edits(bench.context, "job", lambda _: edits)
    assert "keep" not in exemptions(bench.context, "job")  # the output does not contain it
    output.write_bytes(b"another")
    with pytest.raises(OutputError, match="was changed"):
        audit(bench.context, "job", lambda detect: detect, 2, tend)


def test_only_what_is_done_is_audited(bench: Bench, add_job: AddJob) -> None:
    add_job()
    with pytest.raises(IllegalTransition, match="not done"):
        audit(bench.context, "job", lambda detect: detect, 2, lambda: None)


def test_a_record_replaces_no_other_file(bench: Bench, add_job: AddJob) -> None:
    prepared(bench, add_job)
    output = Path(bench.job().output)
    beside = output.with_name(output.name + SUFFIX)
    beside.write_text("mine")
    work(bench)
    assert (bench.job().status, beside.read_text()) == ("done", "mine")
    assert any("record was not written" in note for note in job_facts(bench.context, "job").notes)


def test_every_frame_is_looked_at_where_an_edit_uncovers_a_part_of_a_track(bench: Bench, add_job: AddJob) -> None:
    prepared(bench, add_job, strict=True)
    work(bench)
    edits = marker(bench).of_tracks(Action.DROP, [0], (0.24, 0.28))  # one frame of the second chunk
    add_edits(bench.context, "job", lambda _: edits)
    revise(bench.context, "job")
    step(bench)
    every = dict[int, object]()
    while orders := bench.orders():
        for order in orders:
            if order.stage == "audit":
                every[order.chunk] = order.request["every"]
            bench.start(order)
            bench.complete(order, artefact=bench.made(order, b"") if order.stage == "audit" else made(bench, order))
        step(bench)
    assert every[1] == 1
    assert every.get(0, 2) == 2


def test_one_audit_waits_for_another(bench: Bench, add_job: AddJob) -> None:
    published(bench, add_job)
    others: list[int] = []

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        audit(bench.context, "job", lambda detect: detect, 3, interrupt)

    def tend() -> None:
        for order in bench.orders():
            others.append(int(str(order.request["every"])))
            bench.start(order)
            bench.complete(order, artefact=bench.made(order, b""))

    audit(bench.context, "job", lambda detect: detect, 2, tend)
    assert others == [3, 3, 2, 2]


def test_an_audit_ends_where_segments_are_lost(bench: Bench, add_job: AddJob) -> None:
    published(bench, add_job)
    lost = (bench.chunk(0, "redact").artefact or {})["key"]

    def tend() -> None:
        bench.context.store.delete(lost)

    with pytest.raises(NotFound, match="not in the store any more"):
        audit(bench.context, "job", lambda detect: detect, 2, tend)
    with pytest.raises(SettingsError, match="every 0 frames"):
        audit(bench.context, "job", lambda detect: detect, 0, tend)


@pytest.mark.parametrize("lose", ["damaged", "deleted"])
def test_findings_that_the_store_has_lost_are_made_again(bench: Bench, add_job: AddJob, lose: str) -> None:
    published(bench, add_job)
    done: list[str] = []

    def tend() -> None:
        for order in bench.orders():
            done.append(order.stage)
            look(bench, order, ELSEWHERE)

    found = audit(bench.context, "job", lambda detect: detect, 2, tend)
    key = (bench.chunk(1, "audit").artefact or {})["key"]
    if lose == "damaged":
        file = bench.context.settings.store_root / key
        file.chmod(0o600)
        file.write_bytes(b"damaged")
    else:
        bench.context.store.delete(key)
    assert audit(bench.context, "job", lambda detect: detect, 2, tend) == found
    assert done == ["audit"] * 3
