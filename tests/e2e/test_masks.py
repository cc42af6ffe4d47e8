"""The masks, that is their tracks, are the same for every chunk length, number of workers and preset."""

from pathlib import Path

import pytest

from farm.domain.detectors import QUALITIES
from tests.conftest import ClipMaker
from tests.e2e.conftest import Farm

pytestmark = pytest.mark.e2e


def tracks(farm: Farm, source: Path, out: Path, chunk: int, workers: int, *words: object) -> list[str]:
    """Redact in a new home, so that nothing is reused, and return the line of every frame's masks."""
    fresh = Farm(farm.home / f"{chunk}s-{workers}w", Path(farm.env["FARM_MODELS_DIR"]))
    words = ("--chunk-seconds", chunk, "--devices", f"cpu:{workers}", *words)
    row = fresh.json("submit", source, "-o", out / f"{chunk}-{workers}.mp4", *words)
    assert row["status"] == "done"
    files = (fresh.home / "store" / "masks").glob("*/*.jsonl")
    ordered = sorted(files, key=lambda path: int(path.name.split("_")[1]))
    lines = [line for path in ordered for line in path.read_text().splitlines()]
    assert len(lines) == row["frames"]
    assert any('"face"' in line for line in lines)
    return lines


def check(farm: Farm, source: Path, out: Path, cases: list[tuple[int, int]], *words: object) -> None:
    first, *others = [tracks(farm, source, out, chunk, workers, *words) for chunk, workers in cases]
    for case, other in zip(cases[1:], others, strict=True):
        differing = [n for n, (a, b) in enumerate(zip(first, other, strict=True)) if a != b]
        assert differing == [], f"chunks of {case[0]} s, {case[1]} workers: frames {differing}"


def test_same_masks_for_other_chunks_and_workers(farm: Farm, make_clip: ClipMaker, tmp_path: Path) -> None:
    source = make_clip(seconds=6, size=(320, 180), fps=25, gop=10)
    check(farm, source, tmp_path, [(100, 1), (1, 2), (2, 3)])


@pytest.mark.faults
@pytest.mark.parametrize("quality", QUALITIES)
def test_same_masks_for_all_chunks_and_workers(farm: Farm, make_clip: ClipMaker, tmp_path: Path, quality: str) -> None:
    source = make_clip(seconds=12, size=(320, 180), fps=25, gop=10)
    cases = [(chunk, workers) for chunk in (1, 2, 5, 100) for workers in (1, 2, 3)]
    check(farm, source, tmp_path, cases, "--quality", quality)


@pytest.mark.faults
@pytest.mark.footage
def test_same_masks_for_a_crowd(farm: Farm, footage: Path, tmp_path: Path) -> None:
    source = footage / "truth" / "crowd720.mp4"
    check(farm, source, tmp_path, [(100, 1), (1, 3), (2, 2), (5, 2)])
