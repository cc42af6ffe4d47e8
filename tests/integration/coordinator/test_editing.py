"""What people do with the masks of a job: edits, review, approval, and new revisions of a published output."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from farm.coordinator.advance import advance, ready
from farm.database.edits import job_edits
from farm.database.statuses import locked_job
from farm.domain.edits import Action, Edit
from farm.domain.geometry import Box
from farm.domain.lifecycle import JobEvent
from farm.domain.manifest import Manifest
from farm.domain.options import Override
from farm.domain.polygon import Polygon
from farm.domain.track import FrameTracks, load_frame
from farm.errors import EditError, IllegalTransition, NotFound, SettingsError
from farm.jobs.control import control
from farm.jobs.edits import add_edits, approve, revise, undo
from farm.jobs.marking import Marker, override_of
from farm.jobs.queries import job_facts
from farm.jobs.submit import hold_for_review
from farm.jobs.tracks import JobTracks
from farm.messages import Order
from tests.integration.coordinator.conftest import Bench
from tests.integration.coordinator.test_stages import detected, step, told, write_output

AddJob = Callable[..., Manifest]
#: Frames last 1/25 s, five to a chunk; the only track stands still at 10, 10 and is 20 pixels wide (with its growth).
FACE = Box(9.2, 9.2, 21.6, 21.6)


def add(bench: Bench, *edits: Edit) -> list[Edit]:
    return add_edits(bench.context, "job", lambda _: list(edits))


def marker(bench: Bench) -> Marker:
    return Marker(bench.context, "job", "somebody", "because")


def masks(bench: Bench) -> list[FrameTracks]:
    """Of all frames, from the store."""
    rows = [bench.chunk(index, "edit").artefact or {} for index in (0, 1)]
    return [
        load_frame(x) for r in rows for x in (bench.context.settings.store_root / r["key"]).read_text().splitlines()
    ]


def published(bench: Bench, add_job: AddJob) -> Path:
    """A job that is done, with its output."""
    detected(bench, add_job)
    step(bench)
    finish(bench)
    return Path(bench.job().output)


def finish(bench: Bench) -> list[tuple[str, int]]:
    """Do all that is left; returns what workers did."""
    done = []
    while bench.job().status != "done":
        for order in bench.orders():
            done.append((order.stage, order.chunk))
            bench.start(order)
            bench.complete(order, artefact=made(bench, order))
        step(bench)
    return done


def made(bench: Bench, order: Order) -> Any:
    content = "".join(artefact.sha256 for artefact in order.inputs).encode()
    return bench.made(order, content) if order.stage == "redact" else write_output(bench, order, content)


def test_a_job_under_review_publishes_nothing_before_it_is_approved(bench: Bench, add_job: AddJob) -> None:
    detected(bench, add_job)
    with bench.context.database.write() as session:
        session.merge(bench.job()).review = True
    step(bench)
    assert (bench.job().status, ready(bench.context), bench.orders()) == ("reviewing", [], [])
    advance(bench.context, "job")
    assert bench.job().status == "reviewing"
    assert job_facts(bench.context, "job").waits
    add(bench, *marker(bench).of_tracks(Action.DROP, [0], (None, 0.2)))
    approve(bench.context, "jo", "somebody", "looked at")
    assert ready(bench.context) == ["job"]
    step(bench)
    assert bench.job().status == "redacting"
    assert [bool(mask.boxes) for mask in masks(bench)] == [False] * 5 + [True] * 5
    assert "approved by somebody: looked at" in told(bench)
    with pytest.raises(IllegalTransition, match=r"job job was approved already: it is redacting"):
        approve(bench.context, "job", "somebody", "")


def test_a_job_under_review_is_paused_and_cancelled_and_still_waits(bench: Bench, add_job: AddJob) -> None:
    detected(bench, add_job)
    with bench.context.database.write() as session:
        session.merge(bench.job()).review = True
    step(bench)
    control(bench.context, "job", JobEvent.PAUSE)
    with pytest.raises(IllegalTransition, match=r"it is paused \(farm resume job first\)"):
        approve(bench.context, "job", "somebody", "")
    control(bench.context, "job", JobEvent.RESUME)
    step(bench)
    assert bench.job().status == "reviewing"
    control(bench.context, "job", JobEvent.CANCEL)
    step(bench)
    control(bench.context, "job", JobEvent.RETRY)
    step(bench)
    assert (bench.job().status, bench.orders()) == ("reviewing", [])
    approve(bench.context, "job", "somebody", "")
    step(bench)
    assert [order.stage for order in bench.orders()] == ["redact", "redact"]


def test_a_job_that_is_submitted_again_for_review_waits_wherever_it_was(bench: Bench, add_job: AddJob) -> None:
    detected(bench, add_job)
    step(bench)

    def ask() -> None:
        with bench.context.database.write() as session:
            hold_for_review(session, bench.context.store, locked_job(session, "job"))

    with pytest.raises(IllegalTransition, match=r"it was submitted without review \(farm cancel job, then submit"):
        ask()
    control(bench.context, "job", JobEvent.CANCEL)
    ask()
    control(bench.context, "job", JobEvent.RETRY)
    step(bench)
    assert (bench.job().status, job_facts(bench.context, "job").waits, bench.orders()) == ("reviewing", True, [])
    approve(bench.context, "job", "somebody", "")
    step(bench)
    assert len(finish(bench)) == 3


def test_an_edit_after_the_approval_is_not_part_of_what_was_approved(bench: Bench, add_job: AddJob) -> None:
    detected(bench, add_job)
    with bench.context.database.write() as session:
        session.merge(bench.job()).review = True
    step(bench)
    approve(bench.context, "job", "somebody", "")
    add(bench, *marker(bench).of_tracks(Action.DROP, [0], (None, None)))
    with pytest.raises(IllegalTransition, match="job job was approved already"):
        approve(bench.context, "job", "somebody", "")
    step(bench)
    finish(bench)
    assert all(mask.boxes for mask in masks(bench))
    assert job_facts(bench.context, "job").unmasked == 1
    revise(bench.context, "job")
    step(bench)
    assert not any(mask.boxes for mask in masks(bench))


def test_what_uncovers_holds_inside_its_time_where_a_tick_is_a_frame(bench: Bench, add_job: AddJob) -> None:
    detected(bench, add_job)
    step(bench)
    (drop,) = marker(bench).of_tracks(Action.DROP, [0], (0.03, 0.13))  # frames of 0.04 s
    assert (drop.begins, drop.ends) == (1, 3)
    box = marker(bench).cover("1,2,3,4", (0.03, 0.13))
    assert (box.begins, box.ends) == (0, 4)
    with pytest.raises(EditError, match="no frame is shown wholly from"):
        marker(bench).of_tracks(Action.DROP, [0], (0.01, 0.03))
    (restore,) = marker(bench).of_tracks(Action.RESTORE, [0], (0.01, 0.03))
    assert (restore.begins, restore.ends) == (0, 1)
    assert marker(bench).cover("1,2,3,4", (0.1, 0.4)).ends is None  # the end, as lists of tracks round it
    assert marker(bench).cover("1,2,3,4", (0.1, 0.401)).ends is None


def test_what_takes_back_is_possible_after_any_number_of_edits(
    bench: Bench, add_job: AddJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    detected(bench, add_job)
    step(bench)
    monkeypatch.setattr("farm.jobs.edits._MOST", 2)
    (one,) = marker(bench).of_tracks(Action.DROP, [0], (None, None))
    add(bench, one, one)
    with pytest.raises(EditError, match="job job has 2 edits; it takes 2 at most"):
        add(bench, one)
    add(bench, *marker(bench).of_tracks(Action.RESTORE, [0], (None, None)))
    add_edits(bench.context, "job", lambda before: [undo(before, 1, "somebody", "")])


def test_edits_while_a_job_runs_are_part_of_its_masks_or_told(bench: Bench, add_job: AddJob) -> None:
    add_job()
    add(bench, marker(bench).cover("1,2,3,4", (None, None)))
    bench.hello()
    for order in bench.orders():
        bench.detect(order)
    step(bench)
    assert all(mask.boxes[0].track == -1 for mask in masks(bench))
    add(bench, marker(bench).cover("5,6,7,8", (None, None)))
    assert job_facts(bench.context, "job").unmasked == 1
    finish(bench)
    assert job_facts(bench.context, "job").unmasked == 1


def test_what_cannot_be_an_edit_changes_nothing(bench: Bench, add_job: AddJob) -> None:
    add_job()
    with pytest.raises(NotFound, match="job job has no tracks yet: it is detecting"):
        marker(bench).of_tracks(Action.DROP, [0], (None, None))
    bench.hello()
    for order in bench.orders():
        bench.detect(order)
    step(bench)
    wrong: list[tuple[Callable[[Marker], Edit], str]] = [
        (
            lambda m: m.of_tracks(Action.DROP, [5], (None, None))[0],
            r"job job has no track 5 \(farm tracks job lists them\)",
        ),
        (lambda m: m.cover("1,2,3", (None, None)), '"1,2,3" is not a box: a box is four numbers'),
        (lambda m: m.cover("1,2,3,x", (None, None)), '"1,2,3,x" is not a box: "x" is not a number'),
        (lambda m: m.cover("1,2,nan,4", (None, None)), "a box has numbers of at most"),
        (lambda m: m.cover("1,2,0.001,4", (None, None)), "a box has a width and a height above 0"),
        (lambda m: m.cover("1,2,3,4", (0.12, 0.12000001), "5,6,7,8"), "no frame is shown from 0.12 s"),
        (lambda m: Marker(bench.context, "job", "a", "b" * 1001).cover("1,2,3,4", (None, None)), "at most 1000 charac"),
        (lambda m: Marker(bench.context, "job", "a", "\udcff").cover("1,2,3,4", (None, None)), "characters that are n"),
        (lambda m: m.cover("64,2,3,4", (None, None)), "lies outside the picture, which is 64 x 48 pixels"),
        (lambda m: m.cover("1,2,3,4", (0.3, 0.2)), "from 0.3 s to 0.2 s is no time"),
        (lambda m: m.cover("1,2,3,4", (9.0, None)), "9 s is not in the video, which ends at 0.400 s"),
        (lambda m: m.cover("1,2,3,4", (0.4, None)), "nothing is left after 0.4 s"),
    ]
    for make, line in wrong:
        with pytest.raises(EditError, match=line):
            add(bench, make(marker(bench)))
    with pytest.raises(EditError, match="there is no edit to undo"):
        add_edits(bench.context, "job", lambda before: [undo(before, None, "somebody", "")])
    with bench.context.database.read() as session:
        assert job_edits(session, "job") == []


def test_a_style_is_an_option_as_of_submit(bench: Bench, add_job: AddJob) -> None:
    assert override_of(None, None, None) is None
    assert override_of("Solid", None, "50%") == Override("solid", None, 0.5)
    for words in (("emoji", None, None), (None, "star", None), (None, None, "-1"), (None, None, "much")):
        with pytest.raises(SettingsError):
            override_of(*words)
    published(bench, add_job)
    add(bench, *marker(bench).of_tracks(Action.STYLE, [0], (0.2, None), Override(style="solid")))
    revise(bench.context, "job")
    step(bench)
    assert [mask.boxes[0].override for mask in masks(bench)] == [None] * 5 + [Override("solid")] * 5
    assert finish(bench) == [("redact", 1), ("compose", 0)]


def test_per_cent_are_of_the_picture(bench: Bench, add_job: AddJob) -> None:
    add_job()
    assert marker(bench).cover("50%,25%,10%,50%", (None, None)).where[0].box == Box(32, 12, 6.4, 24)


def test_polygons_are_drawn_on_the_picture_as_boxes_are(bench: Bench, add_job: AddJob) -> None:
    add_job()
    made = marker(bench).cover_polygon("10,10 50%,10  32,50%", (0.0, 0.2), "11,10 33,10 33,24")
    corners = [key.polygon and key.polygon.corners for key in made.where]
    assert corners == [((10, 10), (32, 10), (32, 24)), ((11, 10), (33, 10), (33, 24))]
    assert made.where[0].box == Box(10, 10, 22, 14)
    wrong = {
        "10,10 20,20": '"10,10 20,20" is not a polygon: a polygon has 3 to 100 corners, not 2',
        "10,10 20,20 30": "a polygon has corners of two numbers each",
        "10,10 20,20 30,x": '"x" is not a number',
        "64,0 70,5 80,9": "lies outside the picture, which is 64 x 48 pixels",
        "1,1 1.001,1 1,1.001": "a polygon has a width and a height above 0",
    }
    for points, line in wrong.items():
        with pytest.raises(EditError, match=line):
            marker(bench).cover_polygon(points, (None, None))
    with pytest.raises(EditError, match="key frames are all boxes, or all polygons with as many corners"):
        marker(bench).cover_polygon("1,1 5,1 5,5", (None, None), "1,1 5,1 5,5 1,5")
    ignored = marker(bench).ignore_polygon("0,0 50%,0 0,100%", (None, None))
    assert ignored.where[0].polygon == Polygon(((0, 0), (32, 0), (0, 48)))


def test_tracks_are_listed_with_what_edits_make_of_them(bench: Bench, add_job: AddJob) -> None:
    detected(bench, add_job)
    step(bench)
    add(bench, *marker(bench).of_tracks(Action.KEEP, [0], (0.2, None)), marker(bench).cover("1,2,3,4", (0.0, 0.08)))
    kept, box = JobTracks(bench.context, "job").facts()
    assert (kept.track, kept.frames, kept.covered, kept.edits, kept.score) == (0, 10, 5, [1], 0.9)
    assert (kept.begins, kept.ends) == (0.0, 0.4)
    assert (kept.pts, kept.best) == (0, FACE)
    assert (box.track, box.frames, box.covered, box.edits, box.begins, box.ends) == (-2, 2, 2, [2], 0.0, 0.08)
