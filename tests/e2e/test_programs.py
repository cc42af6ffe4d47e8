"""Which ffmpeg and which Redis a farm runs: those of the wheels, or others that it refuses before any work."""

from pathlib import Path

import pytest

from tests.e2e.conftest import Farm, assert_exact
from tests.programs import OLD_FFMPEG, OLD_REDIS, program

pytestmark = pytest.mark.e2e


def test_programs_on_path_are_not_used(farm: Farm, clip: Path, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    for name in ("ffmpeg", "ffprobe", "redis-server", "valkey-server"):
        program(tmp_path, name, f"echo {name} >> {ran}; exit 1")
    farm.env["PATH"] = f"{tmp_path}:{farm.env['PATH']}"
    farm.run("submit", clip, "-o", tmp_path / "out.mp4")
    assert_exact(clip, tmp_path / "out.mp4")
    assert not ran.exists()


@pytest.mark.parametrize(
    ("setting", "says", "needed"),
    [("ffmpeg", OLD_FFMPEG, "FFmpeg 7.1"), ("redis_server", OLD_REDIS, "Redis 6.2")],
)
def test_an_old_program_is_refused_before_work_begins(
    farm: Farm, clip: Path, tmp_path: Path, setting: str, says: str, needed: str
) -> None:
    old = program(tmp_path, "old", f"echo '{says}'")
    farm.env[f"FARM_{setting.upper()}"] = str(old)
    for words in (["submit", clip, "-o", tmp_path / "out.mp4"], ["up", "--no-flower"]):
        refused = farm.run(*words, code=2)
        (line,) = refused.stderr.splitlines()
        assert line.startswith(f"error: setting {setting}: {old} reports ")
        assert f"; {needed} or newer is needed" in line
        assert f"FARM_{setting.upper()}" in line
    assert not (tmp_path / "out.mp4").exists()
    assert not list(farm.home.glob("store/*"))
    doctor = farm.run("doctor", code=1)
    (line,) = (x for x in doctor.stdout.splitlines() if x.startswith("BAD"))
    assert f"{needed} or newer is needed" in line
    del farm.env[f"FARM_{setting.upper()}"]  # as advised
    assert farm.json("list") == []


def test_a_worker_with_an_old_ffmpeg_does_not_start(farm: Farm, shared_redis: str, tmp_path: Path) -> None:
    farm.env |= {"FARM_FFMPEG": str(program(tmp_path, "old", f"echo '{OLD_FFMPEG}'")), "FARM_BROKER_URL": shared_redis}
    (line,) = farm.run("worker", code=2).stderr.splitlines()
    assert "FFmpeg 7.1 or newer is needed" in line
    assert not list(farm.home.rglob("worker-*.log"))


def test_a_program_is_named_by_its_whole_path(farm: Farm, clip: Path) -> None:
    farm.env["FARM_FFMPEG"] = "ffmpeg"
    (line,) = farm.run("submit", clip, code=2).stderr.splitlines()
    assert "not an absolute path" in line
    assert "FARM_FFMPEG" in line
