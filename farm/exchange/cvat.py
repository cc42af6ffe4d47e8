"""CVAT for video 1.1: XML with a track per face: a box for each frame, and one with outside="1" after it ends.

CVAT numbers tracks anew, and knows no scores: the farm's number of a track, and what else masks have, are attributes.
Between two boxes of a track CVAT interpolates, and a track without an end is seen until the video's.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO
from xml.sax.saxutils import escape, quoteattr

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
    number_of,
    text_of,
    track_of,
    whole_of,
)
from farm.exchange.bounded import xml_elements
from farm.exchange.spool import Spool

#: Attributes of boxes, and whether they may change within a track.
_ATTRIBUTES = {"track": False, "score": True, "style": True, "shape": True, "margin": True, "polygon": True}
_TRACK, _BOX = "annotations/track", "annotations/track/box"
#: Other things in a track, or beside tracks, that would be lost.
_SHAPES = ("polygon", "polyline", "points", "ellipse", "cuboid", "skeleton", "mask")


def write(out: TextIO, about: About, frames: Frames) -> None:
    """Write track by track; in between, boxes are sorted on disk."""
    with closing(Spool()) as spool:
        spool.take_frames(frames)
        out.write(f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n{_meta(about)}')
        for number, (track, boxes) in enumerate(spool.tracks()):
            _write_track(out, number, track, boxes, about.frames)
        out.write("</annotations>\n")


def _meta(about: About) -> str:
    attributes = "".join(
        f"<attribute><name>{name}</name><mutable>{mutable}</mutable><input_type>text</input_type>"
        "<default_value></default_value><values></values></attribute>"
        for name, mutable in _ATTRIBUTES.items()
    )
    labels = "".join(
        f"<label><name>{kind}</name><type>rectangle</type><attributes>{attributes}</attributes></label>\n"
        for kind in (FACE, PLATE)
    )
    return (
        f"<meta>\n<task><name>{escape(about.name)}</name><size>{about.frames}</size><mode>interpolation</mode>"
        f"<overlap>0</overlap><start_frame>0</start_frame><stop_frame>{about.frames - 1}</stop_frame>"
        f"<frame_filter></frame_filter>\n<labels>\n{labels}</labels>\n"
        f"<original_size><width>{about.width}</width><height>{about.height}</height></original_size></task>\n"
        f"<source>{escape(about.name)}</source>\n</meta>\n"
    )


def _write_track(out: TextIO, number: int, track: int, boxes: Iterator[Found], end: int) -> None:
    before: Found | None = None
    for one in boxes:
        if before is None:
            out.write(f'<track id="{number}" label={quoteattr(one.kind)} source="auto">\n')
        elif one.frame > before.frame + 1:
            _write_box(out, track, replace(before, frame=before.frame + 1), outside=True)
        _write_box(out, track, one, outside=False)
        before = one
    if before is not None and before.frame + 1 < end:
        _write_box(out, track, replace(before, frame=before.frame + 1), outside=True)
    out.write("</track>\n")


def _write_box(out: TextIO, track: int, one: Found, *, outside: bool) -> None:
    b = one.box
    corners = {"xtl": b.x, "ytl": b.y, "xbr": b.x + b.w, "ybr": b.y + b.h}
    where = " ".join(f'{name}="{text_of(value)}"' for name, value in corners.items())
    said = {"track": track, "score": one.score, **extras(one)}
    attributes = "".join(f'<attribute name="{name}">{value}</attribute>' for name, value in said.items())
    out.write(
        f'<box frame="{one.frame}" keyframe="1" outside="{int(outside)}" occluded="0" {where} z_order="0">'
        f"{attributes}</box>\n"
    )


def read(path: Path, about: About, _frames: Iterator[ShownFrame], spool: Spool) -> int:
    """Take the boxes of a file; returns the number of its first frame. Raises EditError, OSError."""
    spool.take(_found(path, about, spool))
    return 0


def _found(path: Path, about: About, spool: Spool) -> Iterator[Found]:
    region, kind, counted = -1, FACE, False
    number: int | None = None
    for event, place, element in xml_elements(path, {_BOX, "annotations/meta/task/original_size"}):
        if event == "start":
            if place.partition("/")[0] != "annotations":
                raise EditError(f"is not from CVAT: it begins with <{element.tag}>")
            if place == "annotations/image":
                raise EditError('is "CVAT for images"', hint='export the task as "CVAT for video 1.1"')
            if place == _TRACK:
                region, number = region + 1, None
                kind = kind_of(element.get("label"), f"track {element.get('id')!r:.20}")
            elif element.tag in _SHAPES and place.startswith(_TRACK):
                raise EditError(f"has a {element.tag} in a track of CVAT's: only boxes are read")
        elif place.startswith("annotations/meta/"):
            counted |= _check_meta(place, element, about)
        elif place == _TRACK:
            spool.name(region, number)
        elif place == _BOX:
            said = {a.get("name"): a.text for a in element if a.tag == "attribute"}
            if said.get("track"):
                number = track_of(said["track"])
            yield _box(element, said, region, kind, about)
    if not counted:
        raise EditError("does not say how many frames it is about (meta/task/size)")


def _check_meta(place: str, element: Any, about: About) -> bool:  # noqa: ANN401 - ElementTree's
    """Check what a file says of its video; whether that is the number of frames."""
    name = place.removeprefix("annotations/meta/").partition("/")[2]
    if name == "original_size":
        check_size(about, element.findtext("width"), element.findtext("height"))
    elif name == "size":
        check_count(about, whole_of(element.text, "size"))
        return True
    elif name in ("start_frame", "frame_filter") and (element.text or "0").strip() not in ("0", ""):
        hint = "make the task of all frames of the video"
        raise EditError(f"is about a part of the frames: {name} is {element.text!r:.40}", hint=hint)
    return False


def _box(element: Any, said: dict[str, str], region: int, kind: str, about: About) -> Found:  # noqa: ANN401 - ElementTree's
    frame = whole_of(element.get("frame"), "frame")
    where = f"frame {frame}, track {region} of CVAT's"
    if not 0 <= frame < about.frames:
        raise EditError(f"{where}: the video has {about.frames} frames, from 0 on")
    if number_of(element.get("rotation", 0), f"{where}: the rotation"):
        raise EditError(f"{where}: the box is rotated: only upright ones are read")
    x0, y0, x1, y1 = (number_of(element.get(n), f"{where}: {n}") for n in ("xtl", "ytl", "xbr", "ybr"))
    shown = element.get("outside", "0") != "1"
    return found_of(frame, region, [x0, y0, x1 - x0, y1 - y0], said, where, kind, shown=shown, lasts=True)
