"""Tracks of a chunk: the boxes of all tracks in every frame, stored as JSON lines."""

import json
import re
from dataclasses import dataclass, replace
from typing import Any

from farm.domain.detection import FACE
from farm.domain.geometry import Box
from farm.domain.options import Look, Override, RedactOptions
from farm.domain.polygon import Area, Polygon, ellipse_in, polygon_of, rectangle

#: The margin from which all of a box, of the ellipse inside it, or of a polygon is covered with full strength: covers
#: fade out over their rims.
_WHOLE = 0.06


@dataclass(frozen=True, slots=True)
class TrackedBox:
    """The box of one track in one frame, in source pixels, without the margin. ``kind``: as of a detection.

    ``score``: of the detection; 0 where the box was carried from others. ``track``: below 0 for a box that edit
    ``-track`` added; in artefacts of masks -1 for these, and 0 for all others. ``override``: in masks, how it is
    covered where that is not as the job's options say. ``polygon``: what is covered, where that is one;
    ``box`` holds it.
    """

    track: int
    box: Box
    kind: str = FACE
    score: float = 0.0
    override: Override | None = None
    polygon: Polygon | None = None

    @property
    def area(self) -> Area:
        """What is covered."""
        return self.polygon or self.box

    @property
    def outline(self) -> Polygon:
        """What is drawn of it for people: of a track its box, however it is covered."""
        if self.polygon:
            return self.polygon
        drawn = self.track < 0 and self.override and self.override.shape == "ellipse"
        return ellipse_in(self.box) if drawn else rectangle(self.box)


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


def number_in(text: str) -> int:
    """The number of a track that :func:`number_text` wrote. Raises ValueError with a line for the user."""
    if not re.fullmatch(r"\+?\d{1,10}", text):
        raise ValueError("not valid; use the number of a track, such as 3 or +3")
    return -int(text) if text.startswith("+") else int(text)


def look_of(box: TrackedBox, options: RedactOptions) -> Look:
    """How a box is covered. All of what an edit added is: the box, the ellipse inside it, or the polygon."""
    look = options.look(box.kind)
    added = box.track < 0
    if added:
        look = replace(look, shape="rectangle")
    if box.override:
        look = box.override.over(look)
    return replace(look, margin=max(look.margin, _WHOLE)) if added else look


def dump_frame(frame: FrameTracks) -> str:
    """Return one line of JSON: ``[pts, [[track, x, y, w, h, kind, score], ...], black, sketch]``.

    A box that is covered in its own way has style, shape, margin and image, or null, besides; a polygon has its corners
    after these.
    """
    return _line(frame, [[b.track, b.box.x, b.box.y, b.box.w, b.box.h, b.kind, b.score, *_own(b)] for b in frame.boxes])


def dump_mask(frame: FrameTracks) -> str:
    """As :func:`dump_frame`, without what changes no pixel: numbers of tracks, scores and the order of the boxes.

    So chunks whose tracks have other numbers after a part of the video was looked at again are not encoded again.
    """
    rows = [[-1 if b.track < 0 else 0, b.box.x, b.box.y, b.box.w, b.box.h, b.kind, 0.0, *_own(b)] for b in frame.boxes]
    return _line(frame, sorted(rows, key=lambda row: (row[:7], repr(row[7:]))))


def _line(frame: FrameTracks, rows: list[list[Any]]) -> str:
    return json.dumps([frame.pts, rows, int(frame.black), frame.sketch], separators=(",", ":"))


def _own(box: TrackedBox) -> tuple[object, ...]:
    if box.override is None and box.polygon is None:
        return ()
    said = box.override or Override()
    corners = (box.polygon.row(),) if box.polygon else ()
    return (said.style, said.shape, said.margin, said.image, *corners)


def load_frame(line: str) -> FrameTracks:
    """Parse the output of :func:`dump_frame`."""
    pts, rows, black, sketch = json.loads(line)
    return FrameTracks(pts, tuple(map(_box, rows)), bool(black), sketch)


def _box(row: list[Any]) -> TrackedBox:
    track, x, y, w, h, kind, score, *more = row
    if not more:
        return TrackedBox(track, Box(x, y, w, h), kind, score)
    override = Override(*more[:4]) if any(said is not None for said in more[:4]) else None
    return TrackedBox(track, Box(x, y, w, h), kind, score, override, polygon_of(more[4]) if more[4:] else None)
