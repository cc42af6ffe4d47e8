"""The style image, all the way: the picture is seen, and nothing of the face, however transparent the picture is."""

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from farm.domain.geometry import Box
from farm.domain.options import Override, RedactOptions
from farm.domain.track import FrameTracks, TrackedBox
from farm.errors import SettingsError
from farm.executables import find_ffmpeg
from farm.jobs.images import put_image, read_image
from farm.media.planes import planes_of
from tests.integration.workers.conftest import Bench, GreenClip, MakeBench, StubTools
from workers.stages.redact import run as run_redact

BOX = Box(100, 50, 60, 60)
#: With the margin of 30 %, 96 pixels wide: the picture is as high as wide.
GROWN = BOX.grown(0.3)


@pytest.fixture
def badge(tmp_path: Path) -> Path:
    """A red disc on nothing, of which the left half is hardly there."""
    rows, columns = np.mgrid[0:200, 0:200]
    picture = np.zeros((200, 200, 4), np.uint8)
    disc = (rows - 99.5) ** 2 + (columns - 99.5) ** 2 < 45**2
    picture[disc] = 230, 20, 30, 255
    picture[disc & (columns < 100), 3] = 2
    path = tmp_path / "badge.png"
    Image.fromarray(picture, "RGBA").save(path)
    return path


@pytest.fixture
def bright(green_clip: GreenClip, tmp_path: Path) -> Callable[..., Path]:
    def make(pix_fmt: str, *words: str) -> Path:
        path = tmp_path / "bright.mkv"
        filters = f"format=yuv444p,lutyuv=y='80+val/2',format={pix_fmt}"
        command = ["-i", green_clip(frames=10), "-vf", filters, "-c:v", "ffv1", "-pix_fmt", pix_fmt, *words, path]
        subprocess.run([str(find_ffmpeg().path), "-v", "error", *map(str, command)], check=True)
        return path

    return make


def frames_of(made: Bench, boxes: tuple[TrackedBox, ...]) -> list[av.VideoFrame]:
    order = made.order("redact", 0, (made.linked([FrameTracks(pts, boxes) for pts in made.pts[0]]),))
    result = run_redact(order, made.store, StubTools(), lambda _: None)
    with made.store.fetch(result.artefact.key) as path, av.open(str(path)) as container:
        return list(container.decode(video=0))


@pytest.mark.parametrize(
    ("pix_fmt", "words"),
    [
        ("yuv420p", ()), ("yuv422p10le", ()), ("gbrp", ()), ("yuv420p", ("-vf", "setfield=tff")),
        ("yuv444p", ("-color_range", "pc", "-colorspace", "bt709")),
    ],
)  # fmt: skip
def test_the_picture_is_seen_and_nothing_of_the_face(
    bench: MakeBench, bright: Callable[..., Path], badge: Path, pix_fmt: str, words: tuple[str, ...]
) -> None:
    source = bright(pix_fmt, *words)
    made, image = bench(source, None), read_image(badge)
    put_image(made.store, image)
    made.options = replace(made.options, redact=RedactOptions(style="image", shape="rectangle", image=image.key))
    with av.open(str(source)) as container:
        before = [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]
    after = [frame.to_ndarray(format="rgb24").astype(int) for frame in frames_of(made, (TrackedBox(0, BOX),))]
    for old, new in zip(before, after, strict=True):
        x, y = (round(side) for side in GROWN.centre)
        assert np.abs(new[y - 10 : y + 10, x + 6 : x + 16] - (230, 20, 30)).max() < 30
        face = new[round(BOX.y) : round(BOX.y + BOX.h), round(BOX.x) : round(BOX.x + BOX.w)]
        clear = np.concatenate([face[:, :28].reshape(-1, 3), face[:3].reshape(-1, 3)])
        assert clear.max() < 12  # black, where the picture is transparent or hardly there
        assert old.max(axis=2).min() > 40
        assert np.abs(new[:30] - old[:30]).max() < 12
        assert np.abs(new[-30:] - old[-30:]).max() < 12


def test_a_picture_of_an_edit_lies_on_its_box_only(bench: MakeBench, bright: Callable[..., Path], badge: Path) -> None:
    made, image = bench(bright("yuv420p"), None), read_image(badge)
    put_image(made.store, image)
    own = Override("image", "rectangle", None, image.key)
    frames = frames_of(made, (TrackedBox(0, BOX, override=own), TrackedBox(1, Box(230, 60, 40, 40))))
    for frame in frames:
        luma = planes_of(frame)[0].astype(int)
        assert luma[52:60, 102:110].max() < 30  # black beneath the corner
        assert luma[70:90, 240:260].min() > 80  # blurred


@pytest.mark.parametrize("key", ["image", "none"])
def test_without_its_picture_nothing_is_redacted(
    bench: MakeBench, bright: Callable[..., Path], badge: Path, key: str
) -> None:
    made = bench(bright("yuv420p"), None)
    named = read_image(badge).key if key == "image" else None
    made.options = replace(made.options, redact=RedactOptions(style="image", image=named))
    line = "is not in the store any more" if named else "the style image has no picture"
    with pytest.raises(SettingsError, match=line):
        frames_of(made, (TrackedBox(0, BOX),))
