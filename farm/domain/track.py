"""What link writes for a chunk: for every frame the boxes of the tracks in it, as JSON lines."""

import json
from dataclasses import dataclass

from farm.domain.geometry import Box


@dataclass(frozen=True, slots=True)
class TrackedBox:
    """Where one track is in one frame, in source pixels. Boxes are the faces', without the margin."""

    track: int
    box: Box


@dataclass(frozen=True, slots=True)
class FrameTracks:
    """All tracked boxes of one frame, in order of their track.

    ``black``: all of the frame has to be covered. ``sketch``: that of the frame in which the boxes are.
    """

    pts: int
    boxes: tuple[TrackedBox, ...]
    black: bool = False
    sketch: str = ""


def dump_frame(frame: FrameTracks) -> str:
    """One line of JSON: ``[pts, [[track, x, y, w, h], ...], black, sketch]``."""
    rows = [[b.track, b.box.x, b.box.y, b.box.w, b.box.h] for b in frame.boxes]
    return json.dumps([frame.pts, rows, int(frame.black), frame.sketch], separators=(",", ":"))


def load_frame(line: str) -> FrameTracks:
    """The inverse of :func:`dump_frame`."""
    pts, rows, black, sketch = json.loads(line)
    return FrameTracks(pts, tuple(TrackedBox(r[0], Box(*r[1:])) for r in rows), bool(black), sketch)
