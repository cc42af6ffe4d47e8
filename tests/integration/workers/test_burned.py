"""Times, numbers and boxes that are burnt in: where they are asked for, as a player shows them, and nowhere else."""

import subprocess
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from farm.domain.geometry import Box
from farm.domain.options import RedactOptions
from farm.domain.polygon import Polygon
from farm.domain.time import exact_time_text
from farm.domain.track import FrameTracks, TrackedBox
from farm.executables import find_ffmpeg
from tests.integration.workers.conftest import Bench, GreenClip, MakeBench, StubTools
from workers.stages.redact import run as run_redact
from workers.vision.burning import Burner, colour_of
from workers.vision.laying import lay

FACE = TrackedBox(0, Box(100, 60, 60, 60), score=0.87)
Picture = NDArray[np.int64]


def pictures(path: Path) -> list[Picture]:
    with av.open(str(path)) as container:
        return [np.asarray(f.to_ndarray(format="bgr24"), np.int64) for f in container.decode(video=0)]


def redacted(made: Bench, chunk: int, *boxes: TrackedBox, **options: object) -> list[Picture]:
    made.options = replace(made.options, redact=RedactOptions(**options))  # type: ignore[arg-type]  # a test's shorthand
    order = made.order("redact", chunk, (made.linked([FrameTracks(pts, boxes) for pts in made.pts[chunk]], chunk),))
    result = run_redact(order, made.store, StubTools(), lambda _: None)
    with made.store.fetch(result.artefact.key) as path:
        return pictures(path)


@pytest.fixture
def lossless(green_clip: GreenClip, tmp_path: Path) -> Path:
    """Thirty frames in RGB, so that what is drawn is compared as it is."""
    path = tmp_path / "rgb.mkv"
    words = ["-i", green_clip(frames=30), "-c:v", "ffv1", "-g", "10", "-pix_fmt", "gbrp", path]
    subprocess.run([str(find_ffmpeg().path), "-v", "error", *map(str, words)], check=True)
    return path


@pytest.mark.parametrize("overlay", ["time", "frame", "time,frame"])
def test_time_and_number_of_the_frame_are_burnt_into_every_chunk(
    bench: MakeBench, lossless: Path, overlay: str
) -> None:
    made, sources = bench(lossless, 0.4), pictures(lossless)
    assert len(made.pts) > 1
    video, number = made.manifest.source.video, 0
    for chunk, every in enumerate(made.pts):
        for pts, picture in zip(every, redacted(made, chunk, FACE, overlay=overlay, style="solid"), strict=True):
            said = {"time": exact_time_text(float(pts * video.time_base)), "frame": f"frame {number + 1}"}
            stamp = Burner(video).text("  ".join(said[word] for word in overlay.split(",")), (0, 0))
            wanted = av.VideoFrame.from_ndarray(sources[number].astype(np.uint8), format="bgr24").reformat(
                format="gbrp"
            )
            lay(wanted, [stamp])
            rows, columns = stamp.layer.shape[:2]
            expected = wanted.to_ndarray(format="bgr24")
            assert (picture[:rows, :columns] == expected[:rows, :columns]).all()
            assert picture[5:rows, :columns].max() > 200  # legible: white on a dark ground
            assert (picture[rows:40] == sources[number][rows:40]).all()
            assert picture[65:115, 105:155].max() == 0  # the face is covered all the same
            number += 1
    assert number == len(sources)


def test_debug_draws_boxes_and_covers_nothing(bench: MakeBench, lossless: Path) -> None:
    made, sources = bench(lossless, None), pictures(lossless)
    polygon = Polygon(((200, 40), (280, 60), (220, 150)))
    after = redacted(made, 0, FACE, TrackedBox(-1, polygon.bounds, polygon=polygon), debug=True)
    for before, picture in zip(sources, after, strict=True):
        assert (picture[70:110, 110:150] == before[70:110, 110:150]).all()
        for place in ((slice(60, 61), slice(104, 156)), (slice(64, 116), slice(100, 101))):
            assert (picture[place] == colour_of(0)).all()
        assert (picture[48:53, 238:243] == colour_of(-1)).all(axis=2).any()  # in the middle of a side of the polygon
        assert (picture[:10, :60] != before[:10, :60]).any()  # the time


def test_times_in_thousandths() -> None:
    texts = {0: "0:00.000", 3.5714: "0:03.571", 59.9996: "1:00.000", 3725.25: "1:02:05.250", -0.04: "-0:00.040"}
    assert {seconds: exact_time_text(seconds) for seconds in texts} == texts
