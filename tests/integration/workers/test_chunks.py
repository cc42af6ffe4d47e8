"""Wherever a video is cut into chunks, its tracks are the same: with every preset, and with a camera that moves."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pytest

from farm.domain.detection import FrameDetections
from farm.domain.detectors import QUALITIES, DetectOptions
from farm.domain.quality import resolved
from tests.conftest import ClipMaker
from tests.integration.trips import rendered
from tests.integration.workers.conftest import Bench, GreenClip, MakeBench, StubTools
from tests.integration.workers.test_upright import Eyes
from tests.planned import masked
from workers.stages.detect import run as run_detect
from workers.stages.orders import Tools

SECONDS = (100, 5, 2, 1)
CENTERFACE, STUB = DetectOptions(), DetectOptions(detector="stub")


def tracks(made: Bench, options: DetectOptions, tools: Tools) -> tuple[list[str], list[FrameDetections]]:
    """Detect chunk by chunk and link: the lines of the masks, and of the detections."""
    made.options = replace(made.options, detect=options)
    chunks = range(len(made.manifest.chunks))
    found = [run_detect(made.order("detect", k), made.store, tools, lambda _: None) for k in chunks]
    lines: list[str] = []
    for artefact in masked(made.store, made.manifest, made.options, [one.artefact for one in found]):
        with made.store.fetch(artefact.key) as path:
            lines += path.read_text().splitlines()
    return lines, list(chain.from_iterable(map(made.detections, found)))


def check(
    make: MakeBench, source: Path, options: DetectOptions, tools: Tools, lengths: Sequence[float] = SECONDS
) -> list[FrameDetections]:
    """Compare the tracks of all chunk lengths. Returns the detections of the video in one chunk."""
    (lines, found), *others = [tracks(make(source, seconds), options, tools) for seconds in lengths]
    assert sum('"face"' in line for line in lines) > len(lines) / 2
    for seconds, (other, _) in zip(lengths[1:], others, strict=True):
        differing = [n for n, (a, b) in enumerate(zip(lines, other, strict=True)) if a != b]
        assert differing == [], f"chunks of {seconds} s: frames {differing}"
    return found


@pytest.fixture(scope="module")
def moving(make_clip: ClipMaker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A camera that moves over a photograph with a face; the picture is turned over from 2.3 to 4.1 s."""
    clip = make_clip(seconds=6, size=(320, 180), fps=25, gop=10)
    words = ["-an", "-vf", "hflip=enable='between(t,2.3,4.1)'", "-g", "10", "-preset", "veryfast"]
    return rendered(tmp_path_factory.mktemp("moving") / "moving.mp4", "-i", str(clip), *words)


@pytest.mark.parametrize("quality", QUALITIES)
def test_the_tracks_of_every_preset_do_not_depend_on_chunks(
    bench: MakeBench, moving: Path, weights: Path, quality: str
) -> None:
    options = replace(CENTERFACE, quality=quality)
    found = check(bench, moving, options, Eyes(weights))
    assert sum(row.cut for row in found) == 2
    assert all(row.motion or row.cut for row in found[1:])
    looks = [row for row in found if row.detections is not None]
    assert len(found) / resolved(options).every <= len(looks) < len(found)


@pytest.mark.parametrize("every", [1, 3, 8, 64])
def test_nor_do_those_of_any_interval(bench: MakeBench, green_clip: GreenClip, every: int) -> None:
    """Patches come and go, and frames are of different lengths."""
    check(bench, green_clip(frames=100), replace(STUB, size=320, every=every), StubTools(), (100, 2, 0.4))


@pytest.mark.parametrize(("rate", "every", "looks"), [(25, None, 2), (2, None, 16), (2, 8, 2)])
def test_where_frames_are_far_apart_each_is_looked_at(
    bench: MakeBench, tmp_path: Path, rate: int, every: int | None, looks: int
) -> None:
    """Unless somebody asks for fewer."""
    texture = "geq=lum='128+60*sin(X/9)*cos(Y/11)+40*mod(floor(X/7)+floor(Y/5),2)'"
    picture = f"nullsrc=size=320x192:rate={rate}:duration={16 / rate},{texture}"
    source = rendered(tmp_path / "slow.mp4", "-f", "lavfi", "-i", picture, "-c:v", "libx264", "-pix_fmt", "yuv420p")
    made = bench(source, 100)
    made.options = replace(made.options, detect=replace(STUB, every=every))
    found = made.detections(made.detect(0))
    assert sum(row.detections is not None for row in found) == looks
