"""What a person draws is covered in the decoded segment, frame by frame, and the rest of the picture is as it was."""

import subprocess
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from farm.domain.edits import Action, Edit, KeyFrame
from farm.domain.masks import apply
from farm.domain.options import Override, RedactOptions
from farm.domain.polygon import Polygon, ellipse_in
from farm.domain.track import FrameTracks
from farm.executables import find_ffmpeg
from farm.media.planes import planes_of
from tests.integration.workers.conftest import Bench, GreenClip, MakeBench, StubTools
from tests.unit.workers.vision.test_outlines import touched
from workers.stages.redact import run as run_redact

ARROW = Polygon(((40, 20), (130, 30), (120, 110), (80, 60), (45, 100)))
MOVED = Polygon(tuple((x + 90, y + 40) for x, y in ARROW.corners))


@pytest.fixture
def lossless(green_clip: GreenClip, tmp_path: Path) -> Path:
    """Ten bright frames, so that black is nowhere in the source."""
    path = tmp_path / "bright.mkv"
    words = ["-i", green_clip(frames=10), "-vf", "lutyuv=y='80+val/2'", "-c:v", "ffv1", "-pix_fmt", "yuv420p", path]
    subprocess.run([str(find_ffmpeg().path), "-v", "error", *map(str, words)], check=True)
    return path


def segment(made: Bench, edits: list[Edit]) -> list[av.VideoFrame]:
    """The decoded frames of the chunk, redacted with the masks that edits make of no tracks."""
    pts = made.pts[0]
    masks = apply(edits, {}, [FrameTracks(at, ()) for at in pts], pts[-1] + 1)
    order = made.order("redact", 0, (made.linked(list(masks)),))
    result = run_redact(order, made.store, StubTools(), lambda _: None)
    with made.store.fetch(result.artefact.key) as path, av.open(str(path)) as container:
        return list(container.decode(video=0))


@pytest.mark.parametrize("drawn", ["polygon", "ellipse"])
def test_drawn_shapes_that_move(bench: MakeBench, lossless: Path, drawn: str) -> None:
    made = bench(lossless, None)
    made.options = replace(made.options, redact=RedactOptions(style="solid", margin=0.0))
    pts = made.pts[0]
    areas = (ARROW, MOVED) if drawn == "polygon" else (ARROW.bounds, MOVED.bounds)
    keys = KeyFrame.of(pts[0], areas[0]), KeyFrame.of(pts[-1], areas[1])
    way = Override(shape="ellipse") if drawn == "ellipse" else None
    frames = segment(made, [Edit(action=Action.COVER, number=1, where=keys, override=way)])
    with av.open(str(lossless)) as container:
        before = list(container.decode(video=0))
    assert len(frames) == len(before) == 10
    for at, old, new in zip(pts, before, frames, strict=True):
        share = (at - pts[0]) / (pts[-1] - pts[0])
        outline = (ARROW if drawn == "polygon" else ellipse_in(ARROW.bounds, 400)).towards(
            MOVED if drawn == "polygon" else ellipse_in(MOVED.bounds, 400), share
        )
        luma, source = planes_of(new)[0], planes_of(old)[0]
        assert source.min() > 70
        inside = touched(outline, new.width, new.height)
        assert inside.sum() > 2000
        assert (luma[inside] == 16).all()
        grown = outline.grown(0.06)
        rows, columns = np.arange(new.height)[:, None], np.arange(new.width)[None, :]
        far = (rows < grown.y - 4) | (rows > grown.y + grown.h + 4)
        far = far | (columns < grown.x - 4) | (columns > grown.x + grown.w + 4)
        assert (luma[far] == source[far]).all()
    if drawn == "polygon":  # in the notch
        assert planes_of(frames[0])[0][95, 80] == planes_of(before[0])[0][95, 80]
