"""Converts errors of FFmpeg's libraries and of the file system into the farm's own errors."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import av.logging

from farm.errors import FarmError, OutputError, StorageError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_INVALID = 1094995529  # AVERROR_INVALIDDATA


def reason(error: BaseException) -> str:
    """The cause of an error in one line, without the path (``Invalid data found when processing input``)."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).splitlines()[0]


def invalid_data(why: str) -> av.error.InvalidDataError:
    """The error that FFmpeg's decoders raise for damage, for damage that they do not raise for."""
    return av.error.InvalidDataError(_INVALID, why)


@contextmanager
def logged(level: int) -> Iterator[list[tuple[int, str, str]]]:
    """The messages that FFmpeg's libraries log in the block, up to ``level``: each with its level and its source."""
    before, skipping = av.logging.get_level(), av.logging.get_skip_repeated()
    av.logging.set_level(level)
    av.logging.set_skip_repeated(False)
    try:
        with av.logging.Capture() as messages:
            yield messages
    finally:
        av.logging.set_level(before)
        av.logging.set_skip_repeated(skipping)


@contextmanager
def reading(path: Path, kind: type[FarmError], what: str, hint: str | None = None) -> Iterator[None]:
    """Re-raise errors in the block as ``kind``, with path, ``what`` and reason as the message."""
    try:
        yield
    except (av.error.FFmpegError, OSError, UnicodeDecodeError) as error:
        raise kind(f"{path}: {what}: {reason(error)}", hint=hint) from error


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Re-raise errors in the block as StorageError if the disk is full, else as OutputError."""
    try:
        yield
    except (av.error.FFmpegError, OSError) as error:
        raise write_error(path, getattr(error, "errno", None), reason(error)) from error


def write_error(path: Path, number: int | None, why: str) -> FarmError:
    """The error for a failed write to ``path``; ``number`` is an errno where one is known."""
    if number in _FULL or "No space left" in why or "File too large" in why:
        return StorageError(
            f"{path}: no space left in {path.parent}", hint="free some space there, then submit the same video again"
        )
    return OutputError(f"{path}: cannot be written: {why}")
