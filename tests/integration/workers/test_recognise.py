"""The errand ``recognise`` on real frames: the same faces for every cut into chunks."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from farm.domain.artefacts import artefact_name
from farm.domain.faces import Face, load_face
from farm.domain.options import JobOptions
from farm.domain.recognisers import PeopleOptions
from farm.domain.track import FrameTracks, TrackedBox, dump_frame
from farm.errors import ModelError
from farm.messages import Artefact
from tests.crossing import face_in, known_people
from tests.integration.workers.conftest import Bench, MakeBench, StubTools
from tests.planned import fingerprint_of
from tests.recognisers import write_recogniser
from workers.stages.recognise import run
from workers.vision.device import Device
from workers.vision.recognisers.base import Site
from workers.vision.recognisers.reading import FaceReader


class Tools(StubTools):
    """With a recogniser whose weights for aligning faces are real."""

    def __init__(self, weights: Callable[[str], Path]) -> None:
        self._weights = weights

    def reader(self, options: PeopleOptions) -> FaceReader:
        return FaceReader(options, Site(Device("cpu", 0), 1, self._weights))


@pytest.fixture
def options(tmp_path: Path) -> JobOptions:
    return JobOptions(people=PeopleOptions(recogniser=f"onnx:{write_recogniser(tmp_path / 'made.onnx')}"))


def linked(made: Bench, people: tuple[Path, Path], chunk: int) -> Artefact:
    """The tracks of a chunk of the crossing: 0 is in front."""
    front, behind = known_people(people)
    first = made.manifest.frames_before(chunk)
    rows = [
        FrameTracks(
            pts,
            (
                TrackedBox(0, face_in(front, number, rightward=False).rounded()),
                TrackedBox(1, face_in(behind, number, rightward=True).rounded()),
                TrackedBox(2, face_in(front, number, rightward=False).rounded(), "plate"),
            ),
        )
        for number, pts in enumerate(made.pts[chunk], first)
    ]
    of = fingerprint_of("link", made.manifest, made.options)
    with made.store.put(artefact_name("link", of, made.manifest.chunks[chunk].name)) as draft:
        draft.path.write_text("".join(dump_frame(row) + "\n" for row in rows))
    return draft.artefact(len(rows))


def recognised(made: Bench, tools: Tools, people: tuple[Path, Path], options: JobOptions) -> list[Face]:
    found: list[Face] = []
    made.options = replace(made.options, people=options.people)
    for chunk in range(len(made.manifest.chunks)):
        order = made.order("recognise", chunk, (linked(made, people, chunk),))
        result = run(order, made.store, tools, lambda _: None)
        assert result.artefact.key.startswith("faces/")
        with made.store.fetch(result.artefact.key) as path:
            found += map(load_face, path.read_text().splitlines())
    return found


def test_the_same_faces_whatever_the_chunks(
    bench: MakeBench,
    crossing: Path,
    people: tuple[Path, Path],
    options: JobOptions,
    packaged: Callable[[str], Path],
) -> None:
    whole, parts = bench(crossing, 100), bench(crossing, 1)
    assert (len(whole.manifest.chunks), len(parts.manifest.chunks)) == (1, 3)
    tools = Tools(packaged)
    found = recognised(whole, tools, people, options)
    assert recognised(parts, tools, people, options) == found
    assert {face.track for face in found} == {0, 1}
    seen = {face.pts for face in found}
    middle = len([pts for pts in sorted(seen) if whole.pts[0][25] <= pts < whole.pts[0][50]])
    assert middle > 2 * len([pts for pts in seen if pts < whole.pts[0][25]])  # where they meet
    told = [face for face in found if face.vector]
    assert len(told) > 0.9 * len(found)
    small = replace(options, people=replace(options.people, smallest=200))
    assert recognised(whole, tools, people, small) == []


def test_a_recogniser_that_is_gone_is_told(
    bench: MakeBench, crossing: Path, people: tuple[Path, Path], options: JobOptions, packaged: Callable[[str], Path]
) -> None:
    made = bench(crossing, 100)
    gone = replace(options, people=PeopleOptions(recogniser="onnx:/nowhere/made.onnx"))
    with pytest.raises(ModelError, match=r"/nowhere/made\.onnx: No such file"):
        recognised(made, Tools(packaged), people, gone)
