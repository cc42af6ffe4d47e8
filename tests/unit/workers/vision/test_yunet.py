from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
import pytest
from numpy.typing import NDArray

from farm.digests import file_digest
from farm.domain.detectors import named
from farm.domain.networks import YUNET, YUNET_N
from workers.vision.detectors.graph import with_fixed_shape
from workers.vision.detectors.yunet import YuNet, create, decode
from workers.vision.device import Device

CPU = Device("cpu", 0)
RUNTIME = "onnxruntime-f32"
(NAMED,) = named("yunet")
OUTPUTS = [f"{kind}_{stride}" for kind in ("cls", "obj", "bbox") for stride in (8, 16, 32)]


@pytest.fixture(scope="module")
def small(footage: Path) -> Path:
    return footage / "models" / "yunet_s_640_640.onnx"


def crowd(footage: Path, width: int, height: int) -> NDArray[np.uint8]:
    picture = cv2.imread(str(footage / "images" / "dlib_faces" / "2008_002079.jpg"))
    assert picture is not None
    return cv2.resize(picture, (width, height)).astype(np.uint8)


def test_a_cell_becomes_a_box() -> None:
    outputs = [np.zeros((cells, width), np.float32) for width in (1, 1, 4) for cells in (32, 8, 2)]  # 64 x 32 pixels
    outputs[1][5], outputs[4][5] = 0.9, 0.4  # of 16 pixels, second row, second column
    outputs[7][5] = 0.5, 0.25, np.log(2), np.log(3)
    (row,) = decode(outputs, 64, 0.599)
    assert row == pytest.approx([24 - 16, 20 - 24, 32, 48, 0.6, 0])
    assert decode(outputs, 64, 0.601).shape == (0, 6)


def test_the_weights_are_the_published_ones(footage: Path, small: Path) -> None:
    assert file_digest(small) == YUNET.sha256
    assert file_digest(footage / "models" / "yunet_n_dynamic.onnx") == YUNET_N.sha256


def test_the_rewritten_graph_computes_what_the_file_does(footage: Path, small: Path) -> None:
    blob = crowd(footage, 640, 640).transpose(2, 0, 1)[None].astype(np.float32)
    as_published = ort.InferenceSession(small).run(OUTPUTS, {"input": blob})
    model = with_fixed_shape(small.read_bytes(), OUTPUTS, None, batch=2, width=640, height=640)
    rewritten = ort.InferenceSession(model).run(None, {"input": np.concatenate([255 - blob, blob])})
    for expected, outputs in zip(as_published, rewritten, strict=True):
        assert np.array_equal(outputs[1], expected[0])


@pytest.mark.parametrize(("name", "size"), [("yunet_s_640_640", (960, 544)), ("yunet_n_dynamic", (416, 672))])
def test_any_size_as_opencv_computes_it(footage: Path, name: str, size: tuple[int, int]) -> None:
    path, picture = footage / "models" / f"{name}.onnx", crowd(footage, *size)
    _, expected = cv2.FaceDetectorYN.create(str(path), "", size, 0.3, 0.3).detect(picture)
    (found,) = create(path, NAMED, CPU, 1, RUNTIME).find([picture], 0.3)
    assert len(found) == len(expected) >= 5
    assert found[:, :4] == pytest.approx(expected[:, :4], abs=0.01)
    assert found[:, 4] == pytest.approx(expected[:, 14], abs=1e-4)


def test_another_size_after_the_first(footage: Path, small: Path) -> None:
    network = YuNet(small.read_bytes(), CPU, 1, RUNTIME)
    pictures = [crowd(footage, 640, 480), crowd(footage, 480, 640)]
    first = [network.find([picture], 0.3)[0] for picture in pictures]
    again = [network.find([picture], 0.3)[0] for picture in pictures]
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert first[0].shape != first[1].shape or not np.allclose(first[0], first[1])
