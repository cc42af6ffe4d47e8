"""The whole farm over PostgreSQL, by changing one URL."""

from pathlib import Path

import pytest

from tests.e2e.conftest import Farm, assert_exact

pytestmark = [pytest.mark.e2e, pytest.mark.postgres]


def test_postgres_in_place_of_sqlite(farm: Farm, fresh_postgres: str, clip: Path, tmp_path: Path) -> None:
    farm.env["FARM_DATABASE_URL"] = fresh_postgres
    farm.run("submit", clip, "-o", tmp_path / "out.mp4", "--chunk-seconds", 1)
    assert_exact(clip, tmp_path / "out.mp4")
    assert farm.json("list")[0]["status"] == "done"
    assert not (farm.home / "farm.db").exists()
