"""What every detector keeps to: the stub always, CenterFace where its weights are."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from farm.demo.clip import photograph
from farm.domain.detection import Detection
from farm.domain.detectors import NETWORKS, DetectOptions
from farm.domain.geometry import intersection_over_union
from farm.errors import ModelError
from workers.vision.detectors.base import Detector
from workers.vision.detectors.combined import create_detector
from workers.vision.device import Device, runtimes

SOURCE = 960, 720
CPU = Device("cpu", 0)
AUTO = runtimes("auto", CPU)[0]


@pytest.fixture(scope="module", params=sorted(NETWORKS))
def detector(request: pytest.FixtureRequest) -> Detector:
    def find(name: str) -> Path:
        return Path(request.getfixturevalue("weights")) / f"{name}.onnx"

    return create_detector(DetectOptions(detector=request.param, size=640, runtime=AUTO), CPU, threads=1, weights=find)


@pytest.fixture(scope="module")
def face(photograph_file: Path) -> NDArray[np.uint8]:
    """A photograph with one face in it, and a green rectangle around it for the stub; BGR."""
    scene = np.full((720, 960, 3), 90, np.uint8)
    scene[100:612, 200:712] = photograph(photograph_file)[:, :, ::-1]
    return scene


def show(detector: Any, scene: NDArray[np.uint8]) -> NDArray[np.uint8]:
    scene = scene.copy()
    if detector._parts[0].named.network.name == "stub":
        scene[160:310, 372:492] = (0, 255, 0)
    return cv2.resize(scene, detector.picture_size(*SOURCE), interpolation=cv2.INTER_AREA).astype(np.uint8)


def test_boxes_are_in_source_pixels(detector: Detector, face: NDArray[np.uint8]) -> None:
    (found,) = detector.detect([show(detector, face)], SOURCE)
    assert len(found) == 1
    box = found[0].box
    assert box.centre == pytest.approx((432, 235), abs=30)
    assert 80 < box.w < 160
    (double,) = detector.detect([show(detector, face)], (2 * SOURCE[0], 2 * SOURCE[1]))
    assert double[0].box.w == pytest.approx(2 * box.w, abs=0.02)
    assert intersection_over_union(double[0].box, box) < 0.5


def test_scores_are_between_0_and_1_and_what_is_written_is_what_was_found(
    detector: Detector, face: NDArray[np.uint8]
) -> None:
    for found in detector.detect([show(detector, face)], SOURCE)[0]:
        assert 0 < found.score <= 1
        assert found == Detection(found.box.rounded(), round(found.score, 4))


def test_the_other_pictures_of_a_batch_change_nothing(detector: Detector, face: NDArray[np.uint8]) -> None:
    rng = np.random.default_rng(3)
    pictures = [show(detector, np.roll(face, 40 * k, axis=1)) for k in range(5)]
    pictures.insert(2, rng.integers(0, 256, pictures[0].shape, np.uint8))
    alone = [detector.detect([picture], SOURCE)[0] for picture in pictures]
    for size in (2, 3, 6):
        together = [d for k in range(0, 6, size) for d in detector.detect(pictures[k : k + size], SOURCE)]
        assert together == alone


def test_nothing_is_found_in_nothing(detector: Detector) -> None:
    width, height = detector.picture_size(*SOURCE)
    assert detector.detect([np.full((height, width, 3), 128, np.uint8)], SOURCE) == [[]]


def test_weights_that_are_not_these(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(b"not a model")
    for network in NETWORKS.values():
        if network.weights is not None:
            made = create_detector(
                DetectOptions(detector=network.name, runtime=AUTO), CPU, threads=1, weights=lambda _: wrong
            )
            with pytest.raises(ModelError):
                made.detect([np.zeros((64, 64, 3), np.uint8)], SOURCE)
