"""Runs of a chunk's frames: those that are encoded, and those whose packets are copied from the source.

A *group* is what decodes alone: the packets from one frame that nothing after it looks behind, up to the next such one,
in decoding order as in order of time. Only whole groups are copied, and only where no frame of theirs is touched.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: A group's first frame, and the one after its last, by their numbers in the chunk.
Group = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring frames of a chunk, by their numbers in it from ``first`` up to but not including ``end``.

    ``groups``: those of a run that is copied, which they fill; an encoded run has none.
    """

    first: int
    end: int
    groups: tuple[Group, ...] = ()

    @property
    def frames(self) -> int:
        """How many frames it has."""
        return self.end - self.first

    @property
    def copied(self) -> bool:
        """Whether it is copied."""
        return bool(self.groups)


def plan_runs(frames: int, groups: Iterable[Group], touched: Sequence[bool]) -> tuple[Run, ...]:
    """The runs of a chunk in order; each frame is in exactly one, and neighbouring runs are of different kinds.

    ``groups`` that may be copied, ascending. ``touched``: of each frame, whether anything is painted on it.
    Raises ValueError for groups that overlap or leave the chunk.
    """
    if len(touched) != frames:
        raise ValueError(f"{len(touched)} frames are said to be touched or not, of {frames}")
    spans: list[list[Group]] = []
    at = 0
    for first, end in groups:
        if not at <= first < end <= frames:
            raise ValueError(f"the group {first} to {end} does not follow frame {at}")
        at = end
        if any(touched[first:end]):
            continue
        if spans and spans[-1][-1][1] == first:
            spans[-1].append((first, end))
        else:
            spans.append([(first, end)])
    runs: list[Run] = []
    at = 0
    for span in spans:
        first, end = span[0][0], span[-1][1]
        if at < first:
            runs.append(Run(at, first))
        runs.append(Run(first, end, tuple(span)))
        at = end
    if at < frames:
        runs.append(Run(at, frames))
    return tuple(runs)
