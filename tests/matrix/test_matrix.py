"""Cases and properties: each file gives an output with every property, or one line that says why not."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from farm.domain.detectors import DetectOptions
from farm.errors import FarmError
from tests.conftest import PROJECT
from tests.matrix.clips import CLIPS, Kitchen
from tests.matrix.expected import CHANGED, REFUSED, Change
from tests.matrix.journey import SOLID, Journey, Tools, tools_for, travel
from tests.matrix.properties import Allowed, check
from tests.matrix.rows import Row, failures, table

_REPORT = os.environ.get("FARM_MATRIX_REPORT")
_MODEL = os.environ.get("FARM_MATRIX_MODEL")
_FOOTAGE = Path(os.environ.get("FARM_TEST_DATA") or PROJECT.parent / "shared" / "data") / "videos"
_FILES = sorted(p.relative_to(_FOOTAGE).as_posix() for p in _FOOTAGE.glob("*/*") if p.is_file())
_CLIP_PSNR = 38.0

Cases = dict[str, list[Row] | str]


@pytest.fixture(scope="module")
def cases() -> Iterator[Cases]:
    """Collect the result of each case; write the report at the end if ``make matrix`` asks for it."""
    found: Cases = {}
    yield found
    if _REPORT:
        Path(_REPORT).parent.mkdir(parents=True, exist_ok=True)
        Path(_REPORT).write_text(table(found))


def one_line(error: FarmError, source: Path) -> str:
    """Return an error as the user reads it: one line, with the file's name but without its folder."""
    text = str(error)
    assert "\n" not in text
    assert "Traceback" not in text
    return text.replace(str(source), source.name)


def left_out(journey: Journey) -> frozenset[int]:
    """Return the source's streams that a note reports as left out."""
    return frozenset(
        int(number) for note in journey.notes for number in re.findall(r"\bstream (\d+) .*was left out", note)
    )


def verdict(name: str, source: Path, folder: Path, tools: Tools, cases: Cases, psnr: float = 27.0) -> None:
    """Run one case and assert its expected result."""
    green = not tools.fixed and not tools.weights
    refusal, change = REFUSED.get(name), CHANGED.get(name, Change(""))
    options = SOLID
    if tools.weights:
        options = type(SOLID)(detect=DetectOptions(detector=_MODEL), redact=SOLID.redact)
    try:
        journey = travel(source, folder, tools, options)
    except FarmError as error:
        cases[name] = line = one_line(error, source)
        assert not list(folder.glob("store/outputs/**/output*"))
        assert refusal, line
        assert re.search(refusal.line, line)
        return
    index = journey.manifest.source.video.index
    allowed = Allowed(index, change.codec, change.container, change.pixels, left_out(journey), psnr, green)
    cases[name] = rows = check(source, journey.output, allowed, journey.rectangles)
    assert failures(rows) == []
    assert not refusal, "a refusal was expected"
    assert any(re.search(change.said, note) for note in ("", *journey.notes)), journey.notes


#: Clips of a kind that another one stands for in continuous integration: other samples, other orientations.
_VARIANTS = re.compile(r"(h264|hevc|av1|vp9|ffv1)_(?!yuv420p\.|yuv420p10le)|mirrored_(?!90)|turned_(?!90\.mp4)")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.matrix] if _VARIANTS.match(name) else []) for name in CLIPS]
)
def test_clip(kitchen: Kitchen, tmp_path: Path, cases: Cases, name: str) -> None:
    verdict(name, kitchen.clip(name), tmp_path, tools_for(name), cases, _CLIP_PSNR)


@pytest.mark.footage
@pytest.mark.matrix
@pytest.mark.parametrize("name", _FILES)
def test_footage(footage: Path, tmp_path: Path, cases: Cases, name: str) -> None:
    weights = PROJECT / ".cache" / "models" if _MODEL else None
    verdict(name, footage / "videos" / name, tmp_path, Tools(fixed=not _MODEL, weights=weights), cases)
