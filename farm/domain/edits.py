"""Edits: what a person or a rule says of a job's masks. Which masks follow from them: :mod:`farm.domain.masks`.

Nothing is overwritten: an edit is undone by another one. An edit of a track is anchored to one of the track's boxes at
a time, not to its number, so that it is found again in other tracks of the same video.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from math import isfinite
from typing import Any

from farm.domain.artefacts import digest_in, is_image
from farm.domain.detection import FACE, PLATE
from farm.domain.geometry import Box
from farm.domain.options import Override, override
from farm.domain.polygon import Area, Polygon, polygon_of
from farm.errors import SettingsError

#: The largest coordinate or size, in pixels, that an edit may name.
_FARTHEST = 1_000_000
#: The most corners of a polygon.
MOST_CORNERS = 100
_LONGEST_TEXT = 1000


class Action(StrEnum):
    """What an edit does.

    ``cover``: cover a box or a polygon, whose key frames are interpolated; ``ignore``: cover nothing that lies wholly
    inside one; ``only``: cover nothing that lies wholly outside a box, or all such boxes; ``drop``: a track is none (a
    false alarm); ``keep``: a face that may be seen; ``restore``: cover a track again; ``style``: cover a track in
    another way; ``replace``: the masks are what a file says, and earlier edits of masks have no effect; ``mute``,
    ``beep``: all sound of a span is silent, or a tone; ``undo``: another edit has no effect.
    """

    COVER = "cover"
    IGNORE = "ignore"
    DROP = "drop"
    KEEP = "keep"
    RESTORE = "restore"
    STYLE = "style"
    ONLY = "only"
    REPLACE = "replace"
    MUTE = "mute"
    BEEP = "beep"
    UNDO = "undo"


#: Edits of one track.
OF_TRACKS = (Action.DROP, Action.KEEP, Action.RESTORE, Action.STYLE)
#: Edits of the sound; no mask depends on them.
OF_SOUND = (Action.MUTE, Action.BEEP)
#: Edits that have no box.
_BOXLESS = (*OF_SOUND, Action.REPLACE, Action.UNDO)


@dataclass(frozen=True, slots=True)
class KeyFrame:
    """A box, in pixels of the coded picture, at a time (pts). ``polygon``: what was drawn, where that is one."""

    pts: int
    box: Box
    polygon: Polygon | None = None

    @classmethod
    def of(cls, pts: int, area: Area) -> "KeyFrame":
        """The key frame of what was drawn."""
        return cls(pts, area) if isinstance(area, Box) else cls(pts, area.bounds, area)

    @property
    def area(self) -> Area:
        """What was drawn."""
        return self.polygon or self.box

    def row(self) -> list[Any]:
        """As JSON: [pts, x, y, w, h] or [pts, corners]."""
        box = self.box
        return [self.pts, self.polygon.row()] if self.polygon else [self.pts, box.x, box.y, box.w, box.h]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """One edit. ``number``: its place among the edits of its job, from 1; ``at``: seconds since the epoch.

    - ``begins``, ``ends``: the pts between which it holds; None: from the beginning, to the end.
    - ``where``: of ``cover`` its key frames, in order; all boxes, or all polygons of as many corners; of
      ``ignore`` and ``only`` one, at any time; of edits of a track the anchor.
    - ``track``: the number that the track had then, for people.
    - ``kind``: of what ``cover`` covers, as of a detection.
    - ``override``: of ``cover`` and ``style``, how it is covered.
    - ``undoes``: the number of the edit that ``undo`` undoes.
    - ``masks``: the key of the artefact that ``replace`` takes the masks from.
    """

    action: Action
    number: int = 0
    at: float = 0.0
    author: str = ""
    reason: str = ""
    begins: int | None = None
    ends: int | None = None
    where: tuple[KeyFrame, ...] = ()
    track: int | None = None
    kind: str = FACE
    override: Override | None = None
    undoes: int | None = None
    masks: str | None = None

    def body(self) -> dict[str, Any]:
        """What it does, as JSON: all but its number, time, author and reason."""
        row: dict[str, Any] = {"action": self.action.value, "from": self.begins, "to": self.ends}
        row["where"] = [key.row() for key in self.where]
        row["override"] = self.override and asdict(self.override)
        row |= {"track": self.track, "kind": self.kind, "undoes": self.undoes}
        return row | ({} if self.masks is None else {"masks": self.masks})  # the digests of other edits stay the same


def load_edit(body: Mapping[str, Any], **said: Any) -> Edit:  # noqa: ANN401 - number, at, author and reason of Edit
    """An edit from its :meth:`Edit.body`. ``said``: the rest. Raises ValueError with a line for the user."""
    unknown = set(body) - {"action", "from", "to", "where", "track", "kind", "override", "undoes", "masks"}
    if unknown:
        raise ValueError(f"an edit has no {', '.join(sorted(unknown))}")
    try:
        action = Action(str(body.get("action")))
    except ValueError:
        raise ValueError(f"no edit is called {body.get('action')!r}; use {', '.join(Action)}") from None
    edit = Edit(
        action=action,
        begins=_whole(body.get("from"), "from"),
        ends=_whole(body.get("to"), "to"),
        where=tuple(key_frame(row) for row in body.get("where") or ()),
        track=_whole(body.get("track"), "track"),
        kind=body.get("kind") or FACE,
        override=_override(body.get("override")),
        undoes=_whole(body.get("undoes"), "undoes"),
        masks=body.get("masks"),
        **said,
    )
    check_edit(edit)
    return edit


def check_edit(edit: Edit) -> None:
    """Raise ValueError, with a line for the user, for an edit that means nothing."""
    if edit.kind not in (FACE, PLATE):
        raise ValueError(f"{edit.kind!r}: no kind of box; use {FACE} or {PLATE}")
    if edit.begins is not None and edit.ends is not None and edit.begins >= edit.ends:
        raise ValueError("an edit ends after it begins")
    pts = [key.pts for key in edit.where]
    if pts != sorted(set(pts)):
        raise ValueError("key frames are in order of time, one for each time")
    wanted = 0 if edit.action in _BOXLESS else 1
    if len(pts) < wanted or (len(pts) > wanted and edit.action is not Action.COVER):
        raise ValueError(f"{edit.action.value} takes {'no box' if not wanted else 'one box'}")
    if edit.action in OF_TRACKS and edit.where[0].polygon:
        raise ValueError(f"{edit.action.value} takes one box")
    if len({key.polygon and len(key.polygon.corners) for key in edit.where}) > 1:
        raise ValueError("key frames are all boxes, or all polygons with as many corners")
    if edit.override is None and edit.action is Action.STYLE:
        raise ValueError("style says how a track is covered: style, shape or margin")
    if edit.override is not None and edit.action not in (Action.STYLE, Action.COVER):
        raise ValueError(f"{edit.action.value} has no style")
    if (edit.undoes is None) == (edit.action is Action.UNDO):
        raise ValueError("undo, and nothing else, names the edit that it undoes")
    if bool(edit.masks and digest_in(edit.masks)) != (edit.action is Action.REPLACE):
        raise ValueError("replace, and nothing else, names the masks that it takes")
    check_text(edit.author, edit.reason)


def check_text(*texts: str) -> None:
    """Raise ValueError, with a line for the user, for an author or a reason that cannot be kept."""
    for text in texts:
        if len(text) > _LONGEST_TEXT:
            raise ValueError(f"an author or a reason has at most {_LONGEST_TEXT} characters")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise ValueError("an author or a reason has characters that are none") from None


def effective(edits: Iterable[Edit]) -> tuple[Edit, ...]:
    """The edits that were not undone, in order. To undo an ``undo`` is to redo."""
    undone: set[int | None] = set()
    left = []
    for edit in sorted(edits, key=lambda e: e.number, reverse=True):
        if edit.number in undone:
            continue
        if edit.action is Action.UNDO:
            undone.add(edit.undoes)
        else:
            left.append(edit)
    return tuple(reversed(left))


def of_masks(edits: Iterable[Edit]) -> tuple[Edit, ...]:
    """The edits that were not undone and say what is covered, in order."""
    return tuple(edit for edit in effective(edits) if edit.action not in OF_SOUND)


def based(edits: Sequence[Edit]) -> tuple[str | None, Sequence[Edit]]:
    """The key of the masks that the last ``replace`` of some edits names, and the edits that apply to them.

    None, and all, where there is no such edit: they apply to the tracks.
    """
    for at in range(len(edits) - 1, -1, -1):
        if edits[at].action is Action.REPLACE:
            return edits[at].masks, edits[at + 1 :]
    return None, edits


def digest_of(edits: Sequence[Edit]) -> str:
    """The SHA-256 of what edits do."""
    text = json.dumps([[edit.number, edit.body()] for edit in edits], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _whole(value: object, name: str) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    raise ValueError(f"{name}: {value!r} is not a whole number")


def _override(row: object) -> Override | None:
    """How a box is covered, as JSON says it; what is said is checked as the options of a job are."""
    if row is None:
        return None
    names = {field.name for field in fields(Override)}
    if not isinstance(row, dict) or not row.keys() <= names or not any(v is not None for v in row.values()):
        raise ValueError(f"{row!r:.80}: a style has {', '.join(sorted(names))}")
    said = {name: value for name, value in row.items() if value is not None}
    if "image" in said and not is_image(str(said["image"])):
        raise ValueError(f"{said['image']!r:.80}: no picture in the store")
    try:
        return override(said)
    except SettingsError as e:
        raise ValueError(str(e)) from e


def key_frame(row: Any) -> KeyFrame:  # noqa: ANN401 - JSON
    """Parse :meth:`KeyFrame.row`. Raises ValueError with a line for the user."""
    listed = isinstance(row, Sequence) and not isinstance(row, str)
    if not listed or len(row) not in (2, 5) or _whole(row[0], "time") is None:
        raise ValueError(f"{row!r:.80}: a key frame is [time, x, y, w, h] or [time, [[x, y], ...]]")
    return KeyFrame.of(row[0], checked_box(row[1:]) if len(row) == 5 else checked_polygon(row[1]))


def checked_box(numbers: Sequence[Any]) -> Box:
    """The box x, y, w, h. Raises ValueError, with a line for the user, for what is none."""
    if len(numbers) != 4 or not all(map(_is_number, numbers)):
        raise ValueError("a box is four numbers: x, y, width and height")
    if not all(map(_is_near, numbers)):
        raise ValueError(f"a box has numbers of at most {_FARTHEST}")
    box = Box(*map(float, numbers)).rounded()
    if box.w <= 0 or box.h <= 0:
        raise ValueError("a box has a width and a height above 0")
    return box


def checked_polygon(corners: Any) -> Polygon:  # noqa: ANN401 - JSON
    """The polygon with these corners, [x, y] each. Raises ValueError, with a line for the user, for what is none."""
    if not isinstance(corners, Sequence) or isinstance(corners, str) or not all(map(_is_corner, corners)):
        raise ValueError("a polygon has corners of two numbers each: x and y")
    if not 3 <= len(corners) <= MOST_CORNERS:
        raise ValueError(f"a polygon has 3 to {MOST_CORNERS} corners, not {len(corners)}")
    if not all(_is_near(n) for corner in corners for n in corner):
        raise ValueError(f"a polygon has numbers of at most {_FARTHEST}")
    polygon = polygon_of(corners).rounded()
    if polygon.bounds.w <= 0 or polygon.bounds.h <= 0:
        raise ValueError("a polygon has a width and a height above 0")
    return polygon


def _is_corner(corner: Any) -> bool:  # noqa: ANN401 - JSON
    return isinstance(corner, Sequence) and not isinstance(corner, str) and [*map(_is_number, corner)] == [True, True]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_near(number: float) -> bool:
    return isfinite(number) and abs(number) <= _FARTHEST
