"""Runs the ``ffmpeg`` program and reports its progress."""

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psutil

from farm.errors import StorageError
from farm.media.failing import write_error, writing
from farm.media.progress import Progress
from farm.processes import dying_with_this

_POLL = 1.0  # seconds between two progress reports
_SAID = 65_536  # bytes read from the end of ffmpeg's standard error
TOO_SMALL = "reserved_moov_size is too small"
_TELLING = ("No space left", "File too large", TOO_SMALL)  # lines that say more than the last one


def run_ffmpeg(
    program: Path, arguments: Sequence[str], out: Path, expected: int, frames: int, progress: Progress
) -> None:
    """Run ffmpeg (``program``), which writes about ``expected`` bytes to ``out``; on failure ``out`` is removed.

    Progress, in ``frames``, is taken from the bytes it writes: it reports none while it moves an MP4's index.
    Raises StorageError if the disk is full or if ffmpeg was killed, as the kernel does where memory is short: another
    attempt may succeed. Else OutputError with its last line, and whatever ``progress`` raises.
    """
    command = [str(program), *arguments]
    with writing(out), tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=said,
            preexec_fn=dying_with_this(),  # noqa: PLW1509 - two system calls, no lock is taken
        )
        written = 0
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_POLL)
                    break
                written, before = _written(process.pid, out), written
                if written != before:  # a call of progress is a sign of life
                    progress(min(frames, frames * written // max(expected, 1)))
        except BaseException:
            process.kill()
            process.wait()
            out.unlink(missing_ok=True)
            raise
        if process.returncode:
            said.seek(max(0, said.seek(0, os.SEEK_END) - _SAID))
            text = [line.strip() for line in said.read().decode(errors="replace").split("\n") if line.strip()]
            telling = next((line for line in text if any(words in line for words in _TELLING)), None)
            last = text[-1] if text else f"it ended with status {process.returncode} and no message"
            out.unlink(missing_ok=True)
            if process.returncode < 0 and not telling:
                raise StorageError(f"{out}: ffmpeg was killed ({signal.Signals(-process.returncode).name})")
            raise write_error(out, None, telling or f"ffmpeg: {last}")


def _written(pid: int, out: Path) -> int:
    """Bytes written so far; the output's size if the system does not count them."""
    try:
        return int(psutil.Process(pid).io_counters().write_chars)
    except (psutil.Error, AttributeError):
        return out.stat().st_size if out.exists() else 0
