"""Tables: CSV with a line per box, the format of MOTChallenge, and the table of frames beside formats without times."""

import csv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TextIO

from farm.domain.detection import FACE, PLATE
from farm.errors import EditError
from farm.exchange.base import (
    About,
    Found,
    Frames,
    ShownFrame,
    box_of,
    check_count,
    check_frame,
    extras,
    found_of,
    kind_of,
    number_of,
    text_of,
    track_of,
    whole_of,
)
from farm.exchange.bounded import lines
from farm.exchange.spool import Spool

_BOX = ("x", "y", "w", "h")
_STYLE = ("style", "shape", "margin", "polygon")
_COLUMNS = ("frame", "pts", "time", "track", "kind", *_BOX, "score", *_STYLE)
_FRAME_COLUMNS = ("frame", "pts", "time")
#: The classes of MOT files, from 1.
_CLASSES = (FACE, PLATE)
#: MOT has tracks from 1 on; boxes that edits added, which have numbers below 0, are above this.
_ADDED = 1_000_000_000


def write(out: TextIO, _about: About, frames: Frames) -> None:
    """Write a line per box, and one for a frame without any."""
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(_COLUMNS)
    for frame in frames():
        time = [frame.number, frame.pts, f"{frame.seconds:.6f}"]
        for b in frame.boxes:
            said = extras(b)
            box = [text_of(n) for n in (b.box.x, b.box.y, b.box.w, b.box.h)]
            rows.writerow([*time, b.track, b.kind, *box, b.score, *(said.get(name, "") for name in _STYLE)])
        if not frame.boxes:
            rows.writerow([*time, *[""] * (len(_COLUMNS) - len(time))])


def read(path: Path, about: About, frames: Iterator[ShownFrame], spool: Spool) -> int:
    """Take the boxes of a file; returns the number of its first frame. Raises EditError, OSError."""
    spool.take(_found(path, about, frames))
    return 0


def _found(path: Path, about: About, frames: Iterator[ShownFrame]) -> Iterator[Found]:
    number, place, alone = -1, 0, True
    for row in _rows(path, _COLUMNS, ("frame", *_BOX)):
        empty = not any(row[name] for name in _BOX)
        if _next_frame(row, number, frames, about):
            number, place, alone = number + 1, 0, empty
        elif alone or empty:
            raise EditError(f"frame {number} is there twice, once without a box")
        if not empty:
            place += 1
            where = f"frame {number}, box {place}"
            track, kind = track_of(row.get("track") or place), kind_of(row.get("kind") or FACE, where)
            yield found_of(number, track, [row[name] for name in _BOX], row, where, kind)
    check_count(about, number + 1)


def _next_frame(row: dict[str, str], before: int, frames: Iterator[ShownFrame], about: About) -> bool:
    """Whether a row is of the frame after ``before``; False for the same one. Raises EditError for any other."""
    number = whole_of(row["frame"], "frame")
    if number == before:
        return False
    if number <= before:
        raise EditError(f"frame {number} is after frame {before}, or in two places", hint="sort the lines by frame")
    if number != before + 1:
        raise EditError(f"frame {before + 1} is missing before frame {number}", hint="sort the lines by frame")
    frame = next(frames, None)
    if frame is None:
        raise EditError(f"has more than the {about.frames} frames of the video")
    check_frame(frame, row.get("pts"), row.get("time"))
    return True


def write_frames(out: TextIO, frames: Frames) -> None:
    """Write the table of frames."""
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(_FRAME_COLUMNS)
    for frame in frames():
        rows.writerow([frame.number, frame.pts, f"{frame.seconds:.6f}"])


def check_frames(path: Path, about: About, frames: Iterator[ShownFrame]) -> None:
    """Raise EditError unless a table of frames is that of the video, OSError."""
    number = -1
    for row in _rows(path, _FRAME_COLUMNS, ("frame", "time")):
        if not _next_frame(row, number, frames, about):
            raise EditError(f"frame {number} is there twice")
        number += 1
    check_count(about, number + 1)


def write_mot(out: TextIO, _about: About, frames: Frames) -> None:
    """Write a line per box: frame from 1, track from 1, x, y, width, height, score, class, visibility."""
    rows = csv.writer(out, lineterminator="\n")
    for frame in frames():
        for b in frame.boxes:
            box = [text_of(n) for n in (b.box.x, b.box.y, b.box.w, b.box.h)]
            track = b.track + 1 if b.track >= 0 else _ADDED - b.track
            rows.writerow([frame.number + 1, track, *box, b.score, 1 + _CLASSES.index(b.kind), 1])


def read_mot(path: Path, _about: About, _frames: Iterator[ShownFrame], spool: Spool) -> int:
    """Take the boxes of a file; returns the number of its first frame. Raises EditError, OSError."""
    spool.take(_found_mot(path))
    return 1


def _found_mot(path: Path) -> Iterator[Found]:
    frame = place = 0
    with _opened(path) as file:
        for row in csv.reader(lines(file)):
            if not row:
                continue
            where = f"line {' '.join(row):.40}"
            if len(row) not in (6, 7, 9, 10):
                raise EditError(f"{where}: a line of MOT has 6, 7, 9 or 10 numbers, separated by commas")
            number, track = whole_of(row[0], "frame"), track_of(row[1])
            frame, place = (number, place + 1) if number == frame else (number, 1)
            score = number_of(row[6], f"{where}: the score") if len(row) > 6 else 0.0
            kind = _class(row[7], where) if len(row) == 9 else FACE  # with 10 numbers, those are x, y, z
            track = track - 1 if 0 < track <= _ADDED else _ADDED - track if track > 0 else place - 1
            yield Found(number, track, box_of(list(row[2:6]), where), kind, min(max(score, 0.0), 1.0))


def _class(text: str, where: str) -> str:
    number = whole_of(text, f"{where}: the class")
    if number != -1 and not 1 <= number <= len(_CLASSES):
        raise EditError(f"{where}: class {number}; 1 is {FACE}, 2 is {PLATE}")
    return _CLASSES[max(number, 1) - 1]


def _rows(path: Path, columns: tuple[str, ...], needed: tuple[str, ...]) -> Iterator[dict[str, str]]:
    """The rows of a CSV file whose first line names its columns. Raises EditError for other columns."""
    with _opened(path) as file:
        rows = csv.reader(lines(file))
        names = next(rows, [])
        wrong = [n for n in names if n not in columns] or [n for n in needed if n not in names]
        if wrong or len(set(names)) != len(names):
            more = [column for column in columns if column not in needed]
            have = f"needs the columns {', '.join(needed)}, and may have {', '.join(more)}"
            hint = "save it with commas between the columns" if len(names) == 1 else None
            raise EditError(f"{path.name} {have}; its first line is {','.join(names)!r:.80}", hint=hint)
        for row in rows:
            if row and len(row) != len(names):
                raise EditError(f"line {rows.line_num} has {len(row)} columns, not {len(names)}")
            if row:
                yield dict(zip(names, row, strict=True))


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    """A table as text. Raises EditError for what is none."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield file
    except UnicodeDecodeError as e:
        raise EditError(f"{path.name} is no text in UTF-8", hint="save it as CSV in UTF-8") from e
    except csv.Error as e:
        raise EditError(f"{path.name} is no table: {e}") from e
