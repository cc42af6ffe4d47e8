import json
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from farm.digests import file_digest
from farm.domain.detectors import named
from farm.domain.networks import PLATES
from workers.vision.detectors.anchors import anchors, points
from workers.vision.detectors.base import Network
from workers.vision.detectors.graph import with_fixed_shape
from workers.vision.detectors.plates import create, decode
from workers.vision.detectors.yunet import YuNet
from workers.vision.device import Device

CPU = Device("cpu", 0)
RUNTIME = "onnxruntime-f32"


@pytest.fixture(scope="module")
def weights(footage: Path) -> Path:
    return footage / "models" / "license_plate_detection_lpd_yunet_2022may.onnx"


def car(footage: Path, name: str) -> NDArray[np.uint8]:
    picture = cv2.imread(str(footage / "images" / "openalpr_eu" / name))
    assert picture is not None
    return cv2.resize(picture, (576, 448), interpolation=cv2.INTER_AREA).astype(np.uint8)


def test_anchors_and_points_go_row_by_row() -> None:
    made = anchors(40, 16, (16, 32), ((8, 12), (20,)))
    assert made[:4].tolist() == [[8, 8, 8, 8], [8, 8, 12, 12], [24, 8, 8, 8], [24, 8, 12, 12]]
    assert made[6:].tolist() == [[16, 16, 20, 20], [48, 16, 20, 20]]
    assert points(40, 16, (16, 32), 1, 0.0).tolist() == [
        [0, 0, 16, 16], [16, 0, 16, 16], [32, 0, 16, 16], [0, 0, 32, 32], [32, 0, 32, 32]
    ]  # fmt: skip
    assert points(16, 16, (16,), 2, 0.5).tolist() == [[8, 8, 16, 16]] * 2


def test_a_plate_s_corners_become_the_box_around_them() -> None:
    count = len(anchors(128, 64, (8, 16, 32, 64), ((10, 16, 24), (32, 48), (64, 96), (128, 192, 256))))
    loc, conf, iou = (np.zeros((count, columns), np.float32) for columns in (14, 2, 1))
    conf[1, 1], iou[1] = 0.81, 1.2  # the anchor of 16 pixels around 4, 4
    for column, at in zip((4, 5, 6, 7, 10, 11, 12, 13), (10, 2, 30, 6, 28, 16, 8, 12), strict=True):
        loc[1, column] = (at - 4) / 16 / 0.1
    (row,) = decode(loc, conf, iou, (128, 64), 0.5)
    assert row == pytest.approx([8, 2, 22, 14, 0.9, 0], abs=1e-4)
    loc[1, 4] = 600 / 16 / 0.1
    assert decode(loc, conf, iou, (128, 64), 0.5).shape == (0, 6)


def test_the_file_is_the_published_one_and_the_rewritten_graph_computes_the_same(footage: Path, weights: Path) -> None:
    assert file_digest(weights) == PLATES.sha256
    shown = cv2.resize(car(footage, "eu1.jpg"), (320, 240)).transpose(2, 0, 1)[None].astype(np.float32)
    outputs = ["loc", "conf", "iou"]
    expected = ort.InferenceSession(weights).run(outputs, {"input": shown})
    model = with_fixed_shape(weights.read_bytes(), outputs, None, batch=1, width=320, height=240)
    for ours, theirs in zip(ort.InferenceSession(model).run(None, {"input": shown}), expected, strict=True):
        assert np.array_equal(ours, theirs)


def test_plates_are_found_where_they_are(footage: Path, weights: Path) -> None:
    (network,) = named("plates")
    made = create(weights, network, CPU, 1, RUNTIME)
    truth = json.loads((footage / "images" / "truth.json").read_text(encoding="utf-8"))["openalpr_eu"]
    hits = 0
    for name in sorted(truth)[:8]:
        across, down = 576 / truth[name]["width"], 448 / truth[name]["height"]
        x, y, w, h = np.array(truth[name]["boxes_xywh"][0]) * (across, down, across, down)
        (found,) = made.find([car(footage, name)], 0.2)
        centres = found[:, :2] + found[:, 2:4] / 2
        hits += bool(((abs(centres - (x + w / 2, y + h / 2)) < (w / 4, h / 2)).all(axis=1)).any())
    assert hits >= 7


@pytest.mark.parametrize("kind", ["plates", "yunet"])
def test_several_pictures_at_once_as_a_gpu_takes_them(footage: Path, weights: Path, kind: str) -> None:
    def network() -> Network:
        if kind == "plates":
            return create(weights, named("plates")[0], CPU, 1, RUNTIME)
        return YuNet((footage / "models" / "yunet_s_640_640.onnx").read_bytes(), CPU, 1, RUNTIME)

    folder = "openalpr_eu" if kind == "plates" else "dlib_faces"
    names = sorted(p.name for p in (footage / "images" / folder).iterdir())[:5]
    shown = [cv2.imread(str(footage / "images" / folder / name)) for name in names]
    pictures = [cv2.resize(p, (576, 448)).astype(np.uint8) for p in shown if p is not None]
    alone = network().find(pictures, 0.3)
    together = network()
    together._session.batch_size = together.batch_size = 3  # type: ignore[attr-defined, misc]
    assert sum(map(len, alone)) > 3
    for one, other in zip(alone, together.find(pictures, 0.3), strict=True):
        assert other == pytest.approx(one, abs=0.02)
