"""Writes edit lists of sound that FFmpeg's MP4 muxer cannot: a wait, then a beginning that is in the track, not heard.

The muxer writes one edit, with an empty one before it for a track that begins late. Both are changed in place.
"""

import struct
from collections.abc import Container, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import BinaryIO

from farm.errors import VerificationError
from farm.media.failing import writing
from farm.media.reading.boxes import Box, boxes
from farm.media.reading.hidden_sound import Beginning

_HOLDERS = (b"moov", b"trak", b"edts", b"mdia")
#: Per version of a box: the type of its times, and the offset of its duration or, for ``mdhd``, its timescale.
_TIME = {0: ">I", 1: ">Q"}
_MOVIE_SCALE, _MOVIE_LASTS, _TRACK_LASTS = {0: 12, 1: 20}, {0: 16, 1: 24}, {0: 20, 1: 28}


@dataclass(frozen=True, slots=True)
class Hidden:
    """The beginning of a copied stream that is not heard.

    ``heard``: when the sound begins, ``lasts``: how much of the stream is before that, both in seconds. ``moved``:
    by how many whole seconds the muxer gets the stream later, so that it writes an empty edit.
    """

    heard: Fraction
    lasts: Fraction
    moved: int

    @classmethod
    def of(cls, beginning: Beginning, shift: Fraction) -> "Hidden | None":
        """What has to be written for a stream that is shown ``shift`` seconds earlier; None if the muxer does it."""
        assert beginning.first is not None
        assert beginning.heard is not None
        first, heard = beginning.first - shift, beginning.heard - shift
        # the muxer hides what is before 0: of most sound, an encoder's delay and nothing else
        if beginning.hidden <= 0 or heard < Fraction(1, 1000):
            return None
        return cls(heard, beginning.hidden, max(0, 1 - floor(first)))


def hidden_by_edits(heard: Mapping[int, Beginning], encoded: Container[int], shift: Fraction) -> dict[int, Hidden]:
    """What has to be written for copied streams, by index. ``encoded``: the streams that are not copied."""
    made = {index: Hidden.of(beginning, shift) for index, beginning in heard.items() if index not in encoded}
    return {index: hidden for index, hidden in made.items() if hidden is not None}


def write_hidden(path: Path, hidden: Mapping[int, Hidden]) -> None:
    """Change the edit lists of the file at ``path``. ``hidden``: by the number of the stream in it.

    Raises VerificationError if the file is not laid out as the muxer does it, StorageError where it cannot be written.
    """
    with writing(path), path.open("r+b") as file:
        end = path.stat().st_size
        moov = next((box for box in boxes(file, 0, end) if box.kind == b"moov"), None)
        tracks = [box for box in boxes(file, moov.body, moov.end) if box.kind == b"trak"] if moov else []
        header = _inside(file, moov, b"mvhd") if moov else None
        if header is None or len(tracks) <= max(hidden):
            raise VerificationError(f"{path}: has no tracks to write edit lists into")
        scale, longest = _number(file, header, _MOVIE_SCALE, ">I"), 0
        for number, track in enumerate(tracks):
            parts = [_inside(file, track, kind) for kind in (b"tkhd", b"mdhd", b"elst")]
            if parts[0] is None:
                raise VerificationError(f"{path}: track {number} has no header")
            if number in hidden:
                if parts[1] is None or parts[2] is None:
                    raise VerificationError(f"{path}: track {number} has no edit list")
                ticks = _number(file, parts[1], _MOVIE_SCALE, ">I")
                _write(file, parts[2], parts[0], hidden[number], scale, ticks)
            longest = max(longest, _number(file, parts[0], _TRACK_LASTS))
        _store(file, header, _MOVIE_LASTS, longest)


def _write(file: BinaryIO, edits: Box, header: Box, hidden: Hidden, scale: int, ticks: int) -> None:
    """Write one edit list, and how long its track lasts."""
    file.seek(edits.body)
    version, count = file.read(4)[0], struct.unpack(">I", file.read(4))[0]
    form = ">Iihh" if version == 0 else ">Qqhh"
    rows = [struct.unpack(form, file.read(struct.calcsize(form))) for _ in range(count)]
    if count != 2 or rows[0][1] != -1:
        raise VerificationError("an edit list that is written is not the muxer's: no empty edit, then another one")
    waits, hides = round(hidden.heard * scale), round(hidden.lasts * ticks)
    lasts = max(1, rows[1][0] - round(hidden.lasts * scale))
    try:
        written = struct.pack(form, waits, -1, 1, 0) + struct.pack(form, lasts, rows[1][1] + hides, 1, 0)
    except struct.error as error:
        raise VerificationError("an edit list cannot hold when the source's sound is heard") from error
    file.seek(edits.body + 8)
    file.write(written)
    _store(file, header, _TRACK_LASTS, waits + lasts)


def _inside(file: BinaryIO, box: Box, kind: bytes) -> Box | None:
    """The first box of a kind anywhere inside another."""
    for inner in boxes(file, box.body, box.end):
        if inner.kind == kind:
            return inner
        if inner.kind in _HOLDERS and (found := _inside(file, inner, kind)) is not None:
            return found
    return None


def _number(file: BinaryIO, box: Box, offsets: Mapping[int, int], form: str = "") -> int:
    file.seek(box.body)
    version = min(1, file.read(1)[0])
    form = form or _TIME[version]
    file.seek(box.body + offsets[version])
    return int(struct.unpack(form, file.read(struct.calcsize(form)))[0])


def _store(file: BinaryIO, box: Box, offsets: Mapping[int, int], value: int) -> None:
    file.seek(box.body)
    version = min(1, file.read(1)[0])
    if version == 0 and value >= 2**32:
        return  # the muxer has written that it is not known
    file.seek(box.body + offsets[version])
    file.write(struct.pack(_TIME[version], value))
