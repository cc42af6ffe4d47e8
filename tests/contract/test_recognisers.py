"""What every recogniser keeps to. One made for the tests always, others where their weights are."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from farm.domain.faces import PHOTO_FIT, PHOTO_TURNED, alike
from farm.domain.geometry import Box
from farm.domain.recognisers import PeopleOptions
from farm.errors import DeviceError, ModelError
from tests.crossing import face_in, known_people
from tests.recognisers import write_recogniser
from workers.vision.detectors.base import Picture
from workers.vision.device import Device
from workers.vision.recognisers.base import Recogniser, Site, create_recogniser
from workers.vision.recognisers.reading import FaceReader

CPU = Device("cpu", 0)

Packaged = Callable[[str], Path]


def _made(_footage: Callable[[], Path], folder: Path) -> str:
    return f"onnx:{write_recogniser(folder / 'made.onnx')}"


def _mobilefacenet(footage: Callable[[], Path], _folder: Path) -> str:
    return f"onnx:{footage() / 'models' / 'mobilefacenet.onnx'}"


def _deepface(_footage: Callable[[], Path], folder: Path) -> str:
    """The package's own way to run a model, with weights that are made here: its SFace reads any such file."""
    pytest.importorskip("deepface", reason="deepface is not installed: pip install 'blurfarm[deepface]'")
    write_recogniser(folder / "face_recognition_sface_2021dec.onnx")
    return "deepface:SFace"


@pytest.fixture(scope="module", params=[_made, _mobilefacenet, _deepface], ids=["made", "mobilefacenet", "deepface"])
def options(request: pytest.FixtureRequest, folder: Path) -> PeopleOptions:
    return PeopleOptions(recogniser=request.param(lambda: request.getfixturevalue("footage"), folder))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("recognisers")


@pytest.fixture(scope="module")
def site(packaged: Packaged, folder: Path) -> Site:
    return Site(CPU, 1, packaged, (folder,))


@pytest.fixture(scope="module")
def recogniser(options: PeopleOptions, site: Site) -> Recogniser:
    return create_recogniser(options, site)


def faces(size: tuple[int, int], count: int) -> list[Picture]:
    chance = np.random.default_rng(1)
    return [
        np.asarray(cv2.resize(chance.integers(0, 256, (9, 9, 3), np.uint8), size, interpolation=cv2.INTER_CUBIC))
        for _ in range(count)
    ]


def test_vectors_have_unit_length_and_are_the_same_in_any_batch(recogniser: Recogniser) -> None:
    pictures = faces(recogniser.size, 5)
    together = recogniser.vectors(pictures)
    assert together.dtype == np.float32
    assert together.shape[0] == 5
    assert together.shape[1] >= 16
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    for picture, row in zip(pictures, together, strict=True):
        assert np.array_equal(recogniser.vectors([picture])[0], row)


def test_a_person_in_a_frame_is_like_her_photo_and_unlike_another(
    options: PeopleOptions, site: Site, people: tuple[Path, Path]
) -> None:
    reader = FaceReader(options, site)
    boxes = Box(180, 70, 90, 120), Box(175, 95, 155, 215)
    photos = []
    for path, box in zip(people, boxes, strict=True):
        ((quality, vector),) = reader.read(np.asarray(cv2.imread(str(path)), np.uint8), [box])
        assert quality is not None
        assert (quality.fit < PHOTO_FIT, quality.turned < PHOTO_TURNED) == (True, True)
        photos.append(vector)
    front, _ = known_people(people)
    frame = np.full((360, 640, 3), 90, np.uint8)
    box = face_in(front, 0, rightward=True)
    x, y = (round(value) for value in (box.centre[0] - 100, box.centre[1] - 100))
    frame[y : y + 200, x : x + 200] = front.cut
    (found, nobody) = reader.read(frame, [box, Box(400, 100, 80, 100)])
    assert nobody == (None, ())
    assert found[0] is not None
    assert found[0].side == pytest.approx(min(box.w, box.h), abs=0.1)
    assert alike(found[1], photos[0]) > 0.85
    assert alike(found[1], photos[1]) < 0.7


def test_the_packages_weights_are_never_downloaded(site: Site) -> None:
    pytest.importorskip("deepface", reason="deepface is not installed: pip install 'blurfarm[deepface]'")
    with pytest.raises(ModelError, match=r"arcface_weights\.onnx is missing \(fetch "):
        create_recogniser(PeopleOptions(recogniser="deepface:ArcFace"), site)
    with pytest.raises(ModelError, match="deepface has no recogniser None"):
        create_recogniser(PeopleOptions(recogniser="deepface:None"), site)
    with pytest.raises(DeviceError, match="runs on CPUs only"):
        create_recogniser(PeopleOptions(recogniser="deepface:SFace"), Site(Device("cuda", 0), 1, site.weights))


def test_a_file_that_is_no_recogniser_is_refused_in_one_line(tmp_path: Path, packaged: Packaged, site: Site) -> None:
    def refused(path: Path) -> str:
        with pytest.raises(ModelError) as caught:
            create_recogniser(PeopleOptions(recogniser=f"onnx:{path}"), site)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    assert "none.onnx: No such file" in refused(tmp_path / "none.onnx")
    text = tmp_path / "text.onnx"
    text.write_text("no network")
    assert "not an ONNX model" in refused(text)
    assert "not one vector" in refused(packaged("centerface"))
    few = write_recogniser(tmp_path / "few.onnx")
    few.with_suffix(".toml").write_text("[input]\nlayout = 'NHWC'")
    assert "not NHWC with three channels" in refused(few)
    few.with_suffix(".toml").write_text("[input]\nlayout = 'NWHC'")
    assert "input.layout: write one of" in refused(few)


def test_weights_that_cannot_be_had() -> None:
    def none(name: str) -> Path:
        raise ModelError(f"no {name}")

    with pytest.raises(ModelError, match="no sface"):
        create_recogniser(PeopleOptions(recogniser="sface"), Site(CPU, 1, none))
