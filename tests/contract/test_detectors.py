"""What every detector keeps to: each network alone, and networks, sizes and tiles together.

The stub, and networks whose weights the package index carries, always; the others where FARM_TEST_DATA holds them.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from farm.demo.clip import photograph
from farm.digests import file_digest
from farm.domain.detection import FACE, PLATE, WEAK, Detection
from farm.domain.detectors import NETWORKS, NOTHING, DetectOptions, known_weights
from farm.domain.geometry import Box, intersection_over_union
from farm.domain.weights import Wheel
from farm.errors import ModelError
from farm.models.store import ModelStore
from farm.settings import load_settings
from tests.conftest import PROJECT, WEIGHTS
from workers.vision.detectors.base import Detector
from workers.vision.detectors.combined import create_detector
from workers.vision.device import Device, runtimes

CPU = Device("cpu", 0)
AUTO = runtimes("auto", CPU)[0]
pytestmark = pytest.mark.usefixtures("declared_thresholds")

DATA = Path(os.environ.get("FARM_TEST_DATA") or PROJECT.parent / "shared" / "data")

#: Those with an argument have tests of their own, and so has the one that finds nothing.
ALONE = [name for name, network in NETWORKS.items() if not network.argument and name != NOTHING]
TOGETHER = {
    "two sizes": DetectOptions(detector="centerface", size=1280),
    "tiles": DetectOptions(detector="centerface", size=320, tiles=2),
    "merged": DetectOptions(detector="centerface", size=320, tiles=2, merge="nmm"),
    "mean": DetectOptions(detector="centerface", size=320, tiles=2, merge="wbf"),
    "fused": DetectOptions(detector="yunet+centerface", size=640),
    "not fused": DetectOptions(detector="centerface+stub", size=640),
    "faces and plates": DetectOptions(detector="plates+centerface", size=640),
}
CASES = {name: DetectOptions(detector=name, size=640) for name in ALONE} | TOGETHER


@dataclass(frozen=True)
class Scene:
    """A picture, BGR, with one thing to find in it."""

    picture: NDArray[np.uint8]
    box: Box
    kind: str = FACE

    @property
    def size(self) -> tuple[int, int]:
        return self.picture.shape[1], self.picture.shape[0]

    def shown(self, detector: Detector) -> NDArray[np.uint8]:
        size = detector.picture_size(*self.size)
        return cv2.resize(self.picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8)


Weights = Callable[[str], Path]


@pytest.fixture(scope="module")
def find(packaged: Weights) -> Weights:
    def of(name: str) -> Path:
        known = known_weights()[name]
        if any(isinstance(source, Wheel) for source in known.sources):
            return packaged(name)
        if path := ModelStore(load_settings(models_dir=WEIGHTS)).locate(name):
            return path
        sha256 = known.sha256
        for path in sorted((DATA / "models").glob("*")):
            if file_digest(path) == sha256:
                return path
        pytest.skip(f"no weights of {name} in {DATA / 'models'} (FARM_TEST_DATA) or {WEIGHTS} (farm models pull)")

    return of


def made(options: DetectOptions, find: Weights) -> Detector:
    return create_detector(replace(options, runtime=AUTO), CPU, threads=1, weights=find)


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> DetectOptions:
    return CASES[request.param]


@pytest.fixture(scope="module")
def detector(case: DetectOptions, find: Weights) -> Detector:
    return made(case, find)


@pytest.fixture(scope="module")
def face(photograph_file: Path) -> Scene:
    """A photograph with one face in it."""
    scene = np.full((720, 960, 3), 90, np.uint8)
    scene[100:612, 200:712] = photograph(photograph_file)[:, :, ::-1]
    return Scene(scene, Box(372, 160, 120, 150))


@pytest.fixture(scope="module")
def scene(case: DetectOptions, face: Scene, request: pytest.FixtureRequest) -> Scene:
    """A face; for the stub, green is painted over it. A car where only plates are found."""
    if case.detector == "plates":
        folder = Path(request.getfixturevalue("footage")) / "images"
        name = "test_051.jpg"
        box = json.loads((folder / "truth.json").read_text())["openalpr_eu"][name]["boxes_xywh"][0]
        picture = cv2.imread(str(folder / "openalpr_eu" / name))
        assert picture is not None
        return Scene(picture.astype(np.uint8), Box(*box), PLATE)
    if case.detector == "stub":
        green = face.picture.copy()
        green[160:310, 372:492] = (0, 255, 0)
        return replace(face, picture=green)
    return face


def test_boxes_are_in_source_pixels(detector: Detector, scene: Scene) -> None:
    (found,) = detector.detect([scene.shown(detector)], scene.size)
    (best,) = [d for d in found if d.score >= 0.5]
    assert best.kind == scene.kind
    assert intersection_over_union(best.box, scene.box) > 0.4
    twice = Box(*(2 * v for v in (best.box.x, best.box.y, best.box.w, best.box.h)))
    (double,) = detector.detect([scene.shown(detector)], (2 * scene.size[0], 2 * scene.size[1]))
    assert intersection_over_union(double[0].box, twice) > 0.99
    assert double[0].score == best.score


def test_the_detector_none_finds_nothing(face: Scene, find: Weights) -> None:
    nothing = made(DetectOptions(detector=NOTHING), find)
    assert nothing.detect([face.shown(nothing)] * 2, face.size) == [[], []]


def test_what_is_found_is_normalised_and_sorted_and_as_it_is_written(detector: Detector, scene: Scene) -> None:
    (found,) = detector.detect([scene.shown(detector)], scene.size)
    assert found == sorted(found, key=lambda d: -d.score)
    for one in found:
        assert WEAK <= one.score <= 1
        assert one.kind in (FACE, PLATE)
        assert one == Detection(one.box.rounded(), round(one.score, 4), one.kind)


def test_the_other_pictures_of_a_batch_change_nothing(detector: Detector, scene: Scene) -> None:
    rng = np.random.default_rng(3)
    shown = scene.shown(detector)
    pictures = [np.roll(shown, 40 * k, axis=1) for k in range(3)]
    pictures.insert(1, rng.integers(0, 256, shown.shape, np.uint8))
    alone = [detector.detect([picture], scene.size)[0] for picture in pictures]
    for size in (2, 3, 4):
        together = [d for k in range(0, 4, size) for d in detector.detect(pictures[k : k + size], scene.size)]
        assert together == alone


def test_nothing_is_found_in_nothing(detector: Detector, scene: Scene) -> None:
    width, height = detector.picture_size(*scene.size)
    assert detector.detect([np.full((height, width, 3), 128, np.uint8)], scene.size) == [[]]
    assert detector.detect([], scene.size) == []


def test_upright_and_wide_pictures_are_taken(detector: Detector) -> None:
    for source in ((1080, 1920), (4000, 200), (64, 48)):
        width, height = detector.picture_size(*source)
        assert detector.detect([np.full((height, width, 3), 128, np.uint8)], source) == [[]]


def test_faces_that_are_too_small_or_too_large_are_left_out(case: DetectOptions, scene: Scene, find: Weights) -> None:
    def faces(**limits: Any) -> list[Detection]:
        detector = made(replace(case, **limits), find)
        return [d for d in detector.detect([scene.shown(detector)], scene.size)[0] if d.kind == FACE]

    if scene.kind == FACE:
        sizes = [max(d.box.w, d.box.h) for d in faces()]
        assert faces(min_size=max(sizes) + 1) == faces(max_size=min(sizes) - 1) == []
        assert faces(min_size=min(sizes) - 1, max_size=max(sizes) + 1) == faces()


def test_a_higher_threshold_finds_no_more(case: DetectOptions, scene: Scene, find: Weights) -> None:
    low, high = (made(replace(case, threshold=t), find) for t in (0.3, 0.95))
    shown = scene.shown(low)
    found = [[d for d in one.detect([shown], scene.size)[0] if d.score >= 0.5] for one in (low, high)]
    assert len(found[0]) >= len(found[1])
    assert found[0]


def test_weights_that_are_not_these(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(b"not a model")
    for network in NETWORKS.values():
        if network.weights is not None:
            with pytest.raises(ModelError):
                made(DetectOptions(detector=network.name), lambda _: wrong).detect(
                    [np.zeros((64, 64, 3), np.uint8)], (64, 64)
                )
            with pytest.raises(ModelError, match=r"absent"):
                made(DetectOptions(detector=network.name), lambda _: tmp_path / "absent.onnx")


@pytest.fixture(scope="module")
def far(face: Scene) -> Scene:
    """The same face, small in a large picture."""
    small = cv2.resize(face.picture[100:612, 200:712], (100, 100), interpolation=cv2.INTER_AREA)
    scene = np.full((1080, 1920, 3), 90, np.uint8)
    scene[640:740, 700:800] = small
    scale = 100 / 512
    box = Box(700 + (372 - 200) * scale, 640 + (160 - 100) * scale, 120 * scale, 150 * scale)
    return Scene(scene, box)


@pytest.mark.parametrize("merge", ["nms", "nmm", "wbf"])
def test_tiles_find_a_face_that_is_too_small_without(far: Scene, find: Weights, merge: str) -> None:
    without, tiled = (
        made(DetectOptions(detector="centerface", size=480, tiles=tiles, merge=merge), find) for tiles in (1, 3)
    )

    def hits(detector: Detector) -> list[Detection]:
        (found,) = detector.detect([far.shown(detector)], far.size)
        return [d for d in found if intersection_over_union(d.box, far.box) > 0.3]

    assert hits(without) == []
    assert len(hits(tiled)) == 1


def test_a_face_that_fills_the_picture_is_found_at_every_size(face: Scene, find: Weights) -> None:
    close = replace(face, picture=face.picture[140:330, 340:520], box=Box(32, 20, 120, 150))
    for size in (640, 1920):
        detector = made(DetectOptions(detector="centerface", size=size), find)
        large = cv2.resize(close.picture, (1440, 1520), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
        scaled = Scene(large, Box(32 * 8, 20 * 8, 120 * 8, 150 * 8))
        (found,) = detector.detect([scaled.shown(detector)], scaled.size)
        assert any(intersection_over_union(d.box, scaled.box) > 0.4 for d in found if d.score >= 0.5)


def test_a_second_network_covers_no_face_less(face: Scene, far: Scene, find: Weights) -> None:
    one, both = (made(DetectOptions(detector=d, size=640), find) for d in ("centerface", "centerface+yunet"))
    for scene in (face, far):
        shown = scene.shown(one)
        alone, together = (detector.detect([shown], scene.size)[0] for detector in (one, both))
        for d in alone:
            assert any(other.box == d.box and other.score >= d.score for other in together)
