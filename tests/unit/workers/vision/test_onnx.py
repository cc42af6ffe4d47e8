import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from farm.domain.described import described
from farm.domain.detectors import named
from farm.errors import ModelError
from tests.unit.domain.test_described import SIMPLE, examples
from workers.vision.detectors.decoding import decode
from workers.vision.detectors.onnx import Described, create
from workers.vision.detectors.yunet import YuNet
from workers.vision.device import Device

CPU = Device("cpu", 0)
RUNTIME = "onnxruntime-f32"


def brought(footage: Path, folder: Path, name: str, *changes: tuple[str, str]) -> Described:
    shutil.copyfile(footage / "models" / f"{name}.onnx", folder / f"{name}.onnx")
    text = examples()[name]
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / f"{name}.toml").write_text(text, encoding="utf-8")
    (network,) = named(f"onnx:{folder}/{name}.onnx")
    return create(None, network, CPU, 1, RUNTIME)


def picture(footage: Path, name: str, width: int, height: int) -> NDArray[np.uint8]:
    read = cv2.imread(str(footage / "images" / name))
    assert read is not None
    return cv2.resize(read, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ('form = "ready"\nbox = "corners"', [8, 4, 24, 44]),
        ('form = "ready"\nbox = "centre"', [16, 24, 16, 40]),
        ('form = "ready"\nbox = "corner"', [8, 4, 16, 40]),
        ('form = "ready"\nbox = "corners"\nunit = "share"', [1 / 8, 1 / 16, 3 / 8, 11 / 16]),
        ('form = "grid"\nsteps = [32]\nbox = "offset"', [0.5, -0.25, np.log(0.5), np.log(1.25)]),
        ('form = "grid"\nsteps = [32]\nbox = "distances"', [-0.25, 0.875, 0.75, 0.375]),
        ('form = "grid"\nsteps = [32]\nbox = "distances"\npoint = 0.5', [0.25, 1.375, 0.25, -0.125]),
        ('form = "anchors"\nsteps = [32]\nsizes = [[20]]', [0, -12, np.log(0.8) / 0.2, np.log(2) / 0.2]),
    ],
)
def test_every_form_of_a_box(form: str, told: list[float]) -> None:
    """The box 8, 4 to 24, 44 in a picture of 64 x 64; of four cells, it is told from the third."""
    text = SIMPLE.replace('form = "ready"\nbox = "corners"', form)
    boxes, scores = np.zeros((4, 4), np.float32), np.zeros((4, 3), np.float32)
    boxes[2], scores[2] = told, [0.1, 0.7, 0.2]
    outputs = {"boxes": boxes, "scores": scores}
    (row,) = decode(outputs, described(text), (64, 64), 0.5)
    assert row == pytest.approx([8, 4, 16, 40, 0.7, 0], abs=1e-4)


def test_transposed_columns_of_one_output_with_activation_and_objectness() -> None:
    text = SIMPLE.replace('"boxes"\n', '["boxes", "more"]\ntransposed = true\ncolumns = [0, 4]\n')
    text = text.replace(
        '"scores"\n', '["boxes", "more"]\ntransposed = true\ncolumns = [4, 7]\nactivation = "softmax"\n'
    )
    text += '[objectness]\noutput = ["boxes", "more"]\ntransposed = true\ncolumns = [7, 8]\nactivation = "sigmoid"\n'
    rows = np.zeros((3, 8), np.float32)
    rows[1] = 8, 4, 24, 44, 0, np.log(3), -90, 0
    outputs = {"boxes": rows[:2].T, "more": rows[2:].T}
    (row,) = decode(outputs, described(text), (64, 64), 0.37)
    assert row == pytest.approx([8, 4, 16, 40, 0.375, 0])
    (row,) = decode(outputs, described(text + 'combined = "root"\n'), (64, 64), 0.6)
    assert row[4] == pytest.approx(0.375**0.5)


def test_boxes_of_two_kinds_are_doubles_of_their_own_kind_only() -> None:
    boxes = np.array([[8, 4, 24, 44], [8, 4, 24, 45], [8, 4, 24, 46]], np.float32)
    scores = np.array([[0, 0.6, 0], [0, 0.9, 0], [0, 0, 0.8]], np.float32)
    found = decode({"boxes": boxes, "scores": scores}, described(SIMPLE), (64, 64), 0.3)
    assert found[:, 4:].tolist() == pytest.approx(np.array([[0.9, 0], [0.8, 1]]))


def test_a_grid_of_any_size_is_what_yunet_is(footage: Path, tmp_path: Path) -> None:
    network = brought(footage, tmp_path, "yunet_n_dynamic")
    yunet = YuNet((footage / "models" / "yunet_n_dynamic.onnx").read_bytes(), CPU, 1, RUNTIME)
    shown = [picture(footage, "dlib_faces/2008_002079.jpg", 640, 480)]
    (found,), (expected,) = network.find(shown, 0.2), yunet.find(shown, 0.2)
    inside = (expected[:, :2] + expected[:, 2:4] / 2 < (640, 480)).all(axis=1)
    assert len(expected) > 5
    assert found == pytest.approx(expected[inside], abs=1e-3)


@pytest.mark.parametrize("size", [(640, 480), (320, 576), (960, 544)])
@pytest.mark.parametrize("name", ["retinaface_mobilenet0.25", "ultralight_RFB-640-masked_face-v2"])
def test_a_network_of_one_size_is_given_fitted_pictures(
    footage: Path, tmp_path: Path, name: str, size: tuple[int, int]
) -> None:
    shown = np.full((size[1], size[0], 3), 90, np.uint8)
    shown[40:280, 0:320] = picture(footage, "dlib_faces/2008_001322.jpg", 320, 240)
    (found,) = brought(footage, tmp_path, name).find([shown], 0.5)
    assert len(found) == 3
    assert (found[:, 1] > 60).all()
    assert ((found[:, :2] + found[:, 2:4])[:, 0] < 330).all()
    assert found[:, 3] == pytest.approx(65, abs=30)


def test_masked_faces_are_a_kind_of_their_own(footage: Path, tmp_path: Path) -> None:
    network = brought(footage, tmp_path, "ultralight_RFB-640-masked_face-v2")
    shown = [picture(footage, f"kaggle_mask/{p.name}", 512, 384) for p in masked(footage)]
    found = [boxes for boxes in network.find(shown, 0.5) if len(boxes)]
    assert len(found) >= 3
    assert network.kinds == ("face", "masked face")
    assert sum((boxes[:, 5] == 1).any() for boxes in found) >= 3


def masked(footage: Path) -> list[Path]:
    return sorted((footage / "images" / "kaggle_mask").iterdir())[:5]


@pytest.mark.parametrize(
    ("name", "old", "new", "told"),
    [
        (
            "retinaface_mobilenet0.25",
            '"593"',
            '"592"',
            "its scores have 16800 rows of 10 columns, described are 16800 of 2",
        ),
        ("retinaface_mobilenet0.25", '"593"', '"594"', "it has the outputs .*'592'"),
        (
            "retinaface_mobilenet0.25",
            "[8, 16, 32]",
            "[16, 32, 64]",
            "its boxes have 16800 rows of 4 columns, described are 4200",
        ),
        ("retinaface_mobilenet0.25", "[640, 640]", "[320, 320]", "it takes 640 x 640 pixels, not 320 x 320"),
        ("retinaface_mobilenet0.25", "[640, 640]", '"any"', "for 192 x 128 pixels its boxes|cannot be loaded"),
        (
            "retinaface_mobilenet0.25",
            '"BGR"',
            '"BGR"\nlayout = "NHWC"',
            "its input is not NHWC with three channels|it takes",
        ),
        ("retinaface_mobilenet0.25", "[640, 640]", "[640]", "toml: input.size: write"),
        ("ultralight_RFB-640-masked_face-v2", ', "masked face"]', "]", "its scores have 17640 rows of 3 columns"),
    ],
)
def test_files_that_do_not_fit(footage: Path, tmp_path: Path, name: str, old: str, new: str, told: str) -> None:
    with pytest.raises(ModelError, match=told) as e:
        brought(footage, tmp_path, name, (old, new), *([('"masked face" =', "#")] if "masked" in new + old else []))
    assert "\n" not in str(e.value)


def test_files_that_are_missing_or_none(tmp_path: Path) -> None:
    (network,) = named(f"onnx:{tmp_path}/absent.onnx")
    with pytest.raises(ModelError, match=r"absent.onnx: No such file"):
        create(None, network, CPU, 1, RUNTIME)
    (tmp_path / "absent.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"absent.toml: No such file"):
        create(None, network, CPU, 1, RUNTIME)
    (tmp_path / "absent.toml").write_text(SIMPLE, encoding="utf-8")
    with pytest.raises(ModelError, match=r"not an ONNX model"):
        create(None, network, CPU, 1, RUNTIME)
    (tmp_path / "absent.toml").write_bytes(b"\xff")
    with pytest.raises(ModelError, match=r"absent.toml: 'utf-8' codec"):
        create(None, network, CPU, 1, RUNTIME)
