"""``farm bench``: what a user learns of it, and that nothing is left."""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from farm.digests import file_digest
from tests.conftest import ClipMaker
from tests.e2e.conftest import Farm


@pytest.fixture
def scratch(farm: Farm) -> Iterator[Path]:
    """Where temporary files go. Its name is short, as those of sockets have to be."""
    with tempfile.TemporaryDirectory() as folder:
        farm.env["TMPDIR"] = folder
        yield Path(folder)


def test_it_measures_every_step_beside_ffmpeg_and_leaves_nothing(
    farm: Farm, scratch: Path, make_clip: ClipMaker
) -> None:
    source = make_clip(seconds=2, size=(320, 180), fps=10, gop=10)
    before, beside = file_digest(source), sorted(source.parent.iterdir())
    found = json.loads(farm.run("bench", source, "--frames", 12, "--layouts", "--json", "--style", "pixelate").stdout)
    job, plain = found["job"], found["ffmpeg"]
    assert job["frames"] == plain["frames"] == 12
    assert found["share"] == pytest.approx(job["frames_per_second"] / plain["frames_per_second"], rel=0.01)
    steps = job["steps_core_ms_per_frame"]
    assert {"decode", "detect"} <= steps["detect"].keys()
    assert {"decode", "paint", "encode", "verify"} <= steps["redact"].keys()
    assert job["core_ms_per_frame"] == pytest.approx(sum(sum(each.values()) for each in steps.values()), abs=0.1)
    walls = job["stages_wall_seconds"]
    assert {"detecting", "redacting", "composing"} <= walls.keys()
    whole = sum(walls.values()) + job["starting_seconds"] + job["stopping_seconds"]
    assert whole == pytest.approx(job["wall_seconds"], abs=0.2)
    assert found["layouts"][0]["workers"] == 1
    assert file_digest(source) == before
    assert sorted(source.parent.iterdir()) == beside
    assert list(scratch.iterdir()) == []
    assert not (farm.home / "farm.db").exists()
