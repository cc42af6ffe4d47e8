"""The errand ``carry`` on real frames: both ways, the same for every cut into chunks, in bounded memory."""

from pathlib import Path

import pytest

import workers.stages.carry
from farm.domain.carrying import Carried, Carry, load_carried
from farm.domain.edits import KeyFrame
from farm.domain.geometry import Box, intersection_over_union
from farm.domain.masks import at
from farm.errors import SourceError
from tests.conftest import ClipMaker
from tests.integration.workers.conftest import Bench, MakeBench, StubTools
from workers.stages.carry import run
from workers.stages.orders import read_plan


def carried(made: Bench, asked: Carry, number: int = 40) -> Carried:
    """``number``: of the errand, which is no chunk's."""
    order = made.order("carry").model_copy(update={"request": asked.request(), "chunk": number})
    reports: list[int] = []
    result = run(order, made.store, StubTools(), reports.append)
    assert reports == list(range(1, len(reports) + 1))
    assert result.artefact.key.startswith("carried/")
    with made.store.fetch(result.artefact.key) as path:
        return load_carried(path.read_text())


@pytest.fixture
def source(make_clip: ClipMaker) -> Path:
    """A camera that moves over a photograph of a person, for three seconds."""
    return make_clip(seconds=3, size=(320, 180), fps=25, gop=10)


def test_a_box_is_carried_both_ways_whatever_the_chunks(
    bench: MakeBench, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, parts = bench(source, 100), bench(source, 0.4)
    assert (len(whole.manifest.chunks), len(parts.manifest.chunks) > 3) == (1, True)
    times = whole.pts[0]
    drawn, begins, ends = times[40], times[6], times[70]
    asked = Carry(KeyFrame(drawn + 1, Box(150, 30, 40, 50)), begins, ends)
    found = carried(whole, asked)
    assert (found.lost_before, found.lost_after) == (None, None)
    assert (found.keys[0].pts, found.keys[-1].pts) == (begins, times[69])
    assert intersection_over_union(at(found.keys, drawn).box, asked.drawn.box) > 0.95
    monkeypatch.setattr(workers.stages.carry, "_HELD", 3 * 320 * 180)  # three pictures at once
    assert carried(parts, asked) == found
    # and back from where it arrived
    again = carried(whole, Carry(KeyFrame(begins, found.keys[0].box), begins, ends))
    assert intersection_over_union(at(again.keys, drawn).box, asked.drawn.box) > 0.8


def test_a_source_that_changed_is_refused(bench: MakeBench, source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.mp4"
    copy.write_bytes(source.read_bytes())
    made = bench(copy)
    read_plan(made.order("carry"), made.store)
    with copy.open("ab") as out:
        out.write(b"-")
    with pytest.raises(SourceError, match="changed"):
        carried(made, Carry(KeyFrame(made.pts[0][0], Box(1, 1, 40, 40)), 0, 10**9))
