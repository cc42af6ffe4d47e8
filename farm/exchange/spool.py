"""Boxes in any order, sorted on disk: files go track by track, masks frame by frame."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from itertools import groupby
from operator import itemgetter

from farm.domain.geometry import Box, interpolated
from farm.domain.options import Override
from farm.domain.polygon import Polygon, polygon_of
from farm.domain.track import TrackedBox
from farm.errors import EditError
from farm.exchange.base import Found, Frames

_TABLES = """
CREATE TABLE boxes (region INTEGER, frame INTEGER, x REAL, y REAL, w REAL, h REAL, kind TEXT, score REAL,
  own TEXT, shown INTEGER, lasts INTEGER, PRIMARY KEY (region, frame)) WITHOUT ROWID;
CREATE TABLE listed (number INTEGER PRIMARY KEY);
CREATE TABLE regions (region INTEGER PRIMARY KEY, number INTEGER, kind TEXT);
CREATE TABLE filled (frame INTEGER, region INTEGER, x REAL, y REAL, w REAL, h REAL, kind TEXT, score REAL,
  own TEXT);
"""


class Spool:
    """A table of boxes in a temporary file of SQLite's, which is gone when it is closed.

    ``named``: regions are tracks. Otherwise boxes belong together in no way, and are numbered in each frame.
    """

    def __init__(self) -> None:
        self.named = True
        self._base = sqlite3.connect("", isolation_level=None)
        self._base.executescript(_TABLES)
        self._base.execute("BEGIN")

    def close(self) -> None:
        """Delete it."""
        self._base.close()

    def take(self, found: Iterable[Found]) -> None:
        """Take boxes. Raises EditError for two of one region in one frame, and what ``found`` raises."""
        last: list[Found] = []

        def rows() -> Iterator[tuple[object, ...]]:
            for one in found:
                last[:] = [one]
                yield (
                    one.region, one.frame, one.box.x, one.box.y, one.box.w, one.box.h, one.kind, one.score, _own(one),
                    one.shown, one.lasts,
                )  # fmt: skip

        try:
            self._base.executemany("INSERT INTO boxes VALUES (?,?,?,?,?,?,?,?,?,?,?)", rows())
        except sqlite3.IntegrityError as e:
            raise EditError(f"frame {last[0].frame} has track {last[0].region} twice") from e

    def take_frames(self, frames: Frames) -> None:
        """Take the boxes of the farm's own frames. Raises what ``frames`` raises."""
        self.take(
            Found(f.number, b.track, b.box, b.kind, b.score, b.override, b.polygon) for f in frames() for b in f.boxes
        )

    def name(self, region: int, number: int | None, kind: str | None = None) -> None:
        """Say which track a region is; None: one that the file adds. ``kind``: of its boxes, where they do not say."""
        self._base.execute("INSERT OR REPLACE INTO regions VALUES (?, ?, ?)", (region, number, kind))

    def drop(self, region: int) -> None:
        """Forget a region."""
        self._base.execute("DELETE FROM boxes WHERE region = ?", (region,))

    def listed(self, numbers: Iterable[int]) -> tuple[int, int, int]:
        """The least and the greatest of the numbers of frames in a list, and how many there are.

        Raises EditError where one is there twice, and what ``numbers`` raises.
        """
        last = [0]

        def rows() -> Iterator[tuple[int]]:
            for last[0] in numbers:
                yield (last[0],)

        try:
            self._base.executemany("INSERT INTO listed VALUES (?)", rows())
        except sqlite3.IntegrityError as e:
            raise EditError(f"frame {last[0]} is there twice") from e
        low, high, count = self._base.execute("SELECT min(number), max(number), count(*) FROM listed").fetchone()
        return low or 0, high or 0, count

    def bounds(self) -> tuple[int, int] | None:
        """The numbers of the first and the last frame that has a box; None without any."""
        first, last = self._base.execute("SELECT min(frame), max(frame) FROM boxes").fetchone()
        return None if first is None else (first, last)

    def tracks(self) -> Iterator[tuple[int, Iterator[Found]]]:
        """Each region with its boxes in order."""
        rows = self._base.execute("SELECT * FROM boxes ORDER BY region, frame")
        for region, mine in groupby(rows, key=itemgetter(0)):
            yield region, (_found(row) for row in mine)

    def frames(self, first: int, count: int) -> Iterator[tuple[TrackedBox, ...]]:
        """The boxes of each of ``count`` frames from number ``first`` on, ordered by track.

        What lies between two boxes of a region, where the first one lasts, is interpolated.
        """
        self._fill(first + count)
        self._number()
        rows = self._base.execute(
            "SELECT f.frame, coalesce(r.number, f.region), f.x, f.y, f.w, f.h, coalesce(r.kind, f.kind), f.score,"
            " f.own FROM filled f LEFT JOIN regions r USING (region) ORDER BY 1, 2, f.region"
        )
        grouped = groupby(rows, key=itemgetter(0))
        ready = next(grouped, None)
        for number in range(first, first + count):
            boxes: tuple[TrackedBox, ...] = ()
            if ready is not None and ready[0] == number:
                boxes = tuple(
                    TrackedBox(r[1] if self.named else place, Box(*r[2:6]), r[6], r[7], *_own_of(r[8]))
                    for place, r in enumerate(ready[1], 1)
                )  # fmt: skip
                ready = next(grouped, None)
            yield boxes

    def _fill(self, end: int) -> None:
        self._base.executemany("INSERT INTO filled VALUES (?,?,?,?,?,?,?,?,?)", self._between(end))
        self._base.execute("CREATE INDEX by_frame ON filled (frame, region)")

    def _between(self, end: int) -> Iterator[tuple[object, ...]]:
        for region, boxes in self.tracks():
            before: Found | None = None
            for one in boxes:
                if before is not None:
                    yield from _rows(region, before, one, one.frame)
                before = one
            if before is not None:
                yield from _rows(region, before, before, end)

    def _number(self) -> None:
        """Give regions that the file adds, and those whose number another one has in the same frame, a number."""
        free = self._base.execute(
            "SELECT 1 + max(0, (SELECT coalesce(max(number), 0) FROM regions),"
            " (SELECT coalesce(max(region), 0) FROM boxes WHERE region NOT IN (SELECT region FROM regions)))"
        ).fetchone()[0]
        twice = (
            "SELECT DISTINCT b.region FROM filled a JOIN filled b ON a.frame = b.frame AND a.region < b.region"
            " JOIN regions ra ON ra.region = a.region JOIN regions rb ON rb.region = b.region"
            " WHERE ra.number = rb.number"
        )
        new = f"SELECT region FROM regions WHERE number IS NULL UNION {twice} ORDER BY 1"  # noqa: S608 - all of it is above
        for number, (region,) in enumerate(self._base.execute(new).fetchall(), free):
            self._base.execute("UPDATE regions SET number = ? WHERE region = ?", (number, region))


def _found(row: tuple[object, ...]) -> Found:
    region, frame, x, y, w, h, kind, score, said, shown, lasts = row
    return Found(
        int(str(frame)), int(str(region)), Box(*(float(str(n)) for n in (x, y, w, h))), str(kind), float(str(score)),
        *_own_of(said), bool(shown), bool(lasts),
    )  # fmt: skip


def _own(one: Found) -> str | None:
    """How a box is covered in its own way, as JSON."""
    if one.override is None and one.polygon is None:
        return None
    return json.dumps([one.override and asdict(one.override), one.polygon and one.polygon.row()])


def _own_of(text: object) -> tuple[Override | None, Polygon | None]:
    """Parse :func:`_own`."""
    said, corners = json.loads(str(text)) if text else (None, None)
    return Override(**said) if said else None, polygon_of(corners) if corners else None


def _rows(region: int, one: Found, after: Found, end: int) -> Iterator[tuple[object, ...]]:
    """A box in its own frame and, where it lasts, in those before ``end``, on its way to the next box."""
    if not one.shown:
        return
    length = after.frame - one.frame
    for frame in range(one.frame, end if one.lasts else min(one.frame + 1, end)):
        box = (
            interpolated(one.box, after.box, (frame - one.frame) / length) if length and frame > one.frame else one.box
        )
        here = frame == one.frame
        own, score = (_own(one), one.score) if here else (_own(replace(one, polygon=None)), 0.0)
        yield frame, region, box.x, box.y, box.w, box.h, one.kind, score, own
