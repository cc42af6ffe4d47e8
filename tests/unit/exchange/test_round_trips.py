"""Every format gives back the masks that were written, to the hundredth of a pixel that they are kept in."""

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farm.domain.detection import FACE, PLATE
from farm.domain.geometry import Box
from farm.domain.manifest import VideoStream
from farm.domain.options import IMAGE, SHAPES, STYLES, Override
from farm.domain.polygon import Area, Polygon
from farm.domain.track import TrackedBox
from farm.exchange.formats import FORMATS, format_of
from tests.exchanged import MATRICES, read, video_of, write

Masks = list[list[TrackedBox]]
_hundredths = st.integers(-5_000, 900_000).map(lambda n: n / 100)
_sides = st.integers(1, 300_000).map(lambda n: n / 100)
_boxes = st.builds(Box, _hundredths, _hundredths, _sides, _sides)
_polygons = (
    st.tuples(*(st.tuples(_hundredths, _hundredths) for _ in range(4)))
    .map(Polygon)
    .filter(lambda polygon: min(polygon.bounds.w, polygon.bounds.h) > 0)
)
_overrides = st.one_of(
    st.none(),
    st.builds(Override, st.sampled_from([style for style in STYLES if style != IMAGE]), st.none(), st.none()),
    st.builds(Override, st.none(), st.sampled_from(SHAPES), st.floats(0, 5)),
)
_scores = st.floats(0, 1)
_kinds = {-7: FACE, 0: FACE, 1: PLATE, 12: FACE}


def _tracked(track: int, area: Area, kind: str, score: float, said: Override | None) -> TrackedBox:
    if isinstance(area, Polygon):
        return TrackedBox(track, area.bounds, kind, score, said, area)
    return TrackedBox(track, area, kind, score, said)


@st.composite
def _masks(draw: st.DrawFn) -> Masks:
    return [
        [
            _tracked(track, draw(_boxes | _polygons), kind, draw(_scores), draw(_overrides))
            for track, kind in _kinds.items()
            if draw(st.booleans())
        ]
        for _ in range(draw(st.integers(1, 6)))
    ]


_videos = st.builds(
    video_of,
    st.sampled_from([64, 641, 7680]),
    st.sampled_from([48, 479, 4320]),
    st.sampled_from(sorted(MATRICES)),
    st.sampled_from([None, Fraction(4, 3), Fraction(10, 11), Fraction(64, 45)]),
)


@pytest.mark.parametrize("form", FORMATS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(masks=_masks(), video=_videos)
def test_what_is_written_comes_back(
    form: str, masks: list[list[TrackedBox]], video: VideoStream, tmp_path: Path
) -> None:
    path = write(tmp_path / f"masks{FORMATS[form].suffix}", form, masks, video)
    assert format_of(path) is FORMATS[form]
    if form == "mot":  # which has no place for it
        masks = [[TrackedBox(b.track, b.box, b.kind, b.score) for b in boxes] for boxes in masks]
    assert read(path, len(masks), video) == masks


def test_boxes_without_a_track_are_numbered_in_their_frame(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("frame,x,y,w,h\n0,1,2,3,4\n0,5,6,7,8\n1,,,,\n2,1,2,3,4\n")
    assert [[b.track for b in boxes] for boxes in read(path, 3)] == [[1, 2], [], [1]]
