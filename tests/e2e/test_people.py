"""Whom a job covers: two people cross, and in every frame exactly one of them is covered."""

import re
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from farm.domain.geometry import Box
from tests.crossing import FRAMES, Person, face_in, known_people
from tests.e2e.conftest import Farm
from tests.recognisers import write_recogniser

pytestmark = pytest.mark.e2e

Luma = NDArray[np.uint8]


def luma(path: Path) -> list[Luma]:
    with av.open(str(path)) as container:
        return [np.asarray(frame.to_ndarray(format="gray"), np.uint8) for frame in container.decode(video=0)]


def changed(a: Luma, b: Luma, box: Box) -> float:
    """How much the middle of a box differs."""
    inner = box.grown(-0.2)
    part = slice(int(inner.y), int(inner.y + inner.h)), slice(int(inner.x), int(inner.x + inner.w))
    return float(np.abs(a[part].astype(np.int16) - b[part]).mean())


def check(source: Path, out: Path, kept: tuple[Person, bool], hidden: tuple[Person, bool]) -> None:
    """In every frame ``hidden`` is covered and ``kept`` is not, except where one is before the other. Each with
    whether she goes to the right.
    """
    apart = 0
    for number, (a, b) in enumerate(zip(luma(source), luma(out), strict=True)):
        mine, theirs = (face_in(person, number, rightward=right) for person, right in (kept, hidden))
        distance = abs(mine.centre[0] - theirs.centre[0])
        in_front = not hidden[1]
        if in_front or distance > 0.9 * mine.w:
            assert changed(a, b, theirs) > 6, f"frame {number}: not covered"
        if distance > 2.2 * mine.w:  # the cover of the other does not reach her
            assert changed(a, b, mine) < 3, f"frame {number}: covered"
            apart += 1
    assert apart > FRAMES / 3


@pytest.fixture(params=["made", "mobilefacenet"])
def recogniser(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """One made for tests; and where there is footage, a real one."""
    if request.param == "made":
        return f"onnx:{write_recogniser(tmp_path / 'made.onnx')}"
    path: Any = request.getfixturevalue("footage") / "models" / "mobilefacenet.onnx"
    return f"onnx:{path}"


def test_exactly_the_other_is_covered(
    farm: Farm, crossing: Path, people: tuple[Path, Path], recogniser: str, tmp_path: Path
) -> None:
    (collins, hopper), (front, behind) = people, known_people(people)
    persons = {collins: (front, False), hopper: (behind, True)}
    farm.up()
    _check_that_bad_photos_are_refused(farm, crossing, collins, recogniser, tmp_path)
    mine, theirs = persons[collins], persons[hopper]
    job = ""
    for option, kept, hidden in (("--keep", mine, theirs), ("--only", theirs, mine)):
        out = tmp_path / f"{option[2:]}.mp4"
        job = farm.json("submit", crossing, "-o", out, option, collins, "--recogniser", recogniser)["id"]
        check(crossing, out, kept, hidden)
    tracks = farm.json("tracks", job)
    assert {track["person"] for track in tracks} == {1, 2}
    assert any(re.match("covered: .* look like astronaut.png", track["reason"]) for track in tracks)
    _check_that_nothing_tells_people_apart(farm, job)


def _check_that_bad_photos_are_refused(farm: Farm, source: Path, photo: Path, recogniser: str, folder: Path) -> None:
    """In one line each, and nothing is submitted."""
    text, two, out = folder / "text.jpg", folder / "two.png", folder / "out.mp4"
    text.write_text("no picture")
    with av.open(str(source)) as container:
        picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
    Image.fromarray(np.asarray(picture, np.uint8)).save(two)
    for why, code, words in (
        ("text.jpg: is no photo that can be read", 2, ("--keep", photo, "--keep", text)),
        ("two.png: shows 2 faces", 2, ("--only", two)),
        ("none.onnx: No such file", 5, ("--keep", photo, "--recogniser", "onnx:/none.onnx")),
    ):
        said = farm.run("submit", source, "-o", out, "--recogniser", recogniser, *words, code=code).stderr
        assert why in said
        assert len(said.strip().splitlines()) == 1
    assert (farm.json("list"), out.exists()) == ([], False)


def _check_that_nothing_tells_people_apart(farm: Farm, job: str) -> None:
    """Nothing but the store holds a face, and the store none of the video; ``clean`` takes those of the photos."""
    store = farm.home / "store"
    assert not list(store.glob("faces/*/*"))
    photos = list(store.rglob("people/photos.*"))
    vectors = [one for path in photos for one in re.findall(rb'"([A-Za-z0-9+/=]{80,})"', path.read_bytes())]
    assert vectors
    for path in farm.home.rglob("*"):
        if path.is_file() and store not in path.parents:
            content = path.read_bytes()
            assert not [vector for vector in vectors if vector in content], path
    assert len(farm.json("status", job)["biometric"]) == 1
    farm.run("clean", "--older-than", 0)
    assert farm.json("status", job)["biometric"] == []
    assert not list(store.rglob("people/photos.*"))


def test_a_person_is_decided_for_by_all_of_their_tracks(
    farm: Farm, crossing: Path, people: tuple[Path, Path], tmp_path: Path
) -> None:
    recogniser, out = f"onnx:{write_recogniser(tmp_path / 'made.onnx')}", tmp_path / "out.mp4"
    front, behind = known_people(people)
    job = farm.json("submit", crossing, "-o", out, "--recogniser", recogniser, "--review")["id"]
    (first, _) = listed = farm.json("people", job)
    assert [person["person"] for person in listed] == [1, 2]
    assert "has no person 9" in farm.run("people", job, "keep", 9, code=2).stderr
    assert f"keep track {first['tracks'][0]['track']}" in farm.run("people", job, "keep", 1).stdout
    farm.run("approve", job)
    covered = [sum(track["covered"] for track in person["tracks"]) for person in farm.json("people", job)]
    assert covered == [0, FRAMES]
    with av.open(str(crossing)) as container:  # where the person is in the frame where her track is seen best
        times = [frame.pts for frame in container.decode(video=0)]
    track = first["tracks"][0]
    number = times.index(track["pts"])
    middle = track["best"]["x"] + track["best"]["w"] / 2
    right = min((True, False), key=lambda to: abs(face_in(front, number, rightward=to).centre[0] - middle))
    persons = (behind, True), (front, False)
    check(crossing, out, persons[not right], persons[right])
