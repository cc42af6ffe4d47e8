"""Scores, merging, fusing and tiles: what becomes of the boxes of several networks, sizes and parts of a frame."""

from collections.abc import Sequence
from math import inf
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.domain.detection import BIRTH, FACE, PLATE, WEAK
from farm.domain.detectors import NETWORKS, Declared, DetectOptions, Named
from farm.domain.fusion import FUSIONS
from farm.domain.quality import resolved
from workers.vision.detectors.base import Candidates, Picture
from workers.vision.detectors.combined import Combined, Part, View, create_detector
from workers.vision.detectors.fusing import Fused, fused_scores, paired
from workers.vision.detectors.merging import MERGED, overlaps
from workers.vision.detectors.scores import Floats, least_of, normalised, thresholds_of
from workers.vision.device import Device

HEIGHTS = ((16.0, 0.1), (96.0, 0.2), (inf, 0.4))
shares = st.floats(0, 1)
boxes = st.lists(
    st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(4, 40)] * 2, st.integers(36, 100).map(lambda n: n / 100),
              st.sampled_from([0, 0, 0, 1])),
    max_size=20,
).map(lambda rows: np.array(rows, np.float64).reshape(-1, 6))  # fmt: skip


def test_a_threshold_becomes_the_score_of_a_birth() -> None:
    raw, heights = np.array([0.1, 0.05, 0.1, 0.2, 1.0, 0.7, 0.0]), np.array([15.9, 3, 16, 95, 95, 96, 5.0])
    assert normalised(raw, heights, HEIGHTS) == pytest.approx([0.5, 0.25, 0.25, 0.5, 1, 0.75, 0])
    assert normalised(raw, heights, HEIGHTS, 0.7) == pytest.approx(
        [0.5 * 0.1 / 0.7, 0.5 * 0.05 / 0.7, 0.5 * 0.1 / 0.7, 0.5 * 0.2 / 0.7, 1, 0.5, 0]
    )


@given(shares, shares, st.floats(0.1, 4000), st.none() | st.floats(0.01, 0.99))
def test_normalised_scores_ascend_and_the_least_raw_score_loses_nothing(
    a: float, b: float, height: float, override: float | None
) -> None:
    one, other = normalised(np.array([a, b]), np.array([height] * 2), HEIGHTS, override)
    assert 0 <= one <= 1
    assert (a <= b) == (one <= other) or a == pytest.approx(b)
    if one >= WEAK:
        assert a >= least_of([HEIGHTS], override) - 1e-9


@given(boxes, st.sampled_from(sorted(MERGED)))
def test_merging_keeps_a_box_at_every_face(found: Floats, merge: str) -> None:
    merged = MERGED[merge](found)
    assert merged.shape[1] == 6
    assert (np.diff(merged[:, 4]) <= 0).all()
    assert len(merged) <= len(found)
    if len(found):
        whole = found[found[:, 5] == 0]
        if len(whole):
            assert merged[:, 4].max() >= whole[:, 4].max()
        if merge == "nms":
            assert {tuple(row) for row in merged} <= {tuple(row) for row in found}
        if merge == "nmm":  # what it merges, it covers
            for x, y, w, h, *_ in found:
                assert any(a <= x + w / 2 <= a + c and b <= y + h / 2 <= b + d for a, b, c, d, *_ in merged)


def test_each_way_of_merging() -> None:
    found = np.array([[0, 0, 10, 10, 0.5, 0], [0, 0, 10, 12, 0.9, 0], [40, 0, 10, 10, 0.6, 0]], np.float64)
    assert MERGED["nms"](found).tolist() == [[0, 0, 10, 12, 0.9, 0], [40, 0, 10, 10, 0.6, 0]]
    assert MERGED["nmm"](found[:2]).tolist() == [[0, 0, 10, 12, 0.9, 0]]
    assert MERGED["wbf"](found)[0].tolist() == pytest.approx([0, 0, 10, (5 + 10.8) / 1.4, 0.9, 0])


def test_what_a_tile_cuts_gives_way_to_the_whole_face() -> None:
    whole, part, another = [10, 10, 30, 30, 0.5, 0], [10, 10, 30, 12, 0.9, 1], [200, 0, 30, 30, 0.6, 1]
    found = np.array([part, whole, another], np.float64)
    assert MERGED["nms"](found).tolist() == [another, whole]
    assert MERGED["wbf"](found).tolist() == [another, whole]


def test_the_boxes_of_two_networks_are_paired_best_first() -> None:
    first = np.array([[0, 0, 10, 10, 0.3, 0], [4, 0, 10, 10, 0.2, 0], [50, 50, 8, 8, 0.9, 0]], np.float64)
    second = np.array([[4, 0, 10, 11, 0.8, 0], [0, 90, 5, 5, 0.4, 0]], np.float64)
    found = paired(first, second)
    assert found.boxes[:, :4].tolist() == [*first[:, :4].tolist(), [0, 90, 5, 5]]
    assert found.first.tolist() == [0.3, 0.2, 0.9, 0]
    assert found.second.tolist() == [0, 0.8, 0, 0.4]
    nothing = np.zeros((0, 6))
    assert len(paired(nothing, nothing).boxes) == 0
    assert paired(nothing, second).second.tolist() == [0.8, 0.4]


@pytest.mark.parametrize("pair", FUSIONS)
def test_two_that_are_not_sure_are_sure_together_and_none_is_less_sure(pair: tuple[str, str]) -> None:
    own = NETWORKS[pair[0]].thresholds[FACE]

    def score(first: float, second: float, height: float, override: float | None = None) -> float:
        found = Fused(np.zeros((1, 6)), np.array([first]), np.array([second]))
        return float(fused_scores(FUSIONS[pair], own, found, np.array([height]), override)[0])

    for height in (10, 20, 40, 80, 200):
        raw = [k / 20 for k in range(21)]
        table = [[score(a, b, height) for b in raw] for a in raw]
        assert (np.diff(table, axis=0) >= 0).all()
        assert (np.diff(table, axis=1) >= 0).all()
        alone = normalised(np.array(raw), np.full(21, float(height)), own)
        assert (np.array(table)[:, 0] >= alone).all()
    unsure = 0.9 * float(thresholds_of(own, np.array([40.0]))[0])
    assert score(unsure, 0, 40) < BIRTH <= score(unsure, 0.9, 40)
    assert score(0.3, 0.3, 40, 0.99) < WEAK


class Spy:
    """Finds one box of 8 x 8 in the middle of every picture, and notes the sizes of what it is shown."""

    kinds = (FACE, PLATE)
    multiple = 32
    batch_size = 2

    def __init__(self) -> None:
        self.shown: list[tuple[int, int]] = []

    def find(self, pictures: Sequence[Picture], least: float) -> list[Candidates]:
        self.shown += [(p.shape[1], p.shape[0]) for p in pictures]
        rows = [[[p.shape[1] / 2 - 4, p.shape[0] / 2 - 4, 8, 8, 0.9, 0]] for p in pictures]
        return [np.array(row, np.float32) for row in rows]


def combined(largest: int = 8192, **options: Any) -> tuple[Combined, Spy]:
    spy, thresholds = Spy(), dict.fromkeys(Spy.kinds, ((inf, 0.5),))
    declared = Declared(name="spy", thresholds=thresholds, largest=largest)
    looks = resolved(DetectOptions(detector="stub", **options))
    return Combined([Part(Named(declared), spy, declared.thresholds, {})], looks), spy


def look(detector: Combined, width: int, height: int) -> None:
    w, h = detector.picture_size(width, height)
    detector.detect([np.zeros((h, w, 3), np.uint8)] * 2, (width, height))


def test_a_look_shows_every_size_once() -> None:
    detector, spy = combined(size=1280)
    look(detector, 1920, 1080)
    assert spy.shown == [(1280, 736)] * 2 + [(640, 384)] * 2
    detector, spy = combined(size=1280)
    look(detector, 320, 240)  # at most twice its own size
    assert spy.shown == [(640, 480)] * 2
    detector, spy = combined(size=1280, largest=960)
    look(detector, 1920, 1080)
    assert set(spy.shown) == {(960, 544), (640, 384)}


def part_of(name: str) -> Part:
    declared = NETWORKS[name]
    return Part(Named(declared), Spy(), declared.thresholds, declared.small)


def view_of(width: int, height: int) -> View:
    return View((width, height), (0, 0), (width, height))


def test_small_pictures_have_thresholds_of_their_own_for_the_same_part_of_the_frame() -> None:
    part, declared = part_of("centerface"), NETWORKS["centerface"]
    assert part.thresholds_of(view_of(960, 544)) == declared.thresholds
    assert part.thresholds_of(view_of(640, 384)) == declared.small
    assert part.thresholds_of(view_of(384, 640)) == declared.small
    halved = part.thresholds_of(view_of(320, 192))[FACE]
    assert [(2 * end, t) for end, t in halved] == list(declared.small[FACE])
    assert part_of("yunet").thresholds_of(view_of(320, 192)) == NETWORKS["yunet"].thresholds


class Scattered(Spy):
    """Finds the box in another place of the frame in each size of picture."""

    def find(self, pictures: Sequence[Picture], least: float) -> list[Candidates]:
        found = super().find(pictures, least)
        for boxes in found:
            boxes[:, 0] = 1e5 / pictures[0].shape[1]
        return found


def test_small_faces_are_left_to_the_larger_picture() -> None:
    for size, kept in ((640, {640}), (1280, {1280}), (1920, {1280, 1920})):
        spy, declared = Scattered(), NETWORKS["centerface"]  # the spy's box is 8 pixels high
        looks = resolved(DetectOptions(detector="centerface", size=size))
        detector = Combined([Part(Named(declared), spy, {FACE: ((inf, 0.5),), PLATE: ((inf, 0.5),)}, {})], looks)
        width, height = detector.picture_size(1920, 1088)
        (found,) = detector.detect([np.zeros((height, width, 3), np.uint8)], (1920, 1088))
        assert {round(8 * 1920 / d.box.w) for d in found} == kept


def test_small_faces_in_tiles_are_kept_however_small_the_tiles_are() -> None:
    looks = resolved(DetectOptions(detector="centerface", size=320, tiles=2))
    thresholds = dict.fromkeys(Spy.kinds, ((inf, 0.5),))
    detector = Combined([Part(Named(NETWORKS["centerface"]), Spy(), thresholds, {})], looks)
    width, height = detector.picture_size(1920, 1080)
    (found,) = detector.detect([np.zeros((height, width, 3), np.uint8)], (1920, 1080))
    assert len(found) == 1 + 2 * 2


@pytest.mark.parametrize("tiles", [2, 3, 5, 8])
@pytest.mark.parametrize("source", [(1920, 1080), (1080, 1920), (3840, 2160), (641, 479)])
def test_tiles_show_all_of_the_frame_and_overlap(tiles: int, source: tuple[int, int]) -> None:
    detector, _ = combined(size=640, tiles=tiles)
    width, height = detector.picture_size(*source)
    (first,), *others = detector._views(width, height)
    parts = [view for (view,) in others]
    assert len(parts) == tiles * tiles
    assert {part.whole for part in parts} == {(width, height)}
    assert first.size[0] < width
    for along, length in ((0, width), (1, height)):
        starts = sorted({part.corner[along] for part in parts})
        (side,) = {part.size[along] for part in parts}
        assert (starts[0], starts[-1] + side) == (0, length)
        assert side % 32 == 0
        assert max(np.diff(starts)) <= 0.8 * side + 1


def test_tiles_that_would_show_nothing_larger_are_left_out() -> None:
    detector, spy = combined(size=640, tiles=4)
    look(detector, 320, 240)
    assert set(spy.shown) == {(640, 480)}


def test_boxes_of_tiles_lie_where_they_were_found() -> None:
    detector, _ = combined(size=320, tiles=2)
    width, height = detector.picture_size(1920, 1080)
    (found,) = detector.detect([np.zeros((height, width, 3), np.uint8)], (1920, 1080))
    views = [view for (view,) in detector._views(width, height)]
    expected = {
        (
            round((view.corner[0] + view.size[0] / 2) * 1920 / view.whole[0]),
            round((view.corner[1] + view.size[1] / 2) * 1080 / view.whole[1]),
        )
        for view in views
    }
    assert {tuple(map(round, d.box.centre)) for d in found} == expected


def test_no_boxes_overlap_nothing() -> None:
    assert overlaps(np.zeros((0, 6)), np.zeros((3, 6))).shape == (0, 3)


def test_the_networks_that_are_fused_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    made = {name: lambda *_: Spy() for name in ("yunet", "plates", "centerface")}
    for name, create in made.items():
        monkeypatch.setattr(f"workers.vision.detectors.{name}.create", create)
    options = DetectOptions(detector="plates+yunet+centerface", size=320)
    detector: Any = create_detector(options, Device("cpu", 0), threads=1, weights=lambda name: name)  # type: ignore[arg-type,return-value]
    assert [part.named.network.name for part in detector._parts] == ["centerface", "yunet", "plates"]
