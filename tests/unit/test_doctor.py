"""Each check finds what is wrong and says what to do."""

from pathlib import Path
from typing import NamedTuple

import pytest

from farm import doctor
from farm.settings import Settings
from tests.programs import OLD_FFMPEG, OLD_REDIS, program


class Usage(NamedTuple):
    total: int
    used: int
    free: int


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def test_diagnose_looks_at_everything_and_makes_nothing(settings: Settings) -> None:
    checks = {c.name: c for c in doctor.diagnose(settings)}
    names = [
        "settings",
        "ffmpeg",
        "encoders",
        "redis",
        "key",
        "model centerface",
        "gpu",
        "home",
        "disk",
        "database",
        "opencv",
    ]
    assert list(checks) == names
    assert not settings.home.exists()
    assert all(c.found for c in checks.values())
    assert all(c.advice for c in checks.values() if c.ok is False)


def test_an_ffmpeg_that_is_too_old(settings: Settings, tmp_path: Path) -> None:
    assert doctor.check_ffmpeg(settings).ok
    old = program(tmp_path, "ffmpeg", f"echo '{OLD_FFMPEG}'")
    check = doctor.check_ffmpeg(settings.model_copy(update={"ffmpeg": old}))
    assert check.ok is False
    assert check.found == (
        f"setting ffmpeg: {old} reports 'ffmpeg version 5.1.9-0+deb12u1'; FFmpeg 7.1 or newer is needed"
    )
    assert "remove it" in check.advice


def test_encoders_that_lack(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.check_encoders().ok
    monkeypatch.setattr("av.codec.codecs_available", {"libx264"})
    check = doctor.check_encoders()
    assert check.ok is False
    assert "without libx265" in check.found


def test_a_redis_that_is_too_old(settings: Settings, tmp_path: Path) -> None:
    assert doctor.check_redis(settings).ok
    old = program(tmp_path, "redis-server", f"echo '{OLD_REDIS}'")
    check = doctor.check_redis(settings.model_copy(update={"redis_server": old}))
    assert check.ok is False
    assert str(old) in check.found
    assert "FARM_REDIS_SERVER" in check.advice


def test_a_redis_that_does_not_answer(settings: Settings) -> None:
    asked = settings.model_copy(update={"broker_url": "redis://:secret@127.0.0.1:1/0"})
    check = doctor.check_redis(asked)
    assert check.ok is False
    assert "127.0.0.1:1" in check.found
    assert "secret" not in check.found + check.advice


def test_a_damaged_model(settings: Settings) -> None:
    path = settings.home / "models" / "centerface.onnx"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"damaged")
    (check,) = doctor.check_models(settings)
    assert check.ok is False
    assert str(path) in check.found
    assert check.advice == "farm models pull centerface"


def test_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert doctor.check_gpu().ok is None
    program(tmp_path, "nvidia-smi", "echo 'GPU 0: Test Card (UUID: GPU-1)'")
    monkeypatch.setattr(doctor, "_installed", lambda name: False)
    check = doctor.check_gpu()
    assert check.ok is None
    assert check.found.startswith("GPU 0: Test Card, but")
    monkeypatch.setattr(doctor, "_installed", lambda name: name == "onnxruntime-gpu")
    assert doctor.check_gpu() == doctor.Check("gpu", ok=True, found="GPU 0: Test Card")


def test_a_home_that_cannot_be_written(settings: Settings) -> None:
    settings.home.write_text("a file")
    check = doctor.check_home(settings)
    assert check.ok is False
    assert "FARM_HOME" in check.advice


def test_a_full_disk(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _path: Usage(10 << 30, 9 << 30, 1 << 30))
    check = doctor.check_disk(settings)
    assert check.ok is False
    assert check.found.startswith("1.0 GiB free")


def test_databases(settings: Settings, tmp_path: Path) -> None:
    assert doctor.check_database(settings).ok is None
    there = settings.model_copy(update={"database_url": f"sqlite:///{tmp_path / 'there.db'}"})
    assert doctor.check_database(there).ok
    (tmp_path / "broken.db").write_bytes(b"not a database" * 100)
    broken = settings.model_copy(update={"database_url": f"sqlite:///{tmp_path / 'broken.db'}"})
    check = doctor.check_database(broken)
    assert check.ok is False
    assert "not a database" in check.found


@pytest.mark.parametrize(
    ("installed", "found"),
    [
        ((), "none"),
        (("opencv-python",), "opencv-python"),
        (("opencv-python", doctor.WANTED_CV2), f"opencv-python and {doctor.WANTED_CV2} share one cv2 folder"),
    ],
)
def test_the_wrong_cv2(installed: tuple[str, ...], found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_installed", lambda name: name in installed)
    check = doctor.check_cv2()
    assert check.ok is False
    assert check.found == found
    assert check.advice.endswith(f"pip install --force-reinstall {doctor.WANTED_CV2}")
