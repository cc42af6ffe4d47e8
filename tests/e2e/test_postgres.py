"""The whole farm on PostgreSQL, by changing one URL."""

from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import Farm, assert_exact

pytestmark = [pytest.mark.e2e, pytest.mark.postgres]


def test_postgres_in_place_of_sqlite(farm: Farm, fresh_postgres: str, clip: Path, tmp_path: Path) -> None:
    farm.env["FARM_DATABASE_URL"] = fresh_postgres
    farm.up()
    farm.run("submit", clip, "-o", tmp_path / "out.mp4", "--chunk-seconds", 1)
    for pid in farm.worker_pids():
        assert "FARM_HOME" in psutil.Process(pid).environ()  # the environment is readable
        assert "FARM_DATABASE_URL" not in psutil.Process(pid).environ()
    assert_exact(clip, tmp_path / "out.mp4")
    assert farm.json("list")[0]["status"] == "done"
    assert not (farm.home / "farm.db").exists()
