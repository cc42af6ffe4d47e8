"""Label Studio's JSON: one task with one annotation; per track a videorectangle with a sequence of boxes in per cent.

Frames are numbered from 1. A box with ``enabled`` is seen, interpolated, until the next one of the sequence, or to the
end; one without is seen in its own frame only.
"""

import json
import re
from array import array
from collections.abc import Iterator
from contextlib import closing
from itertools import chain, pairwise
from pathlib import Path
from typing import Any, TextIO

from farm.domain.detection import FACE
from farm.domain.geometry import Box
from farm.errors import EditError
from farm.exchange.base import (
    About,
    Found,
    Frames,
    ShownFrame,
    check_count,
    extras,
    found_of,
    kind_of,
    number_of,
    whole_of,
)
from farm.exchange.bounded import json_values
from farm.exchange.spool import Spool

_RESULT = "item.annotations.item.result.item"
_SEQUENCE = f"{_RESULT}.value.sequence.item"
_ANNOTATION, _TASK = "item.annotations.item", "item"
_TYPE = "videorectangle"
#: Decimals of per cent: a hundredth of a pixel of the largest picture comes back the same.
_DIGITS = 9


def write(out: TextIO, about: About, frames: Frames) -> None:
    """Write track by track; in between, boxes are sorted on disk. Times take eight bytes per frame."""
    with closing(Spool()) as spool:
        spool.take_frames(frames)
        times = array("d", (frame.seconds for frame in frames()))
        video = json.dumps({"video": about.name, "framerate": round(about.rate, 6)})
        out.write(f'[{{"data": {video}, "annotations": [{{"result": [\n')
        for number, (track, boxes) in enumerate(spool.tracks()):
            out.write("," if number else "")
            _write_track(out, track, boxes, about, times)
        out.write("]}]}]\n")


def _write_track(out: TextIO, track: int, boxes: Iterator[Found], about: About, times: "array[float]") -> None:
    region = {"id": f"track{track}", "type": _TYPE, "from_name": "box", "to_name": "video", "origin": "prediction"}
    value = {"framesCount": about.frames, "duration": about.seconds}
    out.write(json.dumps(region)[:-1] + f', "value": {json.dumps(value)[:-1]}, "sequence": [\n')
    kind = FACE
    for one, after in pairwise(chain(boxes, (None,))):
        assert one is not None
        kind, goes_on = one.kind, after is not None and after.frame == one.frame + 1
        row = _per_cent(one.box, about) | {"rotation": 0, "frame": one.frame + 1, "time": round(times[one.frame], 6)}
        row |= {"enabled": goes_on, "score": one.score, **extras(one)}
        out.write(json.dumps(row) + (",\n" if after is not None else "\n"))
    out.write(f'], "labels": [{json.dumps(kind)}]}}}}\n')


def _per_cent(box: Box, about: About) -> dict[str, Any]:
    across, down = 100 / about.width, 100 / about.height
    sides = {"x": box.x * across, "y": box.y * down, "width": box.w * across, "height": box.h * down}
    return {name: round(side, _DIGITS) for name, side in sides.items()}


def read(path: Path, about: About, _frames: Iterator[ShownFrame], spool: Spool) -> int:
    """Take the boxes of a file; returns the number of its first frame. Raises EditError, OSError."""
    spool.take(_found(path, about, spool))
    return 1


def _found(path: Path, about: About, spool: Spool) -> Iterator[Found]:
    region = annotations = tasks = 0
    labels: dict[object, object] = {}  # of regions, by their ids: they may be results of their own
    regions: dict[int, object] = {}
    for place, value in json_values(path, {_SEQUENCE, _RESULT, _ANNOTATION, _TASK}):
        if not isinstance(value, dict):
            raise EditError(f"has something that is no object at {place}")
        if place == _SEQUENCE:
            yield _box(value, region, about)
        elif place == _RESULT:
            _check_result(value, about)
            labels.update(_label(value))
            if value.get("type") == _TYPE:
                regions[region] = value.get("id")
            else:
                spool.drop(region)
            region += 1
        elif place == _ANNOTATION:
            annotations += 1
        else:
            tasks += 1
    if (tasks, annotations) != (1, 1):
        raise EditError(f"has {tasks} tasks with {annotations} annotations: one of one is read", hint="export JSON")
    for number, name in regions.items():
        own = re.fullmatch(r"track(-?\d{1,10})", str(name))
        kind = kind_of(labels.get(name, FACE), f"region {name!r:.40}")
        spool.name(number, int(own[1]) if own else None, kind)


def _check_result(result: dict[str, Any], about: About) -> None:
    """Raise EditError for what is not understood in a result."""
    kind, value = str(result.get("type")), result.get("value")
    if kind.startswith("video") and kind != _TYPE:
        raise EditError(f"has a result of the type {kind[:40]!r}: only {_TYPE} is read")
    if kind == _TYPE and isinstance(value, dict):
        count = whole_of(value.get("framesCount"), "framesCount")
        if abs(count - about.frames) > 1:  # Label Studio multiplies the duration with the rate, and rounds
            check_count(about, count)


def _label(result: dict[str, Any]) -> dict[object, object]:
    """The label of a result's region, if it says one."""
    value = result.get("value")
    labels = value.get("labels") if isinstance(value, dict) else None
    return {result.get("id"): labels[0]} if isinstance(labels, list) and labels else {}


def _box(row: dict[str, Any], region: int, about: About) -> Found:
    frame = whole_of(row.get("frame"), "frame")
    where = f"frame {frame}, result {region + 1}"
    if not 1 <= frame <= about.frames:
        raise EditError(f"{where}: the video has {about.frames} frames, from 1 on")
    if number_of(row.get("rotation", 0), f"{where}: the rotation"):
        raise EditError(f"{where}: the box is rotated: only upright ones are read")
    x, y, w, h = (number_of(row.get(name), f"{where}: {name}") for name in ("x", "y", "width", "height"))
    across, down = about.width / 100, about.height / 100
    box: list[object] = [x * across, y * down, w * across, h * down]
    return found_of(frame, region, box, row, where, lasts=row.get("enabled", True) is not False)
