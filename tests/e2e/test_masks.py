"""The mask of every frame is the same for every chunk length and number of workers."""

import hashlib
from pathlib import Path

import pytest

from farm.domain.options import RedactOptions
from farm.domain.track import load_frame
from farm.media.planes import format_of
from tests.conftest import ClipMaker
from tests.e2e.conftest import Farm
from tests.masks import mask_of

pytestmark = pytest.mark.e2e
SIZE = (320, 180)


def masks(farm: Farm, source: Path, out: Path, chunk: int, workers: int, size: tuple[int, int] = SIZE) -> list[str]:
    """Redact in a new home, so that nothing is reused, and return a digest of every frame's mask."""
    fresh = Farm(farm.home / f"{chunk}s-{workers}w", Path(farm.env["FARM_MODELS_DIR"]))
    words = ("--chunk-seconds", chunk, "--devices", f"cpu:{workers}")
    row = fresh.json("submit", source, "-o", out / f"{chunk}-{workers}.mp4", *words)
    assert row["status"] == "done"
    files = (fresh.home / "store" / "tracks").glob("*/*.jsonl")
    ordered = sorted(files, key=lambda path: int(path.name.split("_")[1]))
    frames = [load_frame(line) for path in ordered for line in path.read_text().splitlines()]
    assert len(frames) == row["frames"]
    assert any(frame.boxes for frame in frames)
    options, pixels = RedactOptions(), format_of("yuv420p")
    pictures = (mask_of((b.box for b in frame.boxes), *size, options, pixels) for frame in frames)
    return [hashlib.sha256(picture.tobytes()).hexdigest() for picture in pictures]


def check(farm: Farm, source: Path, out: Path, cases: list[tuple[int, int]], size: tuple[int, int] = SIZE) -> None:
    first, *others = [masks(farm, source, out, chunk, workers, size) for chunk, workers in cases]
    for case, other in zip(cases[1:], others, strict=True):
        differing = [n for n, (a, b) in enumerate(zip(first, other, strict=True)) if a != b]
        assert differing == [], f"chunks of {case[0]} s, {case[1]} workers: frames {differing}"


def test_same_masks_for_other_chunks_and_workers(farm: Farm, make_clip: ClipMaker, tmp_path: Path) -> None:
    source = make_clip(seconds=6, size=SIZE, fps=25, gop=10)
    check(farm, source, tmp_path, [(100, 1), (1, 2), (2, 3)])


@pytest.mark.faults
def test_same_masks_for_all_chunks_and_workers(farm: Farm, make_clip: ClipMaker, tmp_path: Path) -> None:
    source = make_clip(seconds=12, size=SIZE, fps=25, gop=10)
    check(farm, source, tmp_path, [(chunk, workers) for chunk in (1, 2, 5, 100) for workers in (1, 2, 3)])


@pytest.mark.faults
@pytest.mark.footage
def test_same_masks_for_a_crowd(farm: Farm, footage: Path, tmp_path: Path) -> None:
    source = footage / "truth" / "crowd720.mp4"
    cases = [(100, 1), (1, 3), (2, 2), (5, 2)]
    check(farm, source, tmp_path, cases, (1280, 720))
