"""Standard output and error that are closed, full, or of an encoding that cannot show everything."""

import io
import os
import sys
from typing import TextIO

from farm.errors import PrintError


class _Output(io.TextIOWrapper):
    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as e:
            self._lost(e)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as e:
            self._lost(e)

    def _lost(self, error: OSError) -> None:
        # what is still in the buffer, and what follows, goes nowhere: else the interpreter fails at its end
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.fileno())
        os.close(nowhere)
        if not isinstance(error, BrokenPipeError):  # with `farm list | head`, the reader has seen enough
            raise PrintError(f"cannot write to standard output: {error.strerror}") from error


class _Errors(_Output):
    def _lost(self, error: OSError) -> None:
        """There is nowhere to say it: the exit code tells."""


def prepare_streams() -> None:
    """Have characters that the terminal's encoding lacks escaped, and a failure to print raise PrintError."""
    sys.stdout = _wrapped(sys.stdout, 1, _Output)
    sys.stderr = _wrapped(sys.stderr, 2, _Errors)


def _wrapped(stream: TextIO | None, number: int, kind: type[io.TextIOWrapper]) -> TextIO:
    if stream is None:  # it was closed: farm.__main__ has opened the null device in its place
        return kind(open(number, "wb", closefd=False), errors="backslashreplace")
    encoding, by_line = stream.encoding, stream.isatty() or number == 2
    return kind(stream.detach(), encoding=encoding, errors="backslashreplace", line_buffering=by_line)  # type: ignore[attr-defined]  # it is a TextIOWrapper
