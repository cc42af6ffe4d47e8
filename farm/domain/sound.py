"""What edits say of a job's sound: which spans of it are silent or a tone. Not part of its masks."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import pairwise
from math import inf
from typing import Any

from farm.domain.edits import OF_SOUND, Action, Edit, effective


@dataclass(frozen=True, slots=True)
class SoundSpan:
    """A span of all sound from ``begins`` to ``ends``, in pts of the video; None: from the beginning, to the end.

    ``action``: ``mute``, it is silent; ``beep``, it is a tone.
    """

    action: Action
    begins: int | None = None
    ends: int | None = None

    def row(self) -> dict[str, Any]:
        """As JSON. The inverse of :func:`load_spans`."""
        return {"action": self.action.value, "from": self.begins, "to": self.ends}


def sound_spans(edits: Iterable[Edit]) -> tuple[SoundSpan, ...]:
    """The spans that the edits of a job make of its sound: in order, none overlaps another.

    ``edits``: all of the job, also those that were undone. Where two overlap, the later edit counts.
    """
    mine = [edit for edit in effective(edits) if edit.action in OF_SOUND]
    begins = sorted((_begins(edit), -edit.number, edit) for edit in mine)
    times = sorted({time for edit in mine for time in (_begins(edit), _ends(edit))})
    active: list[tuple[int, Edit]] = []
    spans: list[SoundSpan] = []
    at = 0
    for time, following in pairwise(times):
        while at < len(begins) and begins[at][0] <= time:
            heappush(active, begins[at][1:])
            at += 1
        while active and _ends(active[0][1]) <= time:
            heappop(active)
        if not active:
            continue
        span = SoundSpan(active[0][1].action, _pts(time), _pts(following))
        before = spans[-1] if spans else None
        if before and before.action is span.action and before.ends == span.begins:
            spans[-1] = SoundSpan(span.action, before.begins, span.ends)
        else:
            spans.append(span)
    return tuple(spans)


def load_spans(rows: Sequence[Mapping[str, Any]]) -> tuple[SoundSpan, ...]:
    """Spans from their :meth:`SoundSpan.row`. Raises ValueError for what is none, or not in order."""
    spans = []
    for row in rows:
        try:
            span = SoundSpan(Action(row["action"]), row["from"], row["to"])
        except KeyError as e:
            raise ValueError(f"a span of sound has no {e}") from e
        if span.action not in OF_SOUND or not all(t is None or type(t) is int for t in (span.begins, span.ends)):
            raise ValueError(f"{row!r:.80}: no span of sound")
        spans.append(span)
    times = [t for s in spans for t in (-inf if s.begins is None else s.begins, inf if s.ends is None else s.ends)]
    if times != sorted(times):
        raise ValueError("spans of sound are in order, and none overlaps another")
    return tuple(spans)


def _begins(edit: Edit) -> float:
    return -inf if edit.begins is None else edit.begins


def _ends(edit: Edit) -> float:
    return inf if edit.ends is None else edit.ends


def _pts(time: float) -> int | None:
    return None if abs(time) == inf else int(time)
