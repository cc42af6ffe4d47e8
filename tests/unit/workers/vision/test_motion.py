"""Motion is measured to half a pixel, or not at all."""

import math
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from farm.domain.geometry import Box, intersection_over_union
from farm.domain.manifest import VideoStream
from farm.domain.motion import Motion
from tests.scenes import OTHER, H, Plane, W, framed, seen, similarity
from workers.vision.motion import LONG_SIDE, MotionMeter

VIDEO = VideoStream(0, "h264", W, H, "yuv420p", Fraction(1, 25), Fraction(25), None, 2, 2, 2, 2)
METER = MotionMeter(VIDEO)


def measured(before: Plane, after: Plane, meter: MotionMeter = METER, pix_fmt: str = "yuv420p") -> Motion | None:
    return meter.camera(meter.picture(framed(before, pix_fmt)), meter.picture(framed(after, pix_fmt)))


def error(found: Motion | None, true: Motion, size: tuple[int, int] = (W, H)) -> float:
    """The greatest distance, in pixels, over the picture."""
    assert found is not None
    corners = [(x, y) for x in (0, size[0] / 2, size[0]) for y in (0, size[1] / 2, size[1])]
    return max(math.dist(found.point(*p), true.point(*p)) for p in corners)


MOTIONS = [
    similarity(1, 0, 0, 0), similarity(1, 0, 0.4, -0.3), similarity(1, 0, -33.3, 12.7), similarity(1, 0, 140, -80),
    similarity(1.03, 0, 0, 0), similarity(0.95, 0, 10, 5), similarity(1, 0.02, 0, 0), similarity(1.02, -0.05, -20, 30),
]  # fmt: skip


@pytest.mark.parametrize("true", MOTIONS)
def test_shifts_turns_and_zooms(true: Motion) -> None:
    found = measured(seen(similarity(1, 0, 0, 0)), seen(true))
    assert error(found, true) < 0.5
    assert found is not None
    assert found.quality > 0.5


@pytest.mark.parametrize("true", [m for m in MOTIONS if abs(m.tx) < 100])
def test_a_third_of_the_picture_moves_otherwise(true: Motion) -> None:
    before, after = seen(similarity(1, 0, 0, 0)), seen(true)
    inside = np.s_[150:550, 300:990]
    before[inside] = OTHER[100:500, 100:790]
    after[inside] = OTHER[130:530, 60:750]
    assert error(measured(before, after), true) < 0.5


@pytest.mark.parametrize("length", [10, 60])
def test_motion_blur(length: int) -> None:
    def blurred(at: float) -> Plane:
        exposures = [seen(similarity(1, 0, at + length * k / 8, 0)).astype(np.float32) for k in range(8)]
        mean: Plane = np.mean(exposures, axis=0).astype(np.uint8)
        return mean

    assert error(measured(blurred(0), blurred(-1.6 * length)), similarity(1, 0, -1.6 * length, 0)) < 0.5


def test_noise_over_the_scene() -> None:
    chance, true = np.random.default_rng(5), similarity(1, 0.01, 7.5, -3)
    noisy = [
        np.clip(picture * 0.4 + chance.normal(20, 8, picture.shape), 0, 255).astype(np.uint8)
        for picture in (seen(similarity(1, 0, 0, 0)), seen(true))
    ]
    assert error(measured(noisy[0], noisy[1]), true) < 0.5


@pytest.mark.parametrize(("gain", "offset"), [(0.6, 0), (1.5, 20), (0.5, 120)])
def test_while_the_light_changes(gain: float, offset: float) -> None:
    true = similarity(1, 0, 9, -4)
    after = np.clip(seen(true) * gain + offset, 0, 255).astype(np.uint8)
    assert error(measured(seen(similarity(1, 0, 0, 0)), after), true) < 0.5


def test_where_nothing_can_be_seen_nothing_is_said() -> None:
    chance = np.random.default_rng(6)
    flat = np.full((H, W), 90, np.uint8)
    grain = [np.clip(chance.normal(40, sigma, (H, W)), 0, 255).astype(np.uint8) for sigma in (2, 2, 20, 20)]
    assert measured(flat, flat) is None
    assert measured(grain[0], grain[1]) is None
    assert measured(grain[2], grain[3]) is None
    assert measured(seen(similarity(1, 0, 0, 0)), seen(similarity(1, 0, 0, 0), OTHER)) is None
    assert measured(seen(similarity(1, 0, 0, 0)), flat) is None


@pytest.mark.parametrize("pix_fmt", ["gbrp", "rgb24", "yuv420p10le", "gray", "gbrp10le", "yuv444p12le"])
def test_other_pixel_formats(pix_fmt: str) -> None:
    true = similarity(1.01, 0.01, 20, -10)
    meter = MotionMeter(replace(VIDEO, pix_fmt=pix_fmt))
    assert error(measured(seen(similarity(1, 0, 0, 0)), seen(true), meter, pix_fmt), true) < 0.5


@pytest.mark.parametrize("size", [(320, 180), (640, 480), (360, 640), (1279, 719)])
def test_other_sizes(size: tuple[int, int]) -> None:
    true = Motion(tx=11.5, ty=-4)
    meter = MotionMeter(replace(VIDEO, width=size[0], height=size[1]))
    before = seen(Motion(), size=size)
    assert max(meter.picture(framed(before)).shape) == min(LONG_SIDE, max(size))
    assert error(measured(before, seen(true, size=size), meter), true, size) < 0.5


@pytest.mark.parametrize("aspect", [Fraction(64, 45), Fraction(3, 4)])
def test_pixels_that_are_not_square(aspect: Fraction) -> None:
    """720 x 576: what is turned in square pixels is sheared in coded ones."""
    size, square = (720, 576), similarity(1.01, 0.03, 10, 20)
    true = replace(square, tx=square.tx / float(aspect), aspect=float(aspect))
    meter = MotionMeter(replace(VIDEO, width=size[0], height=size[1], sample_aspect=aspect))
    before, after = (seen(motion, aspect=float(aspect), size=size) for motion in (similarity(1, 0, 0, 0), square))
    assert error(measured(before, after, meter), true, size) < 0.5


@pytest.mark.parametrize("size", [(720, 576), (1280, 720)])
def test_interlaced_pictures(size: tuple[int, int]) -> None:
    """Each field is half a frame's time later than the one before."""

    def woven(at: float) -> Plane:
        fields = [seen(Motion(tx=at * 20, ty=-at * 6), size=size) for at in (at, at + 0.5)]
        fields[0][1::2] = fields[1][1::2]
        return fields[0]

    meter = MotionMeter(replace(VIDEO, width=size[0], height=size[1], fields="tff"))
    assert error(measured(woven(0), woven(1), meter), Motion(tx=20, ty=-6), size) < 0.5


def test_the_same_frames_give_the_same_numbers_whatever_came_before() -> None:
    pictures = [METER.picture(framed(seen(motion))) for motion in MOTIONS]
    alone = MotionMeter(VIDEO).camera(pictures[4], pictures[7])
    for picture in pictures:
        METER.camera(picture, pictures[0])
    assert METER.camera(pictures[4], pictures[7]) == alone


@pytest.mark.parametrize("side", [48, 120, 300])
def test_an_object_that_moves_by_itself(side: int) -> None:
    camera = similarity(1, 0, 12, 5)
    before, after = seen(similarity(1, 0, 0, 0)), seen(camera)
    box, true = Box(400, 200, side, side), Box(412, 191, side * 1.02, side * 1.02)
    for picture, at in ((before, box), (after, true)):
        zoom = at.w / side
        matrix = np.array([[zoom, 0, at.x + zoom / 2 - 0.5], [0, zoom, at.y + zoom / 2 - 0.5]])
        patch = OTHER[300 : 300 + side, 300 : 300 + side]
        inside = cv2.warpAffine(np.full_like(patch, 255), matrix, (W, H))
        moved = cv2.warpAffine(patch, matrix, (W, H), borderMode=cv2.BORDER_REPLICATE)
        picture[...] = np.where(inside > 127, moved, picture)
    first, second = (METER.picture(framed(picture)) for picture in (before, after))
    found, other = METER.boxes(first, second, [box, Box(900, 450, side, side)], METER.camera(first, second))
    assert found is not None
    assert intersection_over_union(found.apply(box), true) > 0.9
    assert other is not None
    assert math.dist(other.point(900, 450), (912, 455)) < 1


def test_boxes_that_cannot_be_followed() -> None:
    scene, flat = METER.picture(framed(seen(Motion()))), METER.picture(framed(np.full((H, W), 90, np.uint8)))
    outside = [Box(-90, 300, 100, 100), Box(1250, 690, 100, 100), Box(2000, 0, 50, 50), Box(300, 300, 9, 9)]
    assert METER.boxes(scene, scene, outside) == [None] * 4
    assert METER.boxes(scene, flat, [Box(300, 300, 100, 100)]) == [None]
    assert METER.boxes(flat, flat, [Box(300, 300, 100, 100)]) == [None]
    assert METER.boxes(scene, scene, []) == []
