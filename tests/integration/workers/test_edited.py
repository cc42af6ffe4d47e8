"""Whatever a person says of a video, its masks are the same wherever it is cut into chunks, and whoever does these."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farm.domain.edits import OF_TRACKS, Action, Edit, KeyFrame
from farm.domain.geometry import Box
from farm.domain.options import Override
from farm.domain.track import load_frame
from farm.messages import Artefact
from farm.storage.local import LocalStorage
from tests.integration.workers.conftest import Bench, StubTools, planned, write_green_clip
from tests.planned import masked
from workers.stages.detect import run as run_detect

SECONDS = (100, 1.2, 0.4)
BOXES = st.builds(Box, *(st.integers(0, 300) for _ in range(2)), *(st.integers(1, 100) for _ in range(2)))


@dataclass
class Cut:
    """One way to cut the video, with what workers have found in each chunk."""

    bench: Bench
    found: list[Artefact]

    def masks(self, edits: list[Edit]) -> list[str]:
        """The lines of all masks."""
        made = self.bench
        lines: list[str] = []
        for artefact in masked(made.store, made.manifest, made.options, self.found, edits=edits):
            with made.store.fetch(artefact.key) as path:
                lines += path.read_text().splitlines()
        return lines


@pytest.fixture(scope="module")
def cuts(tmp_path_factory: pytest.TempPathFactory) -> list[Cut]:
    """The same video cut in several ways; the chunks were done in any order."""
    folder = tmp_path_factory.mktemp("edited")
    source = write_green_clip(folder / "green.mp4")
    return [_cut(source, folder / f"store{n}", seconds) for n, seconds in enumerate(SECONDS)]


def _cut(source: Path, folder: Path, seconds: float) -> Cut:
    made = planned(source, LocalStorage(folder), folder, seconds)
    chunks = range(len(made.manifest.chunks))
    done = {n: run_detect(made.order("detect", n), made.store, StubTools(), lambda _: None) for n in reversed(chunks)}
    return Cut(made, [done[n].artefact for n in chunks])


@st.composite
def edits(draw: st.DrawFn, frames: list[tuple[int, list[Box]]]) -> Edit:
    action = draw(st.sampled_from([Action.COVER, Action.IGNORE, *OF_TRACKS]))
    times = [pts for pts, _ in frames]
    span = st.none() | st.integers(min(times), max(times))
    begins, ends = draw(span), draw(span)
    if begins is not None and ends is not None and begins >= ends:
        begins = None
    override = draw(st.sampled_from([Override("solid"), Override(margin=0.5)])) if action is Action.STYLE else None
    if action in OF_TRACKS:
        pts, boxes = draw(st.sampled_from([row for row in frames if row[1]]))
        where: tuple[KeyFrame, ...] = (KeyFrame(pts, draw(st.sampled_from(boxes))),)
    else:
        count = draw(st.integers(1, 3)) if action is Action.COVER else 1
        at = sorted(draw(st.sets(st.sampled_from(times), min_size=count, max_size=count)))
        where = tuple(KeyFrame(pts, draw(BOXES)) for pts in at)
    return Edit(action=action, begins=begins, ends=ends, where=where, override=override)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_masks_with_edits_are_the_same_for_all_chunks(cuts: list[Cut], data: st.DataObject) -> None:
    whole, *others = cuts
    one, some, many = (len(cut.bench.manifest.chunks) for cut in cuts)
    assert 1 == one < some < many
    frames = [(frame.pts, [box.box for box in frame.boxes]) for frame in map(load_frame, whole.masks([]))]
    assert sum(bool(boxes) for _, boxes in frames) > len(frames) / 2
    said = data.draw(st.lists(edits(frames), min_size=1, max_size=4))
    numbered = [replace(edit, number=n) for n, edit in enumerate(said, 1)]
    lines = whole.masks(numbered)
    for cut in others:
        assert cut.masks(numbered) == lines
