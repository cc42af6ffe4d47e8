"""Progress of long operations, counted in frames of the video; the count never falls."""

from collections.abc import Callable

#: Called often with the number of frames done so far; may raise AttemptStopped, which ends the operation.
Progress = Callable[[int], None]


def no_progress(_: int) -> None:
    """No-op progress callback."""


def part(progress: Progress, frames: int, number: int, parts: int, width: int = 1) -> Progress:
    """A callback for ``width`` of ``parts`` equal parts of an operation, from part ``number`` (counted from 0) on.

    It takes counts from 0 to ``frames``, as the callback of the whole operation does.
    """
    return lambda done: progress((number * frames + width * min(done, frames)) // parts)
