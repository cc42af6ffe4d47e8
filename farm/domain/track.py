"""Tracks of a chunk: the boxes of all tracks in every frame, stored as JSON lines."""

import json
from dataclasses import dataclass, replace

from farm.domain.detection import FACE
from farm.domain.geometry import Box
from farm.domain.options import Look, Override, RedactOptions

#: The margin from which a rectangle covers all of its box with full strength: it fades out over its rim.
_WHOLE = 0.06


@dataclass(frozen=True, slots=True)
class TrackedBox:
    """The box of one track in one frame, in source pixels, without the margin. ``kind``: as of a detection.

    ``score``: of the detection; 0 where the box was carried from others. ``track``: below 0 for a box that edit
    ``-track`` added; in artefacts of masks -1 for these, and 0 for all others. ``override``: in masks, how it is
    covered where that is not as the job's options say.
    """

    track: int
    box: Box
    kind: str = FACE
    score: float = 0.0
    override: Override | None = None


@dataclass(frozen=True, slots=True)
class FrameTracks:
    """All tracked boxes of one frame, ordered by track.

    ``black``: all of the frame must be covered. ``sketch``: identifies the frame that the boxes belong to.
    """

    pts: int
    boxes: tuple[TrackedBox, ...]
    black: bool = False
    sketch: str = ""


def number_text(track: int) -> str:
    """The number of a track as people see it; of a box that an edit added, that of the edit, with a plus."""
    return f"+{-track}" if track < 0 else str(track)


def look_of(box: TrackedBox, options: RedactOptions) -> Look:
    """How a box is covered. All of a box that an edit added is, where the edit does not say otherwise."""
    look = options.look(box.kind)
    if box.track < 0:
        look = Look(look.style, "rectangle", max(look.margin, _WHOLE))
    return box.override.over(look) if box.override else look


def dump_frame(frame: FrameTracks) -> str:
    """Return one line of JSON: ``[pts, [[track, x, y, w, h, kind, score], ...], black, sketch]``.

    A box that is covered in its own way has style, shape and margin, or null, besides.
    """
    rows = [[b.track, b.box.x, b.box.y, b.box.w, b.box.h, b.kind, b.score, *_override(b)] for b in frame.boxes]
    return json.dumps([frame.pts, rows, int(frame.black), frame.sketch], separators=(",", ":"))


def dump_mask(frame: FrameTracks) -> str:
    """As :func:`dump_frame`, without what changes no pixel: numbers of tracks, scores and the order of the boxes.

    So chunks whose tracks have other numbers after a part of the video was looked at again are not encoded again.
    """
    boxes = [replace(box, track=min(0, max(-1, box.track)), score=0.0) for box in frame.boxes]
    return dump_frame(replace(frame, boxes=tuple(sorted(boxes, key=repr))))


def _override(box: TrackedBox) -> tuple[object, ...]:
    return (box.override.style, box.override.shape, box.override.margin) if box.override else ()


def load_frame(line: str) -> FrameTracks:
    """Parse the output of :func:`dump_frame`."""
    pts, rows, black, sketch = json.loads(line)
    boxes = (TrackedBox(r[0], Box(*r[1:5]), r[5], r[6], Override(*r[7:]) if r[7:] else None) for r in rows)
    return FrameTracks(pts, tuple(boxes), bool(black), sketch)
