"""Edits of the sound: they change what is composed, and nothing that is encoded of the video."""

from collections.abc import Callable
from typing import Any

import pytest

from farm.domain.edits import Action
from farm.domain.lifecycle import JobEvent
from farm.domain.manifest import Manifest, OtherStream
from farm.domain.options import ComposeOptions, JobOptions
from farm.errors import EditError
from farm.jobs.control import control
from farm.jobs.edits import add_edits, approve, revise, undo
from farm.jobs.proving import prove
from farm.jobs.queries import job_facts
from tests.integration.coordinator.conftest import Bench
from tests.integration.coordinator.test_editing import add, made, marker, published
from tests.integration.coordinator.test_outcomes import fail
from tests.integration.coordinator.test_stages import detected, step

AddJob = Callable[..., Manifest]
AAC = (OtherStream(1, "audio", "aac"),)


def heard(add_job: AddJob) -> AddJob:
    return lambda: add_job(others=AAC)


def test_a_mute_composes_anew_and_encodes_nothing(bench: Bench, add_job: AddJob) -> None:
    published(bench, heard(add_job))
    names = [bench.chunk(i, stage).name for stage in ("edit", "redact") for i in (0, 1)]
    before = bench.chunk(0, "compose").name
    add(bench, marker(bench).sound(Action.MUTE, (0.1, 0.2)))
    assert job_facts(bench.context, "job").unmasked == 1
    revise(bench.context, "job")
    step(bench)
    (order,) = bench.orders()
    assert (order.stage, order.request) == ("compose", {"sound": [{"action": "mute", "from": 2, "to": 5}]})
    assert [bench.chunk(i, stage).name for stage in ("edit", "redact") for i in (0, 1)] == names
    muted = bench.chunk(0, "compose").name
    assert muted != before
    bench.start(order)
    bench.complete(order, artefact=made(bench, order))
    step(bench)
    assert bench.job().status == "done"
    add_edits(bench.context, "job", lambda edits: [undo(edits, None, "somebody", "")])
    revise(bench.context, "job")
    step(bench)
    assert bench.chunk(0, "compose").name == before


def test_what_is_said_of_the_sound_during_a_review_is_in_the_first_output(bench: Bench, add_job: AddJob) -> None:
    detected(bench, heard(add_job))
    with bench.context.database.write() as session:
        session.merge(bench.job()).review = True
    step(bench)
    add(bench, marker(bench).sound(Action.BEEP, (None, 0.2)), marker(bench).sound(Action.MUTE, (0.0, 0.1)))
    approve(bench.context, "job", "somebody", "")
    add(bench, marker(bench).sound(Action.MUTE, (0.3, None)))  # too late
    step(bench)
    for order in bench.orders():
        bench.start(order)
        bench.complete(order, artefact=made(bench, order))
    step(bench)
    (order,) = bench.orders()
    spans = [{"action": "mute", "from": None, "to": 3}, {"action": "beep", "from": 3, "to": 5}]
    assert order.request == {"sound": spans}
    assert job_facts(bench.context, "job").unmasked == 1


def test_a_job_that_its_sound_made_fail_goes_on_without_the_edit(bench: Bench, add_job: AddJob) -> None:
    published(bench, heard(add_job))
    add(bench, marker(bench).sound(Action.MUTE, (0.1, 0.2)))
    revise(bench.context, "job")
    step(bench)
    (order,) = bench.orders()
    bench.start(order)
    fail(bench, order.token, permanent=True)
    step(bench)
    assert bench.job().status == "failed"
    add_edits(bench.context, "job", lambda edits: [undo(edits, None, "somebody", "")])
    control(bench.context, "job", JobEvent.RETRY)
    (order,) = bench.orders()
    assert order.request == {}
    bench.start(order)
    bench.complete(order, artefact=made(bench, order))
    step(bench)
    assert {link.name: link.holds for link in prove(bench.context, "job").links}["compose"]


@pytest.mark.parametrize(
    ("others", "options", "why"),
    [
        ((), {}, "has no sound to mute: its video has none"),
        (AAC, {"audio": "drop"}, "has no sound to mute: all of it is left out"),
        ((OtherStream(1, "audio", "unknown"),), {}, "there is no decoder for it"),
    ],
)
def test_sound_that_is_not_there_cannot_be_edited(
    others: tuple[OtherStream, ...], options: dict[str, Any], why: str, bench: Bench, add_job: AddJob
) -> None:
    add_job(others=others, options=JobOptions(compose=ComposeOptions(**options)))
    with pytest.raises(EditError, match=why):
        marker(bench).sound(Action.MUTE, (0.1, 0.2))
