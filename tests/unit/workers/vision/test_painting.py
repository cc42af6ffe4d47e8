from itertools import permutations

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.domain.detection import FACE, PLATE
from farm.domain.geometry import Box
from farm.domain.options import SHAPES, STYLES, RedactOptions
from farm.errors import SettingsError, SourceError
from farm.media.planes import Plane, format_of, planes_of
from tests.masks import mask_of
from workers.vision.redactors.base import create_redactor
from workers.vision.redactors.painting import paint, paint_all

SIZE = 160, 120
FORMATS = ("yuv420p", "yuv422p", "yuv444p", "gray")


def noise(pix_fmt: str = "yuv420p", size: tuple[int, int] = SIZE, seed: int = 1) -> av.VideoFrame:
    frame = av.VideoFrame(*size, pix_fmt)
    rng = np.random.default_rng(seed)
    for plane in planes_of(frame):
        plane[...] = rng.integers(16, 236, plane.shape, np.uint8)
    return frame


def copies(frame: av.VideoFrame) -> list[Plane]:
    return [plane.copy() for plane in planes_of(frame)]


def painted(frame: av.VideoFrame, boxes: list[Box], options: RedactOptions) -> list[Plane]:
    paint(frame, boxes, create_redactor(options), options)
    return copies(frame)


sides = st.floats(4, 90)
somewhere = st.builds(Box, st.floats(-40, 150), st.floats(-40, 110), sides, sides)


@settings(deadline=None, max_examples=40)
@given(somewhere, st.sampled_from(SHAPES), st.floats(0.3, 1))
def test_all_of_the_face_is_fully_covered(box: Box, shape: str, margin: float) -> None:
    mask = mask_of([box], *SIZE, RedactOptions(shape=shape, margin=margin), format_of("yuv420p"))
    x0, y0 = max(0, int(np.floor(box.x))), max(0, int(np.floor(box.y)))
    x1, y1 = int(np.ceil(box.x + box.w)), int(np.ceil(box.y + box.h))
    assert (mask[y0 : max(0, y1), x0 : max(0, x1)] == 255).all()


@pytest.mark.parametrize("pix_fmt", FORMATS)
@settings(deadline=None, max_examples=40)
@given(box=somewhere)
def test_solid_covers_luma_and_chroma_of_the_face_and_leaves_the_rest(pix_fmt: str, box: Box) -> None:
    frame = noise(pix_fmt)
    before, options = copies(frame), RedactOptions(style="solid")
    after = painted(frame, [box], options)
    mask = mask_of([box], *SIZE, options, format_of(pix_fmt))
    for index, (old, new) in enumerate(zip(before, after, strict=True)):
        down, across = SIZE[1] // old.shape[0], SIZE[0] // old.shape[1]
        cells = mask.reshape(old.shape[0], down, old.shape[1], across)
        assert (new[cells.max(axis=(1, 3)) == 255] == (16 if index == 0 else 128)).all()
        grown = box.grown(options.margin)
        rows, columns = np.arange(old.shape[0]) * down, np.arange(old.shape[1]) * across
        away = ((rows + down + 3 < grown.y) | (rows > grown.y + grown.h + 3))[:, None] | (
            (columns + across + 3 < grown.x) | (columns > grown.x + grown.w + 3)
        )[None, :]
        assert (new[away] == old[away]).all()


@pytest.mark.parametrize("style", STYLES)
def test_the_order_of_the_boxes_does_not_matter(style: str) -> None:
    boxes = [Box(20, 20, 40, 50), Box(45, 30, 40, 50), Box(60, 10, 30, 30), Box(110, 70, 30, 40)]
    results = [painted(noise(), list(order), RedactOptions(style=style)) for order in permutations(boxes)]
    for result in results[1:]:
        for a, b in zip(results[0], result, strict=True):
            assert (a == b).all()


@pytest.mark.parametrize("style", STYLES)
def test_a_box_given_twice_is_painted_once(style: str) -> None:
    box, options = Box(20, 20, 40, 50), RedactOptions(style=style)
    once, twice = painted(noise(), [box], options), painted(noise(), [box, box], options)
    assert all((a == b).all() for a, b in zip(once, twice, strict=True))


def test_an_overlap_is_the_mean_of_both_and_covered_as_strongly_as_the_stronger() -> None:
    boxes, options = [Box(30, 30, 40, 40), Box(50, 30, 40, 40)], RedactOptions(style="solid", shape="rectangle")
    after = painted(noise(), boxes, options)
    mask = mask_of(boxes, *SIZE, options, format_of("yuv420p"))
    assert (after[0][mask == 255] == 16).all()


@pytest.mark.parametrize("style", ["blur", "pixelate"])
@pytest.mark.parametrize("side", [24, 40, 100, 400])
def test_what_is_left_of_a_face_does_not_grow_with_its_size(style: str, side: int) -> None:
    size = side * 2, side * 2
    frame = av.VideoFrame(*size, "yuv420p")
    rows, columns = np.mgrid[0 : size[1], 0 : size[0]]
    # stripes as fine as an eighth of the face: the outlines of eyes and mouth
    for plane in planes_of(frame):
        plane[...] = 128
    planes_of(frame)[0][...] = 128 + 90 * np.sign(np.sin((rows + columns) * 2 * np.pi / (side / 8)))
    after = painted(frame, [Box(side / 2, side / 2, side, side)], RedactOptions(style=style))
    inside = after[0][side // 2 + 2 : -side // 2 - 2, side // 2 + 2 : -side // 2 - 2].astype(float)
    assert inside.std() < 25  # of 90


def test_solid_is_black_in_the_videos_range() -> None:
    for pix_fmt, colour_range, black in (
        ("yuv420p", ColorRange.MPEG, 16),
        ("yuv420p", ColorRange.UNSPECIFIED, 16),
        ("yuv420p", ColorRange.JPEG, 0),
        ("yuvj420p", ColorRange.UNSPECIFIED, 0),
    ):
        frame = noise(pix_fmt)
        frame.color_range = colour_range
        assert painted(frame, [Box(40, 40, 40, 40)], RedactOptions(style="solid"))[0][60, 60] == black


def test_a_frame_without_faces_is_not_copied() -> None:
    frame = noise()
    where = frame.planes[0].buffer_ptr
    paint(frame, [], create_redactor(RedactOptions()), RedactOptions())
    paint(frame, [Box(500, 500, 10, 10)], create_redactor(RedactOptions()), RedactOptions())
    assert frame.planes[0].buffer_ptr == where


@settings(deadline=None, max_examples=40)
@given(st.lists(somewhere, max_size=12), st.sampled_from(sorted(STYLES)), st.sampled_from(SHAPES), st.floats(0, 5))
def test_any_boxes_in_a_picture_of_odd_size(boxes: list[Box], style: str, shape: str, margin: float) -> None:
    options = RedactOptions(style=style, shape=shape, margin=margin)
    for pix_fmt in ("yuv420p", "yuv444p"):
        painted(noise(pix_fmt, (161, 121)), boxes, options)
    painted(noise("yuv420p", (1, 1)), boxes, options)


def test_boxes_of_no_size_do_no_harm() -> None:
    for box in (Box(10, 10, 0, 0), Box(10, 10, 0, 30), Box(10.5, 10.5, 1e-6, 1e-6)):
        painted(noise(), [box], RedactOptions())


def test_formats_and_styles_that_are_not_known() -> None:
    with pytest.raises(SourceError, match="nv12"):
        paint(av.VideoFrame(64, 48, "nv12"), [], create_redactor(RedactOptions()), RedactOptions())
    with pytest.raises(SettingsError, match="choose blur, pixelate, solid or image"):
        RedactOptions(style="oil")


def test_faces_and_plates_are_painted_together_each_in_its_own_way() -> None:
    options = RedactOptions(style="blur", margin=0.0, plate_style="solid", plate_margin=0.1)
    face, plate = Box(10, 10, 40, 40), Box(30, 30, 40, 20)
    ways = {kind: (create_redactor(options, options.look(kind).style), options.look(kind)) for kind in (FACE, PLATE)}
    frames = noise(), noise(), noise()
    paint_all(frames[0], [([face], *ways[FACE]), ([plate], *ways[PLATE])])
    paint_all(frames[1], [([plate], *ways[PLATE]), ([face], *ways[FACE])])
    assert all((a == b).all() for a, b in zip(copies(frames[0]), copies(frames[1]), strict=True))
    luma, before = copies(frames[0])[0], copies(noise())[0]
    middle = luma[40:48, 52:66]  # of the plate, outside the face
    assert (middle == middle[0, 0]).all()
    assert (luma[29:51, 27:73] != before[29:51, 27:73]).mean() > 0.9  # the plate's rectangle, with its margin
    assert (luma[60:, :] == before[60:, :]).all()
    paint(frames[2], [face], ways[FACE][0], options)
    assert (copies(frames[2])[0][12:28, 12:28] == luma[12:28, 12:28]).all()


def test_a_cover_of_many_samples_is_painted_like_a_small_one() -> None:
    # it is blended in parts
    options = RedactOptions(style="solid", shape="rectangle")
    large, small = noise(size=(640, 480)), noise(size=(640, 480))
    box = Box(100, 90, 400, 300)
    paint(large, [box], create_redactor(options), options)
    mask = mask_of([box], 640, 480, options, format_of("yuv420p"))
    luma, before = planes_of(large)[0], planes_of(small)[0].astype(int)
    assert np.abs(luma - (before + (16 - before) * (mask / 255))).max() <= 2  # the mask is rounded
    assert (luma[mask == 255] == 16).all()
    assert (luma[mask == 0] == before[mask == 0]).all()


def test_boxes_far_outside_cover_nothing() -> None:
    frame = noise()
    before, options = copies(frame), RedactOptions()
    after = painted(frame, [Box(1e30, 0, 10, 10), Box(-1e30, -1e30, 5, 5), Box(0, 1e19, 1e19, 1)], options)
    assert all((a == b).all() for a, b in zip(before, after, strict=True))
