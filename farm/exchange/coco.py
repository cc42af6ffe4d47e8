"""COCO: a list of images, which are the frames in the order of their ids, and a list of annotations with boxes.

Where tracks are named, they are an attribute ``track_id``, as CVAT and Datumaro write it. What COCO has no field for
is an attribute, too.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from farm.domain.detection import FACE, PLATE
from farm.errors import EditError
from farm.exchange.base import (
    About,
    Found,
    Frames,
    ShownFrame,
    check_count,
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

_CATEGORIES = (FACE, PLATE)
_MOST_CATEGORIES = 1000


def write(out: TextIO, about: About, frames: Frames) -> None:
    """Write images, then annotations, one at a time."""
    categories = [{"id": number, "name": name, "supercategory": ""} for number, name in enumerate(_CATEGORIES, 1)]
    out.write(f'{{"info": {{"description": {json.dumps(about.name)}}}, "licenses": [], "images": [\n')
    size = {"width": about.width, "height": about.height}
    images = ({"id": f.number + 1, "file_name": f"frame_{f.number:06}.jpg", **size} for f in frames())
    _write_rows(out, images)
    out.write(f'], "categories": {json.dumps(categories)}, "annotations": [\n')
    _write_rows(out, _annotations(frames))
    out.write("]}\n")


def _annotations(frames: Frames) -> Iterator[dict[str, Any]]:
    count = 0
    for frame in frames():
        for b in frame.boxes:
            count += 1
            box = [float(text_of(n)) for n in (b.box.x, b.box.y, b.box.w, b.box.h)]
            row: dict[str, Any] = {
                "id": count,
                "image_id": frame.number + 1,
                "category_id": 1 + _CATEGORIES.index(b.kind),
            }
            row |= {"bbox": box, "area": round(box[2] * box[3], 6), "iscrowd": 0, "segmentation": []}
            yield row | {"score": b.score, "attributes": {"track_id": b.track, **extras(b)}}


def _write_rows(out: TextIO, rows: Iterator[dict[str, Any]]) -> None:
    out.writelines(("," if at else "") + json.dumps(row) + "\n" for at, row in enumerate(rows))


def read(path: Path, about: About, _frames: Iterator[ShownFrame], spool: Spool) -> int:
    """Take the boxes of a file; returns the number of its first frame. Raises EditError, OSError."""
    kinds: dict[int, object] = {}
    for _, row in json_values(path, {"categories.item"}):
        category = _row(row, "category")
        kinds[whole_of(category.get("id"), "a category's id")] = category.get("name")
        if len(kinds) > _MOST_CATEGORIES:
            raise EditError(f"has more than {_MOST_CATEGORIES} categories")
    first, last, count = spool.listed(_images(path, about))
    if not kinds and not count:
        raise EditError("is no JSON of COCO's, of Label Studio's or of `farm detections`")
    check_count(about, count)
    if last - first + 1 != count:
        raise EditError(f"has {count} images with ids from {first} to {last}: the ids of frames have no gap")
    spool.take(_found(path, kinds, spool))
    return first


def _images(path: Path, about: About) -> Iterator[int]:
    for _, row in json_values(path, {"images.item"}):
        image = _row(row, "image")
        check_size(about, image.get("width"), image.get("height"))
        yield whole_of(image.get("id"), "an image's id")


def _found(path: Path, kinds: dict[int, object], spool: Spool) -> Iterator[Found]:
    for count, (_, value) in enumerate(json_values(path, {"annotations.item"})):
        row = _row(value, "annotation")
        where = f"annotation {row.get('id', count + 1)!r:.20}"
        said = row.get("attributes") or {}
        if not isinstance(said, dict):
            raise EditError(f"{where}: attributes are no object")
        track = said.get("track_id", row.get("track_id"))
        if count == 0:
            spool.named = track is not None
        if spool.named == (track is None):
            raise EditError(f"{where}: either all annotations have a track_id, or none")
        box = row.get("bbox")
        if not isinstance(box, list) or len(box) != 4:
            raise EditError(f"{where}: has no bbox of x, y, width and height")
        kind = kind_of(kinds.get(whole_of(row.get("category_id"), f"{where}: the category")), where)
        region = count if track is None else track_of(track)
        frame = whole_of(row.get("image_id"), f"{where}: the image")
        said = {**said, "score": row.get("score", said.get("score"))}
        yield found_of(frame, region, box, said, where, kind)


def _row(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise EditError(f"has a {what} that is no object")
    return value
