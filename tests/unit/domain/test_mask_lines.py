"""Lines of masks hold what changes pixels, and nothing else: a chunk whose line is the same is not encoded again."""

from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from farm.domain.geometry import Box
from farm.domain.options import Override, RedactOptions
from farm.domain.track import FrameTracks, TrackedBox, dump_frame, dump_mask, load_frame, look_of

PLACES = st.integers(0, 300).map(float)
OVERRIDES = st.none() | st.just(Override("solid")) | st.just(Override(margin=1.0))
BOXES = st.builds(
    TrackedBox,
    st.integers(-9, 99),
    st.builds(Box, PLACES, PLACES, PLACES, PLACES),
    st.sampled_from(["face", "plate"]),
    st.floats(0, 1),
    OVERRIDES,
)
FRAMES = st.builds(FrameTracks, st.integers(), st.lists(BOXES, max_size=5).map(tuple), st.booleans(), st.text("ab"))
OPTIONS = RedactOptions()


@given(FRAMES, st.randoms())
def test_other_numbers_scores_and_another_order_give_the_same_line(frame: FrameTracks, chance: Random) -> None:
    boxes = [replace(box, track=box.track * 3 + (2 if box.track >= 0 else 0), score=0.5) for box in frame.boxes]
    chance.shuffle(boxes)
    assert dump_mask(replace(frame, boxes=tuple(boxes))) == dump_mask(frame)


@given(FRAMES)
def test_what_is_painted_is_in_the_line(frame: FrameTracks) -> None:
    def painted(of: FrameTracks) -> list[str]:
        return sorted(repr((box.box, look_of(box, OPTIONS))) for box in of.boxes)

    mask = load_frame(dump_mask(frame))
    assert (mask.pts, mask.black, mask.sketch) == (frame.pts, frame.black, frame.sketch)
    assert painted(mask) == painted(frame)
    assert load_frame(dump_frame(frame)) == frame
