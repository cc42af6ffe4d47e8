"""How recognisers are named and described, what is stored of faces, and which faces are looked at."""

import pytest

from farm.domain.faces import (
    Face,
    Quality,
    Reference,
    alike,
    dump_face,
    dump_references,
    load_face,
    load_references,
)
from farm.domain.geometry import Box
from farm.domain.recognisers import (
    RECOGNISERS,
    Likeness,
    PeopleOptions,
    described_recogniser,
    named_recogniser,
)
from farm.domain.sampling import sampled, step_of
from farm.domain.track import FrameTracks, TrackedBox
from farm.errors import SettingsError


def test_recognisers_are_named_as_detectors_are() -> None:
    assert named_recogniser("onnx:/models/a:b.onnx").argument == "/models/a:b.onnx"
    assert named_recogniser("sface").written == "sface"
    for wrong, said in (("sface:x", "write sface"), ("onnx", "write onnx:PATH"), ("arc", "choose sface, onnx:PATH")):
        with pytest.raises(ValueError, match=said):
            named_recogniser(wrong)
        with pytest.raises(SettingsError, match=r"people\.recogniser"):
            PeopleOptions(recogniser=wrong)
    with pytest.raises(SettingsError, match="references"):
        PeopleOptions(whom="but")


@pytest.mark.parametrize("model", ["ArcFace", "SFace", "Facenet512", "Dlib", "unknown"])
def test_a_model_of_deepface_is_surer_than_the_package(model: str) -> None:
    found = named_recogniser(f"deepface:{model}").likeness
    assert -1 < found.unlike < found.alike < 1
    assert 0 < found.margin < found.alike - found.unlike


def test_a_file_describes_a_recogniser() -> None:
    usual = RECOGNISERS["onnx"]
    assert described_recogniser("", usual) == (usual.form, usual.likeness)
    form, likeness = described_recogniser('[input]\nchannels = "BGR"\nscale = 1\n[likeness]\nalike = 0.4', usual)
    assert (form.channels, form.scale, form.mean) == ("BGR", (1, 1, 1), usual.form.mean)
    assert (likeness.alike, likeness.unlike) == (0.4, usual.likeness.unlike)
    for wrong, said in (
        ("[likeness]\nalike = 0.2", r"likeness\.unlike: use a number below"),
        ("[input]\nsize = 3", r"input\.size: no such key"),
        ("a = ", "no TOML"),
        ("[likeness]\nalike = 2", r"likeness\.alike: write a number between 0 and 1"),
    ):
        with pytest.raises(ValueError, match=said):
            described_recogniser(wrong, usual)


def test_options_say_what_likeness_means() -> None:
    options = PeopleOptions(recogniser="onnx:/x", alike=0.2, smallest=40)
    assert options.likeness == Likeness(alike=0.2, unlike=0.2, margin=0.1, smallest=40)


def test_faces_are_read_as_they_were_written() -> None:
    vector = (0.6, -0.8, 0.001)
    face = Face(3, 77, Box(1.25, 2, 30, 40), Quality(30, 2.125, 0.5, 12.5), vector)
    again = load_face(dump_face(face))
    assert (again.track, again.pts, again.box, again.quality) == (3, 77, face.box, face.quality)
    assert again.vector == pytest.approx(vector, abs=1e-3)
    nothing = Face(3, 78, face.box)
    assert load_face(dump_face(nothing)) == nothing
    (photo,) = load_references(dump_references([Reference("änne.jpg", vector)]))
    assert photo.name == "änne.jpg"
    assert alike(photo.vector, vector) == pytest.approx(1, abs=2e-3)
    with pytest.raises(ValueError, match="not the faces"):
        load_references("[]")


def test_more_faces_are_looked_at_where_two_meet() -> None:
    def looks(apart: float) -> int:
        boxes = TrackedBox(0, Box(0, 0, 40, 50)), TrackedBox(1, Box(40 + apart, 0, 40, 50))
        return sum(len(sampled(FrameTracks(n, boxes), n, step)) for n in range(60))

    step = step_of(250, 10.0)
    assert step == 6
    assert (looks(50), looks(10)) == (2 * 10, 2 * 60)
    assert step_of(3, 0.0) >= 1
    assert step_of(10, 10.0) == 1
    black = FrameTracks(0, (TrackedBox(0, Box(0, 0, 40, 50)),), black=True)
    plate = FrameTracks(0, (TrackedBox(0, Box(0, 0, 40, 50), "plate"),))
    assert not sampled(black, 0, 1)
    assert not sampled(plate, 0, 1)
