"""The ``ffmpeg`` program: finds it, runs it and reports its progress."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psutil

from farm.errors import FarmError, OutputError
from farm.media.failing import write_error, writing
from farm.media.progress import Progress

_POLL = 1.0  # seconds between two progress reports
_SAID = 65_536  # bytes read from the end of ffmpeg's standard error
TOO_SMALL = "reserved_moov_size is too small"
_TELLING = ("No space left", "File too large", TOO_SMALL)  # lines that say more than the last one


def ffmpeg_binary() -> Path:
    """The ``ffmpeg`` on PATH, else the one in the imageio-ffmpeg wheel. Raises OutputError when there is neither."""
    found = shutil.which("ffmpeg")
    if found:
        return Path(found)
    try:
        import imageio_ffmpeg  # noqa: PLC0415 - not needed where PATH has one

        return Path(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise OutputError(
            "no ffmpeg program found on PATH nor in the imageio-ffmpeg package",
            hint="install ffmpeg, or: pip install imageio-ffmpeg",
        ) from error


class FfmpegRun:
    """One run of ffmpeg. Progress is taken from the bytes it writes: it reports none while it moves an MP4's index."""

    def __init__(self, out: Path, expected: int, frames: int, progress: Progress) -> None:
        self._out = out
        self._expected = max(expected, 1)
        self._frames = frames
        self._progress = progress

    def run(self, arguments: Sequence[str]) -> None:
        """Run ffmpeg to its end; on failure ``out`` is removed.

        Raises StorageError if the disk is full, else OutputError with its last line, and whatever ``progress`` raises.
        """
        command = [str(ffmpeg_binary()), *arguments]
        with writing(self._out), tempfile.TemporaryFile() as said:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said)
            try:
                self._watch(process)
            except BaseException:
                process.kill()
                process.wait()
                self._out.unlink(missing_ok=True)
                raise
            if process.returncode:
                said.seek(max(0, said.seek(0, os.SEEK_END) - _SAID))
                raise self._error(process.returncode, said.read().decode(errors="replace"))

    def _watch(self, process: "subprocess.Popen[bytes]") -> None:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_POLL)
                return
            self._progress(min(self._frames, self._frames * self._written(process.pid) // self._expected))

    def _written(self, pid: int) -> int:
        """Bytes written so far; the output's size if the system does not count them."""
        try:
            return int(psutil.Process(pid).io_counters().write_chars)
        except (psutil.Error, AttributeError):
            return self._out.stat().st_size if self._out.exists() else 0

    def _error(self, status: int, said: str) -> FarmError:
        text = [line.strip() for line in said.split("\n") if line.strip()]
        telling = next((line for line in text if any(words in line for words in _TELLING)), None)
        last = text[-1] if text else f"it ended with status {status} and said nothing"
        self._out.unlink(missing_ok=True)
        return write_error(self._out, None, telling or f"ffmpeg: {last}")
