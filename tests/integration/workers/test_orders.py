"""An order is done once, says itself what it is, and uses nothing from the store that is not what its key says."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from farm.domain.artefacts import key_of
from farm.domain.detectors import DetectOptions
from farm.domain.track import FrameTracks, load_frame
from farm.errors import DamagedArtefact, VerificationError
from farm.messages import Artefact
from tests.integration.workers.conftest import Bench, GreenClip, MakeBench, StubTools
from workers.stages.compose import run as run_compose
from workers.stages.orders import Result, make_once, read_plan
from workers.stages.redact import run as run_redact
from workers.stages.spent import Spent


def make(made: Bench, content: str, known: Artefact | None = None, meanwhile: Callable[[], object] = int) -> Result:
    plan = read_plan(made.order("detect", known=known), made.store)

    def write(path: Path) -> int:
        path.write_text(content)
        meanwhile()
        return 5

    return make_once(plan, 5, Spent(), write)


def shown(made: Bench, result: Result) -> str:
    with made.store.fetch(result.artefact.key) as path:
        return path.read_text()


def rows(made: Bench, tracks: Artefact) -> list[FrameTracks]:
    with made.store.fetch(tracks.key) as path:
        return [load_frame(line) for line in path.read_text().splitlines()]


@pytest.fixture
def made(bench: MakeBench, green_clip: GreenClip) -> Bench:
    return bench(green_clip())


def test_two_writers_of_the_same_work_do_not_share_a_result(made: Bench) -> None:
    other: list[Result] = []
    mine = make(made, "first", meanwhile=lambda: other.append(make(made, "second")))
    assert (shown(made, mine), shown(made, other[0])) == ("first", "second")
    assert not mine.reused
    assert mine.artefact.key != other[0].artefact.key


def test_what_was_accepted_before_is_used_again(made: Bench) -> None:
    first = make(made, "first")
    again = make(made, "second", known=first.artefact)
    assert (again.reused, again.artefact, again.damaged) == (True, first.artefact, ())


@pytest.mark.parametrize("harm", ["changed", "cut", "empty", "deleted"])
def test_what_was_accepted_before_and_is_damaged_is_made_again(made: Bench, harm: str) -> None:
    first = make(made, "first")
    path = made.folder / first.artefact.key
    if harm == "deleted":
        path.unlink()
    else:
        path.write_text({"changed": "FIRST", "cut": "fir", "empty": ""}[harm])
    again = make(made, "first", known=first.artefact)
    assert not again.reused
    assert again.artefact == first.artefact
    assert again.damaged == (() if harm == "deleted" else (first.artefact.key,))
    assert shown(made, again) == "first"


def test_an_artefact_of_other_work_is_not_used(made: Bench) -> None:
    other = make(made, "first").artefact
    for known in (
        other.model_copy(update={"key": other.key.replace("/0_", "/1_")}),
        other.model_copy(update={"frames": 4}),
        other.model_copy(update={"sha256": "0" * 64}),
    ):
        assert not make(made, "second", known=known).reused


def test_an_order_that_is_not_what_its_fingerprint_says_is_refused(made: Bench) -> None:
    order = made.order("detect")
    options = replace(made.options, detect=DetectOptions(detector="stub", size=640))
    for changed in (
        {"options": order.options | {"detect": order.options["detect"] | {"size": 640}}},
        {"fingerprint": "0" * 32},
        {"model_sha256": "2" * 64},
        {"stage": "redact"},
    ):
        with pytest.raises(VerificationError, match="fingerprint is not that of its options"):
            read_plan(order.model_copy(update=changed), made.store)
    assert read_plan(replace(made, options=options).order("detect"), made.store).options == options


def test_inputs_of_another_chunk_or_job_are_refused(made: Bench) -> None:
    chunks = range(len(made.manifest.chunks))
    tracks = [made.tracks(k, made.detections(made.detect(k))) for k in chunks]
    longer = tracks[0].model_copy(update={"frames": tracks[0].frames + 1})
    other = tracks[0].model_copy(update={"key": tracks[0].key.replace("masks/", "masks/0")})
    for inputs in ((tracks[1],), (), tuple(tracks[:2]), (longer,), (other,)):
        with pytest.raises(VerificationError, match="inputs are not those of its chunks"):
            run_redact(made.order("redact", 0, inputs), made.store, StubTools(), lambda _: None)
    with pytest.raises(VerificationError, match="inputs are not those of its chunks"):
        run_compose(made.order("compose", 0, (), "mp4"), made.store, StubTools(), lambda _: None)


def test_a_damaged_input_is_named(made: Bench) -> None:
    tracks = made.tracks(0, made.detections(made.detect(0)))
    order = made.order("redact", 0, (tracks,))
    (made.folder / tracks.key).write_text("")
    with pytest.raises(DamagedArtefact) as refused:
        run_redact(order, made.store, StubTools(), lambda _: None)
    assert refused.value.key == tracks.key
    for plan in [order.plan, *(p.relative_to(made.folder).as_posix() for p in made.folder.rglob("pts/*"))]:
        content = (made.folder / plan).read_bytes()
        (made.folder / plan).write_bytes(content[:-1])
        if plan == order.plan or f"/{made.manifest.chunks[0].name}." in plan:
            with pytest.raises(DamagedArtefact) as refused:
                made.detect(0)
            assert refused.value.key == plan
        (made.folder / plan).write_bytes(content)


def test_a_segment_says_which_masks_it_was_painted_with(made: Bench) -> None:
    tracks = made.tracks(0, made.detections(made.detect(0)))
    segment = run_redact(made.order("redact", 0, (tracks,)), made.store, StubTools(), lambda _: None).artefact
    assert segment.masks == tracks.sha256
    assert segment.covered == tracks.covered == tracks.frames
    assert segment.key == key_of(segment.key.replace(f".{segment.sha256}", ""), segment.sha256)
    none = made.linked([replace(row, boxes=()) for row in rows(made, tracks)])
    other = run_redact(made.order("redact", 0, (none,)), made.store, StubTools(), lambda _: None).artefact
    assert (other.masks, other.covered) == (none.sha256, 0)
