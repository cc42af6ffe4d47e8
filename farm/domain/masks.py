"""Masks: what edits make of tracks. Masks have the form of tracks; nothing else says what is covered.

In doubt a face is covered: what covers holds in every frame that shows any moment of its time, what uncovers in frames
that show nothing else.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from math import inf

from farm.domain.edits import OF_TRACKS, Action, Edit, KeyFrame
from farm.domain.geometry import Box, interpolated, intersection_over_union, outside
from farm.domain.options import Override
from farm.domain.polygon import Area, Polygon
from farm.domain.track import FrameTracks, TrackedBox
from farm.errors import JobFailed

#: A box overlaps an anchor at least so much where it is of the track that was meant (intersection over union).
_SAME = 0.3

#: For the number of an edit of a track, the number of that track; None where no track is at its anchor.
Anchors = Mapping[int, int | None]


def anchored(edits: Iterable[Edit], frames: Iterable[FrameTracks]) -> dict[int, int | None]:
    """Find the tracks that ``edits`` are about. ``frames``: of the video, in order; read as far as necessary."""
    waiting: dict[int, list[Edit]] = {}
    found: dict[int, int | None] = {}
    for edit in edits:
        if edit.action in OF_TRACKS:
            waiting.setdefault(edit.where[0].pts, []).append(edit)
            found[edit.number] = None
    for frame in frames if waiting else ():
        for edit in waiting.pop(frame.pts, ()):
            found[edit.number] = _nearest(frame, edit.where[0].box)
        if not waiting:
            break
    return found


def _nearest(frame: FrameTracks, anchor: Box) -> int | None:
    best = max(frame.boxes, key=lambda b: intersection_over_union(b.box, anchor), default=None)
    return best.track if best and intersection_over_union(best.box, anchor) >= _SAME else None


def apply(edits: Sequence[Edit], anchors: Anchors, frames: Iterable[FrameTracks], end: int) -> Iterator[FrameTracks]:
    """The masks of a video, frame by frame. ``edits``: those in effect, in order; ``frames``: the tracks of the video;
    ``end``: the pts at which its last frame ends.
    """
    if not edits:
        yield from frames
        return
    for frame, until in with_ends(frames, end):
        shown = frame.pts, until
        kept = [
            _styled(box, edits, anchors, shown) for box in frame.boxes if _uncovers(box, edits, anchors, shown) is None
        ]
        added = [
            _added(edit, at(edit.where, frame.pts))
            for edit in edits
            if edit.action is Action.COVER and _touches(edit, shown)
        ]
        yield replace(frame, boxes=tuple(sorted(added + kept, key=lambda box: box.track)))


def replaced(frames: Iterable[FrameTracks], imported: Iterable[FrameTracks]) -> Iterator[FrameTracks]:
    """The frames of tracks with the boxes of ``imported`` ones. What cannot be decoded stays wholly covered.

    Raises JobFailed unless both are the same frames.
    """
    for frame, other in zip_longest(frames, imported):
        if frame is None or other is None or frame.pts != other.pts:
            raise JobFailed("the masks that were imported are of other frames", hint="farm edit JOB undo")
        yield replace(frame, boxes=other.boxes)


def with_ends(frames: Iterable[FrameTracks], end: int) -> Iterator[tuple[FrameTracks, int]]:
    """Each frame with the pts up to which it is shown. ``end``: of the last one."""
    before: FrameTracks | None = None
    for frame in frames:
        if before is not None:
            yield before, frame.pts
        before = frame
    if before is not None:
        yield before, end


def allowed(edits: Sequence[Edit], anchors: Anchors, frame: FrameTracks, until: int) -> list[Area]:
    """Where faces of a frame, which is shown until a pts, may be seen since a person has said so: the boxes of tracks
    that are kept, regions that are ignored, and what lies outside those that alone are covered.
    """
    shown = frame.pts, until
    by = [(box.box, _uncovers(box, edits, anchors, shown)) for box in frame.boxes]
    kept: list[Area] = [box for box, edit in by if edit is not None and edit.action is Action.KEEP]
    ignored = [edit.where[0].area for edit in edits if edit.action is Action.IGNORE and _holds(edit, shown)]
    only = any(edit.action is Action.ONLY and _holds(edit, shown) for edit in edits)
    return [*kept, *ignored, *(outside(_regions(edits, shown)) if only else ())]


def _regions(edits: Iterable[Edit], shown: tuple[int, int]) -> list[Box]:
    """The regions that alone are covered in a frame, where any edit says so."""
    return [edit.where[0].box for edit in edits if edit.action is Action.ONLY and _touches(edit, shown)]


def _uncovers(box: TrackedBox, edits: Sequence[Edit], anchors: Anchors, shown: tuple[int, int]) -> Edit | None:
    """The edit that uncovers a box in a frame: the last one that is about it, unless that covers it."""
    by: Edit | None = None
    for edit in edits:
        if edit.action is Action.ONLY and _holds(edit, shown):
            by = by if any(_meet(box.box, region) for region in _regions(edits, shown)) else edit
        if edit.action is Action.IGNORE:
            if _is_inside(box.box, edit.where[0].area) and _holds(edit, shown):
                by = edit
        elif edit.action in OF_TRACKS and anchors.get(edit.number) == box.track:
            if edit.action is Action.RESTORE:
                by = None if _touches(edit, shown) else by
            elif edit.action is not Action.STYLE and _holds(edit, shown):
                by = edit
    return by


def _styled(box: TrackedBox, edits: Iterable[Edit], anchors: Anchors, shown: tuple[int, int]) -> TrackedBox:
    """A box, covered in a frame as the edits of its track say; the last one counts."""
    found: Override | None = None
    for edit in edits:
        if edit.override and anchors.get(edit.number) == box.track and _touches(edit, shown):
            found = edit.override if found is None else found.then(edit.override)
    return replace(box, override=found) if found else box


def _span(edit: Edit) -> tuple[float, float]:
    return -inf if edit.begins is None else edit.begins, inf if edit.ends is None else edit.ends


def _touches(edit: Edit, shown: tuple[int, int]) -> bool:
    """Whether a frame shows any moment of an edit's time."""
    begins, ends = _span(edit)
    return shown[0] < ends and shown[1] > begins


def _holds(edit: Edit, shown: tuple[int, int]) -> bool:
    """Whether a frame shows nothing but moments of an edit's time."""
    begins, ends = _span(edit)
    return begins <= shown[0] and shown[1] <= ends


def _is_inside(box: Box, of: Area) -> bool:
    if isinstance(of, Polygon):
        return of.encloses(box)
    return of.x <= box.x and of.y <= box.y and box.x + box.w <= of.x + of.w and box.y + box.h <= of.y + of.h


def _meet(a: Box, b: Box) -> bool:
    """Whether two boxes overlap, or touch."""
    return a.x <= b.x + b.w and b.x <= a.x + a.w and a.y <= b.y + b.h and b.y <= a.y + a.h


def _added(edit: Edit, key: KeyFrame) -> TrackedBox:
    """What an edit adds to a frame."""
    return TrackedBox(-edit.number, key.box.rounded(), edit.kind, override=edit.override, polygon=key.polygon)


def at(keys: Sequence[KeyFrame], pts: int) -> KeyFrame:
    """What is drawn at a time: between two key frames interpolated, before the first and after the last one theirs."""
    after = bisect_right(keys, pts, key=lambda key: key.pts)
    if after in (0, len(keys)):
        return replace(keys[min(after, len(keys) - 1)], pts=pts)
    a, b = keys[after - 1], keys[after]
    share = (pts - a.pts) / (b.pts - a.pts)
    if a.polygon and b.polygon:
        return KeyFrame.of(pts, a.polygon.towards(b.polygon, share))
    return KeyFrame(pts, interpolated(a.box, b.box, share))
