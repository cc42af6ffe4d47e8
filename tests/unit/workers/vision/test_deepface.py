import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from farm.domain.detectors import named
from farm.errors import DeviceError, ModelError
from workers.vision.detectors.deepface import DeepFaceDetector, create
from workers.vision.device import Device

CPU = Device("cpu", 0)
PICTURE = np.full((96, 128, 3), 128, np.uint8)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    pytest.importorskip("deepface", reason="deepface is not installed: pip install 'blurfarm[deepface]'")
    monkeypatch.setenv("DEEPFACE_HOME", str(tmp_path))
    monkeypatch.setenv("yunet_score_threshold", "0.3")
    return tmp_path


def made(name: str) -> DeepFaceDetector:
    (network,) = named(f"deepface:{name}")
    return create(None, network, CPU, 1, "onnxruntime-f32")


def region(x: int, y: int, w: int, h: int, confidence: float | None) -> SimpleNamespace:
    return SimpleNamespace(x=x, y=y, w=w, h=h, confidence=confidence)


def test_what_a_detector_tells_becomes_boxes_best_first_without_doubles() -> None:
    found = [region(1, 2, 30, 40, 0.6), region(60, 2, 30, 40, 3.5), region(2, 2, 30, 40, 0.7)]
    found += [region(60, 60, 0, 9, 0.9), region(90, 60, 9, 9, 0.2), region(100, 60, 20, 20, None)]
    (boxes,) = DeepFaceDetector("some", SimpleNamespace(detect_faces=lambda _: found)).find([PICTURE], 0.5)
    assert boxes[:, 4].tolist() == pytest.approx([1, 1, 0.7])
    assert boxes[:, :4].tolist() == [[60, 2, 30, 40], [100, 60, 20, 20], [2, 2, 30, 40]]
    (boxes,) = DeepFaceDetector("some", SimpleNamespace(detect_faces=lambda _: [])).find([PICTURE], 0.5)
    assert boxes.shape == (0, 6)


def test_a_failure_is_told_in_one_line() -> None:
    def detect(_: object) -> None:
        raise ValueError("this\n  and that")

    with pytest.raises(ModelError, match=r"^deepface:some failed: this and that$"):
        DeepFaceDetector("some", SimpleNamespace(detect_faces=detect)).find([PICTURE], 0.5)


def test_a_detector_of_the_package_with_weights_that_are_there(footage: Path, home: Path) -> None:
    weights = home / ".deepface" / "weights"
    weights.mkdir(parents=True)
    shutil.copyfile(footage / "models" / "yunet_s_640_640.onnx", weights / "face_detection_yunet_2023mar.onnx")
    picture = cv2.imread(str(footage / "images" / "dlib_faces" / "2008_001322.jpg"))
    (boxes,) = made("yunet").find([np.asarray(picture, np.uint8)], 0.3)
    assert len(boxes) == 3


@pytest.mark.parametrize("name", ["opencv", "yunet", "retinaface", "centerface"])
def test_absent_weights_are_told_and_never_downloaded(home: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr("gdown.download", None)
    monkeypatch.setattr("requests.get", None)
    with pytest.raises(ModelError, match=rf"{home}/.deepface/weights/\S+ is missing \(fetch https://\S+"):
        made(name)


def test_what_the_package_lacks(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match=r"deepface has no detector dilb \(choose one of centerface, dlib, "):
        made("dilb")
    monkeypatch.setitem(sys.modules, "dlib", None)
    with pytest.raises(ModelError, match=r"deepface:dlib cannot be used: .*install"):
        made("dlib")
    monkeypatch.setitem(sys.modules, "deepface.modules", None)
    with pytest.raises(ModelError, match=r"deepface cannot be used: .*pip install 'blurfarm\[deepface\]'"):
        made("yunet")


def test_no_gpu() -> None:
    (network,) = named("deepface:yunet")
    with pytest.raises(DeviceError, match="deepface:yunet runs on CPUs only, not on cuda0"):
        create(None, network, Device("cuda", 0), 1, "cuda-f32")
