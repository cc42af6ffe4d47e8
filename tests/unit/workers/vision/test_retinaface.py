import io
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from farm.domain.detectors import named
from farm.errors import ModelError
from workers.vision.detectors.retinaface import RetinaFace, create, decode
from workers.vision.detectors.retinaface_graph import OUTPUTS, STEPS, as_onnx
from workers.vision.device import Device

CPU = Device("cpu", 0)
RUNTIME = "onnxruntime-f32"
CHANNELS = {1: 64, 2: 128, 3: 256, 4: 512}
UNITS = {1: 3, 2: 4, 3: 6, 4: 3}


def shapes() -> dict[str, dict[str, tuple[int, ...]]]:
    """The weights that the package's model has, by layer."""
    found: dict[str, dict[str, tuple[int, ...]]] = {}

    def norm(name: str, channels: int) -> None:
        found[name] = dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), (channels,))

    def conv(name: str, size: int, before: int, after: int, *, bias: bool = True) -> None:
        found[name] = {"kernel": (size, size, before, after), **({"bias": (after,)} if bias else {})}

    norm("bn_data", 3)
    conv("conv0", 7, 3, 64, bias=False)
    norm("bn0", 64)
    before = 64
    for stage, channels in CHANNELS.items():
        for unit in range(1, UNITS[stage] + 1):
            name = f"stage{stage}_unit{unit}"
            if unit == 1:
                conv(f"{name}_sc", 1, before, 4 * channels, bias=False)
            for part, (size, a, b) in enumerate(
                ((1, before, channels), (3, channels, channels), (1, channels, 4 * channels)), 1
            ):
                norm(f"{name}_bn{part}", a)
                conv(f"{name}_conv{part}", size, a, b, bias=False)
            before = 4 * channels
    norm("bn1", before)
    for name, size, a in (
        ("ssh_c3_lateral", 1, 2048), ("ssh_c2_lateral", 1, 512), ("ssh_m1_red_conv", 1, 256),
        ("ssh_c2_aggr", 3, 256), ("ssh_c1_aggr", 3, 256),
    ):  # fmt: skip
        conv(name, size, a, 256)
        norm(f"{name}_bn", 256)
    for level, step in ((3, 32), (2, 16), (1, 8)):
        for place, a, b in (("conv1", 256, 256), ("context_conv1", 256, 128), ("context_conv2", 128, 128),
                           ("context_conv3_1", 128, 128), ("context_conv3_2", 128, 128)):  # fmt: skip
            conv(f"ssh_m{level}_det_{place}", 3, a, b)
            norm(f"ssh_m{level}_det_{place}_bn", b)
        for kind, b in (("cls_score", 4), ("bbox_pred", 8), ("landmark_pred", 20)):
            conv(f"face_rpn_{kind}_stride{step}", 1, 512, b)
    return found


def drawn(kind: str, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Weights that keep the values of a deep network near 1."""
    if kind == "kernel":
        return rng.normal(0, np.sqrt(2 / np.prod(shape[:3])), shape).astype(np.float32)
    if kind in ("gamma", "moving_variance"):
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    return rng.normal(0, 0.1, shape).astype(np.float32)


@pytest.fixture(scope="module")
def weights() -> bytes:
    """A file as Keras writes it, with weights by chance."""
    h5py = pytest.importorskip("h5py", reason="h5py is not installed: pip install 'blurfarm[retinaface]'")
    rng, file = np.random.default_rng(5), io.BytesIO()
    with h5py.File(file, "w") as written:
        for layer, kinds in shapes().items():
            for kind, shape in kinds.items():
                written[f"{layer}/{layer}/{kind}:0"] = drawn(kind, shape, rng)
    return file.getvalue()


@pytest.fixture(scope="module")
def model(weights: bytes) -> bytes:
    return as_onnx(weights)


def scene(width: int, height: int) -> NDArray[np.uint8]:
    noise = np.random.default_rng(2).integers(0, 256, (height // 8, width // 8, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC).astype(np.uint8)


def as_the_package(outputs: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """Our outputs as those of the package's model: N x rows x columns x channels, with landmarks."""
    found = []
    rows = [told.transpose(1, 2, 0)[None] for told in outputs]
    for score, box in zip(rows[::2], rows[1::2], strict=True):
        found += [np.concatenate([1 - score, score], axis=3), box.copy(), np.zeros((*box.shape[:3], 20), np.float32)]
    return found


def package(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("DEEPFACE_BACKEND_ENGINE", "onnx")
    return pytest.importorskip("retinaface.RetinaFace", reason="retina-face is not installed")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_parity_with_the_package_for_the_same_output(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    rng, (width, height) = np.random.default_rng(seed), (1408, 1024)  # the package scales no such picture
    outputs = []
    for step in STEPS:
        cells = height // step, width // step
        outputs += [
            rng.beta(0.3, 6, (2, *cells)).astype(np.float32),
            (rng.standard_normal((8, *cells)) * 0.3).astype(np.float32),
        ]
    picture = np.zeros((height, width, 3), np.uint8)
    told = package(monkeypatch).detect_faces(picture, 0.5, model=lambda _: as_the_package(outputs))
    expected = np.array([[*face["facial_area"], face["score"]] for face in told.values()])
    found = decode(outputs, (width, height), 0.5)
    assert len(found) == len(expected) > 30
    assert found[:, 4] == pytest.approx(expected[:, 4], abs=1e-6)
    corners = np.hstack([found[:, :2], found[:, :2] + found[:, 2:4]])
    assert (np.abs(corners - expected[:, :4] - 0.5) <= 0.501).all()  # the package cuts the fractions off


def test_parity_of_unrounded_boxes(monkeypatch: pytest.MonkeyPatch) -> None:
    package(monkeypatch)
    from retinaface.commons import postprocess  # noqa: PLC0415 - only where it is installed

    rng, (width, height) = np.random.default_rng(7), (96, 64)
    outputs = []
    for step in STEPS:
        cells = height // step, width // step
        outputs += [np.ones((2, *cells), np.float32), (rng.standard_normal((8, *cells)) * 0.2).astype(np.float32)]
    base = np.array([[-248, -248, 263, 263], [-120, -120, 135, 135]], np.float32)
    plane = postprocess.anchors_plane(2, 3, 32, base).reshape(-1, 4)
    deltas = outputs[1].transpose(1, 2, 0).reshape(-1, 4)
    expected = postprocess.clip_boxes(postprocess.bbox_pred(plane, deltas), (height, width))
    for index in range(len(plane)):
        alone = [np.zeros_like(told) for told in outputs]
        alone[0][index % 2, index // 2 // 3, index // 2 % 3] = 1
        alone[1] = outputs[1]
        (row,) = decode(alone, (width, height), 0.5)
        assert [*row[:2], *(row[:2] + row[2:4])] == pytest.approx(expected[index], abs=1e-3)


def test_the_graph_is_a_network_of_any_size(model: bytes) -> None:
    onnx.checker.check_model(onnx.load_model_from_string(model))
    network = RetinaFace(model, CPU, 1, RUNTIME)
    for width, height in ((96, 64), (160, 128)):
        shown = scene(width, height)
        outputs = next(network._session.each([shown]))
        assert [told.shape for told in outputs[::2]] == [(2, height // step, width // step) for step in STEPS]
        assert len(OUTPUTS) == len(outputs)
        (found,) = network.find([shown], 0.5)
        assert (found[:, :2] >= 0).all()


def test_the_graph_computes_what_the_package_s_model_does(
    weights: bytes, model: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "1")  # read when it is imported
    pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    pytest.importorskip("tf_keras", reason="tf-keras is not installed")
    from retinaface.model import retinaface_model  # noqa: PLC0415 - only where it is installed

    monkeypatch.setattr(retinaface_model, "load_weights", lambda model: model)
    theirs = retinaface_model.build_model()
    rng = np.random.default_rng(11)
    theirs.set_weights(
        [drawn(w.name.rpartition("/")[2].removesuffix(":0"), tuple(w.shape), rng) for w in theirs.weights]
    )
    theirs.save_weights(str(tmp_path / "retinaface.h5"))
    ours = RetinaFace(as_onnx((tmp_path / "retinaface.h5").read_bytes()), CPU, 1, RUNTIME)
    shown = scene(160, 128) // 64  # weights by chance would saturate
    expected = [told.numpy() for told in theirs(shown[None, :, :, ::-1].astype(np.float32))]
    outputs = as_the_package(next(ours._session.each([shown])))
    assert np.ptp(expected[0]) > 0.01
    for at in (0, 1, 3, 4, 6, 7):
        assert np.abs(outputs[at] - expected[at]).max() < 1e-3 * np.abs(expected[at]).max()


def test_weights_that_are_not_these(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (network,) = named("retinaface")
    wrong = tmp_path / "retinaface.h5"
    h5py = pytest.importorskip("h5py", reason="h5py is not installed: pip install 'blurfarm[retinaface]'")
    wrong.write_bytes(b"no HDF5")
    with pytest.raises(ModelError, match="the weights are not a file of Keras"):
        create(wrong, network, CPU, 1, RUNTIME)
    with h5py.File(wrong, "w") as file:
        file["other/kernel:0"] = np.zeros(3)
    with pytest.raises(ModelError, match="not the expected weights: they have no"):
        create(wrong, network, CPU, 1, RUNTIME)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ModelError, match="retinaface needs h5py"):
        create(wrong, network, CPU, 1, RUNTIME)
