"""The farm's own JSON: every frame with its time and boxes, one a line."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from farm.domain.detection import FACE
from farm.domain.track import TrackedBox
from farm.errors import EditError
from farm.exchange.base import (
    About,
    Found,
    Frames,
    ShownFrame,
    check_count,
    check_frame,
    check_size,
    extras,
    found_of,
    kind_of,
    text_of,
    track_of,
    whole_of,
)
from farm.exchange.bounded import json_values
from farm.exchange.spool import Spool

#: What ``format`` in a file says. A change of what follows changes the number.
MARK = "blurfarm masks 1"


def write(out: TextIO, about: About, frames: Frames) -> None:
    """Write all frames, one at a time."""
    source = {"name": about.name, "sha256": about.sha256, "width": about.width, "height": about.height}
    source |= {"frames": about.frames, "seconds": about.seconds}
    out.write(f'{{"format": {json.dumps(MARK)}, "source": {json.dumps(source)}, "frames": [\n')
    for frame in frames():
        boxes = [_box_row(box) for box in frame.boxes]
        row = {"frame": frame.number, "pts": frame.pts, "time": round(frame.seconds, 6), "boxes": boxes}
        row |= {"black": True} if frame.black else {}
        out.write(("," if frame.number else "") + json.dumps(row) + "\n")
    out.write("]}\n")


def _box_row(b: TrackedBox) -> dict[str, Any]:
    sides = {"x": b.box.x, "y": b.box.y, "w": b.box.w, "h": b.box.h}
    written = {name: float(text_of(side)) for name, side in sides.items()}
    return {"track": b.track, "kind": b.kind, "score": b.score, **written, **extras(b)}


def read(path: Path, about: About, frames: Iterator[ShownFrame], spool: Spool) -> int:
    """Take the boxes of a file; returns the number of its first frame. Raises EditError, OSError."""
    spool.take(_found(path, about, frames))
    return 0


def _found(path: Path, about: About, frames: Iterator[ShownFrame]) -> Iterator[Found]:
    count, mark = 0, None
    for place, value in json_values(path, {"format", "source", "frames.item"}):
        if place == "format":
            mark = value
        elif place == "source" and isinstance(value, dict):
            if value.get("sha256", about.sha256) != about.sha256:
                raise EditError(f"was made for another source: {value.get('name')!s:.60}")
            check_size(about, value.get("width", about.width), value.get("height", about.height))
            check_count(about, whole_of(value.get("frames", about.frames), "frames"))
        elif place == "frames.item":
            number = whole_of(value.get("frame") if isinstance(value, dict) else None, "frame")
            if number != count:
                twice = 0 <= number < count
                raise EditError(f"frame {number} is there twice" if twice else f"frame {count} is missing")
            frame = next(frames, None)
            if frame is None:
                raise EditError(f"has more than the {about.frames} frames of the video")
            check_frame(frame, value.get("pts"), value.get("time"))
            yield from _of_frame(number, value.get("boxes"))
            count += 1
    if mark != MARK:
        raise EditError(f'is not of the format "{MARK}"')
    check_count(about, count)


def _of_frame(number: int, boxes: object) -> Iterator[Found]:
    if not isinstance(boxes, list) or not all(isinstance(row, dict) for row in boxes):
        raise EditError(f"frame {number} has no list of boxes")
    for place, row in enumerate(boxes, 1):
        where = f"frame {number}, box {place}"
        track = track_of(row.get("track", place))
        kind = kind_of(row.get("kind", FACE), where)
        yield found_of(number, track, [row.get(name) for name in "xywh"], row, where, kind)
