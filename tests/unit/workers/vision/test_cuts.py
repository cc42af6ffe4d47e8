"""Cuts are found between all kinds of shots, and not where the light, the camera or something close moves."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from farm.domain.manifest import VideoStream
from farm.media.reading.limits import Limits
from farm.media.reading.probe import probe_source
from tests.scenes import OTHER, SCENE, H, Plane, W, framed, seen, similarity, texture
from workers.vision.cuts import is_cut
from workers.vision.motion import MotionMeter

VIDEO = VideoStream(0, "h264", W, H, "yuv420p", Fraction(1, 25), Fraction(25), None, 2, 2, 2, 2)
METER = MotionMeter(VIDEO)
HERE, THERE = seen(similarity(1, 0, 0, 0)), seen(similarity(1, 0, 0, 0), OTHER)


def cut(before: Plane, after: Plane, meter: MotionMeter = METER) -> bool:
    a, b = (meter.picture(framed(picture)) for picture in (before, after))
    return is_cut(a, b, meter.camera(a, b))


def lit(picture: NDArray[Any], gain: float, offset: float = 0.0, noise: float = 0.0, seed: int = 1) -> Plane:
    grain = np.random.default_rng(seed).normal(0, noise, picture.shape) if noise else 0
    changed: Plane = np.clip(picture * gain + offset + grain, 0, 255).astype(np.uint8)
    return changed


def barred(picture: Plane) -> Plane:
    picture = picture.copy()
    picture[: H // 8] = picture[-H // 8 :] = 16
    return picture


def upright(picture: Plane) -> Plane:
    """An upright picture between black bars."""
    wide = np.full((H, W), 16, np.uint8)
    wide[:, 440:840] = cv2.resize(picture, (400, H), interpolation=cv2.INTER_AREA)
    return wide


def captioned(picture: Plane) -> Plane:
    picture = picture.copy()
    picture[600:690, 50:1230] = 30
    cv2.putText(picture, "BREAKING NEWS FROM THE FARM", (80, 660), cv2.FONT_HERSHEY_SIMPLEX, 2, (230,), 5)
    return picture


def alike(picture: Plane) -> Plane:
    """Bright above and dark below, as a sky is: small pictures of such shots correlate."""
    return lit(np.linspace(180, 70, H)[:, None] + (picture - 128.0) * 0.7, 1)


CHANGES: dict[str, Callable[[Plane], Plane]] = {
    "plain": lambda picture: picture,
    "dark": lambda picture: lit(picture, 0.25, 10, noise=3, seed=int(picture[0, 0])),
    "letterbox": barred,
    "pillarbox": upright,
    "caption": captioned,
    "alike": alike,
    "soft": lambda picture: cv2.GaussianBlur(picture, (0, 0), 12).astype(np.uint8),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_another_shot(kind: str) -> None:
    change = CHANGES[kind]
    assert cut(change(HERE), change(THERE))
    assert cut(change(THERE), change(HERE))
    assert not cut(change(HERE), change(HERE))


def test_another_part_or_size_of_the_same_scene() -> None:
    assert cut(HERE, seen(similarity(2.2, 0, 0, 0)))
    assert cut(seen(similarity(2, 0, 600, 300)), seen(similarity(2, 0, -600, -300)))


@pytest.mark.parametrize("gain", [1.5, 2.5, 0.4])
def test_a_flash(gain: float) -> None:
    assert not cut(HERE, lit(HERE, gain))
    assert not cut(lit(HERE, gain), HERE)


def test_a_flash_from_the_side() -> None:
    light = 1 + 2 * cv2.GaussianBlur((np.arange(W) < W // 2).astype(np.float32)[None].repeat(H, 0), (0, 0), 90)
    assert not cut(HERE, lit(HERE * light, 1))


@pytest.mark.parametrize("level", [16, 235])
def test_a_fade(level: int) -> None:
    steps = [lit(HERE, 1 - k / 8, level * k / 8) for k in range(9)]
    assert not any(cut(a, b) for a, b in pairwise(steps))


def test_a_dissolve() -> None:
    steps = [lit(HERE * (1 - k / 12) + THERE * (k / 12), 1) for k in range(13)]
    assert not any(cut(a, b) for a, b in pairwise(steps))


def test_black_between_two_shots() -> None:
    """A picture without structure that is as bright as the one before is no other shot: it has faded."""
    black, grey = np.full((H, W), 16, np.uint8), np.full((H, W), round(HERE.mean()), np.uint8)
    assert cut(HERE, black)
    assert cut(black, THERE)
    assert not cut(black, black)
    assert not cut(lit(HERE, 0.05, 16), black)
    assert not cut(grey, lit(grey, 1, 5))


@pytest.mark.parametrize("shift", [40, 120, 200])
def test_a_whip_of_the_camera(shift: int) -> None:
    exposures = [[seen(similarity(1, 0, -at - shift * k / 16, 0)) for k in range(8)] for at in (0, shift)]
    before, after = (np.mean(several, axis=0).astype(np.uint8) for several in exposures)
    assert not cut(before, after)


def test_something_close_goes_by() -> None:
    before, after = HERE.copy(), HERE.copy()
    before[:, 200:800] = OTHER[:H, 300:900]
    after[:, 320:920] = OTHER[:H, 300:900]
    assert not cut(before, after)


def test_noise_in_the_dark() -> None:
    assert not any(cut(lit(HERE, 0.1, 12, 8, seed), lit(HERE, 0.1, 12, 8, seed + 1)) for seed in (1, 3, 5))
    flat = np.full((H, W), 20, np.uint8)
    assert not cut(lit(flat, 1, 0, 8, 1), lit(flat, 1, 0, 8, 2))


def decoded(path: Path) -> Iterator[av.VideoFrame]:
    with av.open(str(path)) as container:
        yield from container.decode(video=0)


def cuts_of(path: Path) -> list[int]:
    """The numbers of the frames that begin a shot."""
    meter = MotionMeter(probe_source(path, Limits()).video)
    pictures = [meter.picture(frame) for frame in decoded(path)]
    return [k for k, (a, b) in enumerate(pairwise(pictures), 1) if is_cut(a, b, meter.camera(a, b))]


@pytest.mark.parametrize("quality", ["18", "38"])
def test_a_video_of_four_shots(tmp_path: Path, quality: str) -> None:
    path = tmp_path / "shots.mp4"
    scenes = [SCENE, OTHER, texture(3), SCENE]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": quality, "preset": "veryfast"})
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 640, 360, "yuv420p"
        for k in range(40):
            shot = seen(similarity(1 + k / 400, 0, 6 * (k % 10), 2 * k), scenes[k // 10])
            container.mux(stream.encode(framed(cv2.resize(shot, (640, 360), interpolation=cv2.INTER_AREA))))  # type: ignore[arg-type]
        container.mux(stream.encode(None))
    assert cuts_of(path) == [10, 20, 30]


@pytest.mark.footage
@pytest.mark.parametrize(
    ("name", "wanted"),
    [("androidx/bbb_800x640_768kbps_30fps_avc_2b_firstpts_10_sec.mp4", [6]), ("real/asl_walk.mkv", []),
     ("derived/vfr.mp4", [])],
)  # fmt: skip
def test_cuts_of_real_footage(footage: Path, name: str, wanted: list[int]) -> None:
    assert cuts_of(footage / "videos" / name) == wanted


@pytest.mark.footage
def test_cuts_that_correlation_of_small_pictures_missed(footage: Path) -> None:
    """A caption stays and the light is the same: a correlation of 0.76 and 0.61."""
    assert {42, 69} <= set(cuts_of(footage / "videos/androidx/roadtrip-vp92-10bit.webm"))


@pytest.mark.footage
def test_a_shaken_and_whipped_camera(footage: Path) -> None:
    assert cuts_of(footage / "truth/handheld720.mp4") == list(range(45, 630, 45))
