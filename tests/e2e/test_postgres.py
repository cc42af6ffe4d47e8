"""The whole farm on PostgreSQL, by changing one URL."""

import time
from pathlib import Path

import psutil
import pytest

from tests.conftest import ClipMaker
from tests.e2e.conftest import SLOWLY, Farm, assert_exact
from tests.postgres import Server

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


@pytest.mark.faults
@pytest.mark.timeout(400)
def test_commands_outlive_a_server_that_is_restarted(
    farm: Farm, fresh_postgres: str, postgres: Server, make_clip: ClipMaker, tmp_path: Path
) -> None:
    farm.env["FARM_DATABASE_URL"] = fresh_postgres
    clip = make_clip(seconds=12, size=(640, 360), fps=25, gop=25)
    up = farm.up()
    outputs = [tmp_path / f"{n}.mp4" for n in range(2)]
    words = ("submit", clip, "--chunk-seconds", 1, *SLOWLY)
    submits = [farm.spawn(*words, "-o", out, "--threshold", 0.3 + n / 10) for n, out in enumerate(outputs)]
    farm.wait_until(lambda: len(farm.json("list")) == 2 and farm.chunks_done("detect") > 0, "two jobs", up)
    postgres.stop()
    time.sleep(8)
    assert [submit.poll() for submit in submits] == [None, None]
    postgres.start()
    for submit, out in zip(submits, outputs, strict=True):
        said, _ = submit.communicate(timeout=240)
        assert submit.returncode == 0, said
        assert said.count("waiting: the database") == 1, said
        assert_exact(clip, out)
    assert up.poll() is None
