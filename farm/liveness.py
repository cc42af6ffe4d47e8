"""What a worker's child process says of its work, in memory that its parent can read at any moment.

The memory is a file that both map. A child that is stopped or killed leaves in it what it did last, and to write there
is no system call.
"""

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

_LAYOUT = struct.Struct("@qq112s")  # frames, beats, token: the numbers are aligned, so that each is written at once
_FRAMES, _BEATS = 0, 1
_NOT_BEGUN = -1


@dataclass(frozen=True, slots=True)
class Sign:
    """The last sign of life. ``frames``: done of the order ``token``; None: its frames were not begun yet.

    ``beats`` changes with every sign of life.
    """

    token: str
    frames: int | None
    beats: int


class _Memory:
    """The memory of this process; private until :func:`share` was called."""

    def __init__(self) -> None:
        self.keep(mmap.mmap(-1, _LAYOUT.size))

    def keep(self, memory: mmap.mmap) -> None:
        self.bytes = memory
        self.numbers = memoryview(memory)[:16].cast("q")


_memory = _Memory()


def share(path: Path) -> None:
    """From now on, show the signs of life of this process in the file ``path``, which is created. Raises OSError."""
    with path.open("w+b") as file:
        file.write(_LAYOUT.pack(_NOT_BEGUN, 0, b""))
        file.flush()
        _memory.keep(mmap.mmap(file.fileno(), _LAYOUT.size))


def begin(token: str) -> None:
    """This process takes the order ``token``."""
    _LAYOUT.pack_into(_memory.bytes, 0, _NOT_BEGUN, _memory.numbers[_BEATS] + 1, token.encode())


def end() -> None:
    """This process works on no order."""
    begin("")


def done(frames: int) -> None:
    """So many frames of the order are done: its work on frames has begun. A sign of life even if none is new."""
    _memory.numbers[_FRAMES] = frames
    beat()


def beat() -> None:
    """A sign of life in a long step that does no frames, such as reading a large file: call it once per piece.

    A step that waits for another process calls it only if that one has moved.
    """
    _memory.numbers[_BEATS] += 1


def last_sign(path: Path) -> Sign | None:
    """What a process shows in ``path``; None if that is no such file."""
    try:
        frames, beats, token = _LAYOUT.unpack(path.read_bytes())
    except (OSError, struct.error):
        return None
    return Sign(token.rstrip(b"\0").decode(errors="replace"), None if frames == _NOT_BEGUN else frames, beats)
