"""A drawn box follows what is inside it, goes on behind what hides it, and is lost where that does not come back."""

from collections.abc import Callable
from fractions import Fraction

import pytest

from farm.domain.geometry import Box, intersection_over_union
from farm.domain.manifest import VideoStream
from tests.scenes import OTHER, H, Plane, W, framed, seen, similarity, texture
from workers.vision.carrying import Carrier

VIDEO = VideoStream(0, "h264", W, H, "yuv420p", Fraction(1, 25), Fraction(25), None, 2, 2, 2, 2)
FACE = texture(7, 200, 260)
Place = Callable[[int], tuple[int, int]]


def scene(number: int, place: tuple[int, int] | None, size: tuple[int, int], camera: float = 0.0) -> Plane:
    """The scene from a camera that moves by ``camera`` pixels per frame, with a face at a place."""
    picture = seen(similarity(1, 0, camera * number, 0))
    if place is not None:
        x, y = place
        picture[y : y + size[1], x : x + size[0]] = FACE[: size[1], : size[0]]
    return picture


def carried(frames: list[Plane], box: Box) -> list[Box | None]:
    carrier = Carrier(VIDEO, box)
    pictures = [carrier.meter.picture(framed(frame)) for frame in frames]
    carrier.begin(0, pictures[0])
    return [carrier.carry(n, picture) for n, picture in enumerate(pictures[1:], 1)]


@pytest.mark.parametrize("size", [(100, 130), (40, 52), (16, 20)])
@pytest.mark.parametrize("camera", [0.0, 3.0])
def test_a_box_follows_what_moves_inside_it(size: tuple[int, int], camera: float) -> None:
    def place(n: int) -> tuple[int, int]:
        return 300 + 6 * n, 200 + 2 * n

    frames = [scene(n, place(n), size, camera) for n in range(20)]
    for n, box in enumerate(carried(frames, Box(300, 200, *size)), 1):
        assert box is not None
        assert intersection_over_union(box, Box(*place(n), *size)) > 0.75


def test_a_box_waits_behind_what_hides_it_and_is_found_again() -> None:
    size = 60, 80
    frames = [scene(n, (400, 300), size, 2.0) for n in range(24)]
    for n in range(8, 16):  # a post of another texture
        frames[n][:, 380:480] = OTHER[:H, 100:200]
    boxes = carried(frames, Box(400, 300, *size))
    assert None not in boxes
    hidden, last = boxes[11], boxes[-1]
    assert hidden is not None
    assert last is not None
    assert hidden.area > 1.2 * 60 * 80  # it grows while it is not seen
    assert intersection_over_union(last, Box(400, 300, *size)) > 0.8


def test_a_box_is_lost_a_second_after_it_was_seen_last() -> None:
    frames = [scene(n, (400, 300) if n < 5 else None, (60, 80)) for n in range(45)]
    boxes = carried(frames, Box(400, 300, 60, 80))
    assert all(boxes[:20])
    assert boxes[-1] is None


def test_a_box_is_lost_at_a_cut() -> None:
    frames = [scene(n, (400, 300), (60, 80)) for n in range(4)]
    boxes = carried([*frames, OTHER[100 : 100 + H, 100 : 100 + W], frames[0]], Box(400, 300, 60, 80))
    assert [box is None for box in boxes] == [False, False, False, True, True]


def test_a_box_is_lost_where_it_leaves_the_picture() -> None:
    frames = [scene(n, None, (60, 80), -40.0) for n in range(20)]
    boxes = carried(frames, Box(200, 300, 60, 80))
    assert boxes[2] is not None
    assert boxes[-1] is None


def test_black_frames_are_passed_over() -> None:
    carrier = Carrier(VIDEO, Box(400, 300, 60, 80))
    pictures = [carrier.meter.picture(framed(scene(n, (400, 300), (60, 80)))) for n in range(4)]
    carrier.begin(0, pictures[0])
    assert carrier.carry(1, None) is not None
    boxes = [carrier.carry(n, pictures[n]) for n in (2, 3)]
    assert None not in boxes
    assert boxes[1] is not None
    assert intersection_over_union(boxes[1], Box(400, 300, 60, 80)) > 0.7
