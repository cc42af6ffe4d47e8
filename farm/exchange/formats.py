"""The formats of masks in files, and which one a file has."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from farm.domain.track import TrackedBox
from farm.errors import EditError, StorageError
from farm.exchange import coco, cvat, labelstudio, own, table
from farm.exchange.base import LARGEST, About, Frames, ShownFrame
from farm.exchange.spool import Spool

_PEEK = 4096


@dataclass(frozen=True, slots=True)
class Format:
    """A format. ``write`` it, and ``read`` a file's boxes into a spool: returns the number of the first frame there.

    ``beside``: it carries no times of frames without boxes, so a table of frames goes beside a file; ``needed``: and
    without that, a file does not say which video it is about. ``styles``: it carries how boxes are covered.
    """

    name: str
    suffix: str
    write: Callable[[TextIO, About, Frames], None]
    read: Callable[[Path, About, Iterator[ShownFrame], Spool], int]
    beside: bool = True
    needed: bool = False
    styles: bool = True


FORMATS = {
    one.name: one
    for one in (
        Format("json", ".json", own.write, own.read, beside=False),
        Format("csv", ".csv", table.write, table.read, beside=False),
        Format("coco", ".json", coco.write, coco.read),
        Format("mot", ".txt", table.write_mot, table.read_mot, needed=True, styles=False),
        Format("cvat", ".xml", cvat.write, cvat.read),
        Format("labelstudio", ".json", labelstudio.write, labelstudio.read),
    )
}


def format_named(name: str) -> Format:
    """The format of this name. Raises EditError."""
    if name.lower() not in FORMATS:
        raise EditError(f"{name!r:.40} is no format of masks", hint=f"use {', '.join(FORMATS)}")
    return FORMATS[name.lower()]


def format_of(path: Path) -> Format:
    """The format of a file, by its suffix and its beginning. Raises EditError, OSError."""
    suffix = path.suffix.lower()
    if suffix == ".json":
        with path.open("rb") as file:
            begins = file.read(_PEEK).lstrip()
        name = "labelstudio" if begins.startswith(b"[") else "json" if own.MARK.encode() in begins else "coco"
        return FORMATS[name]
    for one in FORMATS.values():
        if one.suffix == suffix:
            return one
    raise EditError(f"{path}: its format is not known by its name", hint=f"use --format: {', '.join(FORMATS)}")


def table_beside(path: Path) -> Path:
    """Where the table of frames of a file is."""
    return path.with_name(f"{path.stem}.frames.csv")


def read_masks(
    path: Path, form: Format | None, about: About, frames: Frames
) -> Iterator[tuple[ShownFrame, tuple[TrackedBox, ...]]]:
    """Each frame of a video with the boxes that a file has for it, on the picture as shown, ordered by track.

    ``form``: None: by the file's name and content. ``frames``: of the video; their own boxes are not looked at. Memory
    grows neither with the file nor with the video. Raises EditError for a file that is damaged, or not about this
    video, StorageError where the temporary folder is full.
    """
    try:
        _check_length(path)
        form = form or format_of(path)
        if form.beside:
            _check_beside(path, form, about, frames)
        with closing(Spool()) as spool:
            first = form.read(path, about, frames(), spool)
            _check_bounds(spool, first, about)
            yield from zip(frames(), spool.frames(first, about.frames), strict=True)
    except EditError as e:
        raise EditError(e.message if path.name in e.message else f"{path}: {e.message}", hint=e.hint) from e
    except OSError as e:
        raise EditError(f"{path}: cannot be read: {e.strerror}") from e
    except sqlite3.Error as e:
        raise StorageError(f"{path}: cannot be sorted: {e}", hint="free some space in the temporary folder") from e


def _check_length(path: Path) -> None:
    if not path.is_file():
        raise EditError("is no file")
    size = path.stat().st_size
    if size > LARGEST:
        hint = "that is 50 faces in every frame of an hour"
        raise EditError(f"has {size} bytes; {LARGEST} are read at most", hint=hint)


def _check_beside(path: Path, form: Format, about: About, frames: Frames) -> None:
    beside = table_beside(path)
    if beside.exists():
        table.check_frames(beside, about, frames())
    elif form.needed:
        hint = "`farm detections` writes it: frame (from 0) and time of every frame"
        raise EditError(f"{form.name} needs the table {beside.name} beside it, to know the frames", hint=hint)


def _check_bounds(spool: Spool, first: int, about: About) -> None:
    """Raise EditError for a box in a frame that the video does not have."""
    found = spool.bounds()
    if found is not None and (found[0] < first or found[1] >= first + about.frames):
        wrong = found[0] if found[0] < first else found[1]
        raise EditError(f"has a box in frame {wrong}; the video has frames {first} to {first + about.frames - 1}")
