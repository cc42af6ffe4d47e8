"""A frame that is redacted is the one that was examined."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from farm.domain.detection import FrameDetections
from farm.domain.linker import link
from farm.domain.options import LinkOptions
from farm.errors import SourceError
from farm.media.planes import planes_of
from tests.integration.trips import rendered
from workers.stages.redact import run as run_redact
from workers.vision.sketch import is_like, sketch_of

from .conftest import MakeBench, StubTools


def frames(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv444p10le", "gray", "gbrp"])
def test_a_frame_is_known_again_and_no_other(tmp_path: Path, pixels: str) -> None:
    words = ["-f", "lavfi", "-i", "testsrc2=size=96x64:rate=2:duration=4", "-pix_fmt", pixels, "-c:v", "ffv1"]
    shown = frames(rendered(tmp_path / "clip.mkv", *words))
    sketches = [sketch_of(frame) for frame in shown]
    known = [[is_like(frame, sketch) for sketch in sketches] for frame in shown]
    assert known == np.eye(len(shown), dtype=bool).tolist()


def test_a_rounding_error_is_no_other_frame(tmp_path: Path) -> None:
    (frame, *_) = frames(rendered(tmp_path / "clip.mkv", "-f", "lavfi", "-i", "testsrc2=duration=0.1", "-c:v", "ffv1"))
    luma = planes_of(frame)[0].astype(int)
    noise = np.random.default_rng(1).integers(-1, 2, luma.shape)
    noisy = av.VideoFrame.from_ndarray(np.clip(luma + noise, 0, 255).astype(np.uint8), format="gray")
    assert is_like(noisy, sketch_of(frame))


def test_another_picture_at_the_same_time_is_refused(make_bench_clip: Path, bench: MakeBench) -> None:
    made = bench(make_bench_clip, 100)
    found = made.detections(made.detect(0))
    assert all(row.sketch for row in found)
    order = made.order("redact", 0, (made.tracks(0, found),))
    assert run_redact(order, made.store, StubTools(), lambda _: None).artefact.frames == len(found)
    other = bench(make_bench_clip, 100)
    swapped = [replace(row, sketch=found[(at + 4) % len(found)].sketch) for at, row in enumerate(found)]
    order = other.order("redact", 0, (other.tracks(0, swapped),))
    with pytest.raises(SourceError, match="differs from the one that was examined"):
        run_redact(order, other.store, StubTools(), lambda _: None)


@pytest.fixture
def make_bench_clip(tmp_path: Path) -> Path:
    words = ["-f", "lavfi", "-i", "testsrc2=size=96x64:rate=5:duration=2", "-c:v", "libx264"]
    return rendered(tmp_path / "moving.mp4", *words)


def test_linking_hands_it_on() -> None:
    found = [FrameDetections(pts, False, (), sketch=f"s{pts}") for pts in range(5)]
    assert [row.sketch for row in link(found, Fraction(1, 25), LinkOptions())] == [row.sketch for row in found]
