"""Turned videos: faces are looked for upright, as a player shows them, and covered where they are coded."""

import subprocess
from array import array
from dataclasses import replace
from pathlib import Path
from statistics import mean

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from farm.domain.artefacts import plan_key
from farm.domain.detection import FrameDetections
from farm.domain.detectors import DetectOptions
from farm.domain.geometry import Box, intersection_over_union
from farm.domain.linker import link
from farm.domain.manifest import Manifest
from farm.domain.options import RedactOptions
from farm.domain.orientation import Matrix, coded_box
from farm.domain.track import FrameTracks
from farm.executables import find_ffmpeg
from farm.jobs.plans import store_plan
from farm.messages import Artefact
from tests.conftest import ClipMaker
from tests.integration.workers.conftest import Bench, GreenClip, MakeBench, StubTools, found_in
from workers.stages.detect import run as run_detect
from workers.stages.orders import Tools
from workers.stages.redact import run as run_redact
from workers.vision.detectors.base import Detector
from workers.vision.detectors.combined import create_detector
from workers.vision.device import Device, runtimes

ONE = 1 << 16
#: For each EXIF orientation a, b, c, d of the display matrix, and what makes an upright picture a coded one of it.
TURNED = {
    1: ((1, 0, 0, 1), "null"),
    2: ((-1, 0, 0, 1), "hflip"),
    3: ((-1, 0, 0, -1), "hflip,vflip"),
    4: ((1, 0, 0, -1), "vflip"),
    5: ((0, 1, 1, 0), "transpose=cclock_flip"),
    6: ((0, 1, -1, 0), "transpose=cclock"),
    7: ((0, -1, -1, 0), "transpose=clock_flip"),
    8: ((0, -1, 1, 0), "transpose=clock"),
}


def matrix_of(orientation: int) -> Matrix:
    a, b, c, d = (ONE * number for number in TURNED[orientation][0])
    return (a, b, 0, c, d, 0, 0, 0, 1 << 30)


def ffmpeg(*words: object) -> None:
    subprocess.run([str(find_ffmpeg().path), "-v", "error", "-y", *map(str, words)], check=True)


class Eyes:
    """Tools of a worker that has CenterFace."""

    threads = 1
    ffmpeg = Path("none of these tests composes")

    def __init__(self, weights: Path) -> None:
        self._weights = weights

    def detector(self, options: DetectOptions) -> Detector:
        device = Device("cpu", 0)
        options = replace(options, runtime=runtimes("auto", device)[0])
        return create_detector(options, device, threads=1, weights=lambda name: self._weights / f"{name}.onnx")

    def free_detectors(self) -> None:
        pass


def with_matrix(made: Bench, matrix: Matrix | None) -> Bench:
    """The bench with another display matrix in its plan."""
    old = made.manifest
    video = replace(old.source.video, matrix=matrix)
    made.manifest = replace(old, source=replace(old.source, video=video))
    rewrite(made, made.manifest)
    return made


def rewrite(made: Bench, manifest: Manifest) -> None:
    store_plan(made.store, plan_key(manifest), manifest, [array("q", part) for part in made.pts])


def looked_for(made: Bench, tools: Tools) -> list[FrameDetections]:
    return made.detections(run_detect(made.order("detect"), made.store, tools, lambda _: None))


def redacted(made: Bench, frames: list[FrameDetections], tools: Tools) -> list[NDArray[np.uint8]]:
    """Link and redact the only chunk; the segment's pictures in coded orientation, BGR."""
    tracks = list(link(frames, made.manifest.source.video.time_base, made.options.link))
    result = run_redact(made.order("redact", 0, (stored(made, tracks),)), made.store, tools, lambda _: None)
    with made.store.fetch(result.artefact.key) as path:
        return pictures(path)


def stored(made: Bench, tracks: list[FrameTracks]) -> Artefact:
    return made.linked(tracks)


def pictures(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="bgr24").astype(np.uint8) for frame in container.decode(video=0)]


def change(a: NDArray[np.uint8], b: NDArray[np.uint8], box: Box) -> tuple[float, float]:
    """How much two pictures differ on average inside ``box``, and at three times its size and beyond."""
    difference = np.abs(a.astype(int) - b).mean(axis=2)
    far = np.ones(difference.shape, bool)
    grown = box.grown(1.0)
    far[max(0, int(grown.y)) : int(grown.y + grown.h) + 1, max(0, int(grown.x)) : int(grown.x + grown.w) + 1] = False
    inside = difference[max(0, int(box.y)) : int(box.y + box.h), max(0, int(box.x)) : int(box.x + box.w)]
    return float(inside.mean()), float(difference[far].mean()) if far.any() else 0.0


@pytest.mark.parametrize("orientation", TURNED)
def test_every_orientation(bench: MakeBench, green_clip: GreenClip, orientation: int) -> None:
    """Whatever the matrix says, patches are found where they are coded, and covered there."""
    made = with_matrix(bench(green_clip(frames=12), 100), matrix_of(orientation))
    assert made.manifest.source.video.orientation == orientation
    made.options = replace(made.options, redact=RedactOptions(style="solid"))
    frames = looked_for(made, StubTools())
    for k, frame in enumerate(frames):
        expected = [Box(20 + 2 * k, 40, 30, 40), Box(250 - 3 * k, 120, 25, 30)]
        assert len(found_in(frame)) == 2
        for box in expected:
            assert max(intersection_over_union(box, d.box) for d in found_in(frame)) > 0.8
    for picture in redacted(made, frames, StubTools()):
        green = (picture[:, :, 1] > 170) & (picture[:, :, 0] < 90) & (picture[:, :, 2] < 90)
        assert green.sum() < 10


@pytest.mark.parametrize("orientation", [3, 5, 6, 7, 8])
def test_a_face_is_found_as_if_the_video_had_never_been_turned(
    bench: MakeBench, make_clip: ClipMaker, weights: Path, tmp_path: Path, orientation: int
) -> None:
    source, eyes = tmp_path / "turned.mp4", Eyes(weights)
    clip = make_clip(seconds=1, size=(480, 360), fps=10, gop=10)
    ffmpeg("-i", clip, "-an", "-vf", TURNED[orientation][1], "-crf", 12, source)
    upright, made = bench(clip, 100), bench(source, 100)
    upright.options = made.options = replace(made.options, detect=DetectOptions(every=1))
    frames = looked_for(with_matrix(made, matrix_of(orientation)), eyes)
    changed = zip(pictures(source), redacted(made, frames, eyes), strict=True)
    for expected, frame, (before, after) in zip(looked_for(upright, eyes), frames, changed, strict=True):
        (face,) = (d for d in found_in(expected) if d.score > 0.6)
        size = made.manifest.source.video.width, made.manifest.source.video.height
        box = coded_box(face.box, *size, orientation)
        found = max(found_in(frame), key=lambda d: d.score)
        assert found.score == pytest.approx(face.score, abs=0.1)
        assert intersection_over_union(found.box, box) > 0.85
        inside, outside = change(before, after, box)
        assert inside > 8
        assert outside < 2


@pytest.mark.footage
@pytest.mark.parametrize(
    ("name", "orientation"), [("real/streamio_sideways_rotated.mov", 6), ("derived/hflip_matrix.mp4", 2)]
)
def test_footage_with_a_matrix_of_its_own(
    bench: MakeBench, footage: Path, weights: Path, name: str, orientation: int
) -> None:
    source, eyes = footage / "videos" / name, Eyes(weights)
    made = bench(source, 100)
    made.options = replace(made.options, detect=DetectOptions(every=1))
    assert made.manifest.source.video.orientation == orientation
    frames = looked_for(made, eyes)
    for before, after, frame in zip(pictures(source), redacted(made, frames, eyes), frames, strict=True):
        face = max(found_in(frame), key=lambda d: d.score)
        assert face.score > 0.6
        assert change(before, after, face.box)[0] > 4


@pytest.mark.footage
@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_footage_that_a_matrix_turns(
    bench: MakeBench, footage: Path, weights: Path, tmp_path: Path, orientation: int
) -> None:
    """A woman in front of the camera, coded sideways or upside down; the file's own matrix rights her."""
    coded, source, eyes = tmp_path / "coded.mp4", tmp_path / "turned.mp4", Eyes(weights)
    base = footage / "videos" / "derived" / "base_h264_aac.mp4"
    ffmpeg("-t", 0.4, "-i", base, "-vf", TURNED[orientation][1], "-c:a", "copy", coded)
    ffmpeg("-display_rotation", {3: 180, 6: -90, 8: 90}[orientation], "-i", coded, "-c", "copy", source)
    made = bench(source, 100)
    made.options = replace(made.options, detect=DetectOptions(every=1, size=640))
    assert made.manifest.source.video.orientation == orientation
    without = bench(coded, 100)
    without.options = made.options
    scores = [max((d.score for d in found_in(frame)), default=0.0) for frame in looked_for(without, eyes)]
    assert mean(scores) < 0.8, "the face is seen without the matrix: this clip shows nothing"
    frames = looked_for(made, eyes)
    for before, after, frame in zip(pictures(source), redacted(made, frames, eyes), frames, strict=True):
        face = max(found_in(frame), key=lambda d: d.score)
        assert face.score > 0.85
        inside, outside = change(before, after, face.box)
        assert inside > 4
        assert outside < 2
