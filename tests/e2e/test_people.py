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
    for option, photo, other in (("--keep", collins, hopper), ("--only", collins, hopper)):
        out = tmp_path / f"{option[2:]}.mp4"
        said = farm.run("submit", crossing, "-o", out, option, photo, "--recogniser", recogniser, "--chunk-seconds", 1)
        assert f"{out}: {FRAMES} frames" in said.stdout
        mine, theirs = persons[photo], persons[other]
        check(crossing, out, *((mine, theirs) if option == "--keep" else (theirs, mine)))
        tracks = farm.json("tracks", farm.json("list")[0]["id"])
        reasons = sorted(track["reason"] for track in tracks)
        assert any(re.match("(not )?covered: ", reason) for reason in reasons)
        assert len({track["person"] for track in tracks}) == 2
    _check_that_nothing_tells_people_apart(farm)


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


def _check_that_nothing_tells_people_apart(farm: Farm) -> None:
    """The store and the logs hold no face of the video any more; ``clean`` takes those of the photos."""
    held = [path.relative_to(farm.home / "store").as_posix() for path in (farm.home / "store").rglob("*.json*")]
    assert not [path for path in held if path.startswith("faces/")]
    photos = [path for path in held if "/people/photos." in path]
    assert photos
    vectors = [re.findall(r'"([A-Za-z0-9+/=]{80,})"', (farm.home / "store" / path).read_text()) for path in photos]
    logs = "".join(path.read_text() for path in (farm.home / "logs").glob("*.log"))
    told = farm.run("logs", farm.json("list")[0]["id"]).stdout + farm.run("status", farm.json("list")[0]["id"]).stdout
    for vector in (one for found in vectors for one in found):
        assert vector not in logs
        assert vector not in told
    job = farm.json("list")[0]["id"]
    assert farm.json("status", job)["biometric"] == [
        "the faces on its photos, until `farm clean` or retention takes its tracks"
    ]
    farm.run("clean", "--older-than", 0)
    assert farm.json("status", job)["biometric"] == []
    assert not list((farm.home / "store").rglob("photos.*"))


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
