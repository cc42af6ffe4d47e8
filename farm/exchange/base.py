"""What formats of masks share: the video that a file is about, its frames, and the checks of what a file says.

Boxes are in pixels of the picture as players show it. Frames are numbered from 0, in the order in which they are shown.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from farm.domain.detection import FACE, PLATE
from farm.domain.edits import checked_box, checked_polygon
from farm.domain.geometry import Box
from farm.domain.options import IMAGE, Override, override
from farm.domain.polygon import Polygon, polygon_of
from farm.domain.track import TrackedBox
from farm.errors import EditError, SettingsError

#: Files above this are refused. A face takes 100 to 200 bytes in a frame: these are 50 faces in all frames of an hour.
LARGEST = 1 << 30
#: Decimals of coordinates: masks have two, and a shown pixel is no larger than a coded one, so they come back the same.
DIGITS = 6
#: Seconds by which the time of a frame in a file may differ from the plan's; files round to a thousandth.
_TIME_ERROR = 0.0011
#: A larger number is none of a track.
_LARGEST_TRACK = 2_000_000_000
#: The style in files of what a picture covers.
_COVERED = "solid"
#: Pixels between a box and that around its polygon from which the box was moved.
_MOVED = 0.05


@dataclass(frozen=True, slots=True)
class About:
    """The video that masks are about. ``width``, ``height``: as shown; ``rate``: frames per second, on average."""

    name: str
    sha256: str
    width: int
    height: int
    frames: int
    seconds: float
    rate: float


@dataclass(frozen=True, slots=True)
class ShownFrame:
    """A frame with its masks. ``seconds``: when it is shown. ``black``: all of it is covered, whatever its boxes."""

    number: int
    pts: int
    seconds: float
    boxes: tuple[TrackedBox, ...]
    black: bool = False


#: The frames of a video, from the first one each time that it is called.
Frames = Callable[[], Iterator[ShownFrame]]


@dataclass(frozen=True, slots=True)
class Found:
    """A box that a file has. ``frame``: its number, counted as the file counts; ``region``: what it belongs to there.

    ``shown``: False where the region is not seen from this frame on. ``lasts``: it is seen until the region's next box,
    or to the end.
    """

    frame: int
    region: int
    box: Box
    kind: str = FACE
    score: float = 0.0
    override: Override | None = None
    polygon: Polygon | None = None
    shown: bool = True
    lasts: bool = False


def text_of(number: float) -> str:
    """A coordinate as it is written: as short as it comes back the same."""
    return f"{round(number, DIGITS):.{DIGITS}f}".rstrip("0").rstrip(".")


def extras(b: "TrackedBox | Found") -> dict[str, Any]:
    """How a box is covered where it is in its own way: style, shape, margin, and the corners of a polygon as text.

    Empty for most. A picture is not carried: what it covers is solid in a file.
    """
    said = b.override or Override()
    every: dict[str, Any] = {"style": _COVERED if said.style == IMAGE else said.style, "shape": said.shape}
    every["margin"] = said.margin
    if b.polygon:
        every["polygon"] = " ".join(f"{text_of(x)},{text_of(y)}" for x, y in b.polygon.corners)
    return {name: value for name, value in every.items() if value is not None}


def polygon_in(row: Mapping[str, Any], box: Box, where: str) -> Polygon | None:
    """The polygon that a row says; None where its box is not the one around it: it was moved. Raises EditError."""
    said = row.get("polygon")
    if said in (None, ""):
        return None
    try:
        corners = [[number_of(n, f"{where}: the corner") for n in corner.split(",")] for corner in str(said).split()]
        checked_polygon(corners)
    except ValueError as e:
        raise EditError(f"{where}: {e}") from e
    polygon, around = polygon_of(corners), polygon_of(corners).bounds
    apart = max(abs(around.x - box.x), abs(around.y - box.y), abs(around.w - box.w), abs(around.h - box.h))
    return polygon if apart < _MOVED else None


def number_of(value: object, what: str) -> float:
    """A finite number, also from text. Raises EditError."""
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else float("nan")
    except (ValueError, OverflowError):
        number = float("nan")
    if not isfinite(number):
        raise EditError(f"{what} {shortened(value)} is not a number")
    return number


def whole_of(value: object, what: str) -> int:
    """A whole number, also from text. Raises EditError."""
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,18}", value.strip()):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise EditError(f"{what} {shortened(value)} is not a whole number")


def track_of(value: object) -> int:
    """The number of a track. Raises EditError."""
    number = whole_of(value, "track")
    if abs(number) > _LARGEST_TRACK:
        raise EditError(f"track {number}: a track has a number of at most {_LARGEST_TRACK}")
    return number


def box_of(numbers: list[object], where: str) -> Box:
    """The box x, y, width, height. Raises EditError."""
    found = [number_of(n, f"{where}: the coordinate") for n in numbers]
    try:
        checked_box(found)
    except ValueError as e:
        raise EditError(f"{where}: {e}") from e
    return Box(*found)


def kind_of(value: object, where: str) -> str:
    """What a box shows. Raises EditError for a label that is not one of the farm's."""
    kind = str(value).strip().lower()
    if kind not in (FACE, PLATE):
        raise EditError(f"{where}: the label is {shortened(value)}; use {FACE} or {PLATE}")
    return kind


def score_of(value: object, where: str) -> float:
    """The score of a detection; 0 where there is none. Raises EditError."""
    score = 0.0 if value is None or value == "" else number_of(value, f"{where}: the score")
    if not 0 <= score <= 1:
        raise EditError(f"{where}: the score {score:g} is not between 0 and 1")
    return score


def override_in(row: Mapping[str, Any], where: str) -> Override | None:
    """How a box is covered, from the entries ``style``, ``shape`` and ``margin`` of a row. Raises EditError."""
    said: dict[str, object] = {name: row[name] for name in ("style", "shape") if row.get(name) not in (None, "")}
    if row.get("margin") not in (None, ""):
        said["margin"] = number_of(row["margin"], f"{where}: the margin")
    try:
        return override(said) if said else None
    except SettingsError as e:
        raise EditError(f"{where}: {str(e).removeprefix('redact.')}") from e


def found_of(
    frame: int,
    region: int,
    numbers: list[object],
    said: Mapping[str, Any],
    where: str,
    kind: str = FACE,
    *,
    shown: bool = True,
    lasts: bool = False,
) -> Found:
    """A box of a file. ``numbers``: x, y, width, height; ``said``: where its score, its style and its polygon stand.

    Raises EditError, with ``where`` it stands in the file.
    """
    box, score = box_of(numbers, where), score_of(said.get("score"), where)
    own, polygon = override_in(said, where), polygon_in(said, box, where)
    return Found(frame, region, box, kind, score, own, polygon, shown=shown, lasts=lasts)


def check_size(about: About, width: object, height: object) -> None:
    """Raise EditError where a file is about pictures of another size."""
    size = whole_of(width, "width"), whole_of(height, "height")
    if size != (about.width, about.height):
        said = f"{size[0]} x {size[1]} pixels, the video has {about.width} x {about.height}"
        raise EditError(f"is of pictures of {said}")


def check_count(about: About, frames: int) -> None:
    """Raise EditError where a file has another number of frames than the video."""
    if frames != about.frames:
        raise EditError(f"has {frames} frames, the video has {about.frames}")


def check_frame(frame: ShownFrame, pts: object, seconds: object) -> None:
    """Raise EditError where a file says another time of a frame. What is None or empty, it does not say."""
    if pts not in (None, "") and whole_of(pts, "pts") != frame.pts:
        raise EditError(f"frame {frame.number} has pts {shortened(pts)}, in the video {frame.pts}")
    if seconds not in (None, "") and abs(number_of(seconds, "time") - frame.seconds) > _TIME_ERROR:
        raise EditError(f"frame {frame.number} is at {shortened(seconds)} s, in the video at {frame.seconds:.6f} s")


def shortened(value: object) -> str:
    """What a file says, as far as a line has room for it."""
    return f"{value!r:.60}"
