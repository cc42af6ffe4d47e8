"""How far a long piece of work is, counted in frames of the video: one number that only rises."""

from collections.abc import Callable

#: Called with the number of frames done so far, often; may raise AttemptStopped, which ends the work.
Progress = Callable[[int], None]


def nobody(_: int) -> None:
    """Nobody wants to know."""


def part(progress: Progress, frames: int, number: int, parts: int, width: int = 1) -> Progress:
    """The progress of ``width`` of a whole's ``parts``, from the one called ``number`` (the first is 0) on.

    It counts from 0 to ``frames``, as the whole does.
    """
    return lambda done: progress((number * frames + width * min(done, frames)) // parts)
