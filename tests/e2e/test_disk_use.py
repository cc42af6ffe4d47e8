"""What thirty jobs leave in FARM_HOME, and what is left of that after ``farm clean``. Prints a table."""

from pathlib import Path

import pytest

from tests.conftest import ClipMaker
from tests.e2e.conftest import Farm

pytestmark = [pytest.mark.e2e, pytest.mark.faults, pytest.mark.timeout(1500)]


def used(home: Path) -> dict[str, int]:
    """Bytes on the disk by folder of the home and of the store."""
    sizes: dict[str, int] = {}
    for path in home.rglob("*"):
        if path.is_file():
            parts = path.relative_to(home).parts
            name = "/".join(parts[: 2 if parts[0] == "store" and len(parts) > 2 else 1])
            sizes[name] = sizes.get(name, 0) + path.stat().st_blocks * 512
    return sizes


def test_disk_use_of_thirty_jobs(
    farm: Farm, make_clip: ClipMaker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = make_clip(seconds=1, size=(320, 180), fps=25, gop=10)
    up = farm.up()
    jobs = [
        farm.json("submit", source, "-o", tmp_path / f"{n}.mp4", "--threshold", 0.3 + n / 100, "--detach")["id"]
        for n in range(30)
    ]
    farm.run("cancel", jobs[-1])
    farm.wait_until(lambda: farm.json("status")["jobs"] == [], "thirty jobs", up, seconds=900)
    before = used(farm.home)
    outputs = {path: path.read_bytes() for path in tmp_path.glob("*.mp4")}
    assert len(outputs) == 29
    freed = farm.json("clean", "--older-than", "0")
    after = used(farm.home)
    with capsys.disabled():
        print(f"\n{'KiB after 30 jobs':32}{'before':>9}{'after':>9}")
        for name in sorted(before | after):
            print(f"{name:32}{before.get(name, 0) >> 10:9}{after.get(name, 0) >> 10:9}")
    assert {path: path.read_bytes() for path in tmp_path.glob("*.mp4")} == outputs
    assert freed["files"] >= 29 * 3
    store = farm.json("status")["store"]
    assert store["files"] <= 5  # the plan of the cancelled job
    farm.run("retry", jobs[-1])
    farm.run("watch", jobs[-1])
    assert (tmp_path / "29.mp4").is_file()
    assert "is done (to redo it" in farm.run("retry", jobs[0], code=2).stderr
    farm.run("submit", source, "-o", tmp_path / "0.mp4", "--threshold", 0.3, "--overwrite")
