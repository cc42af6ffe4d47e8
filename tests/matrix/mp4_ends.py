"""The declared end of an MP4 track, read from its boxes without the farm's reader or libavformat."""

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path


def declared_end(path: Path, track: int) -> tuple[Fraction, Fraction] | None:
    """Return the end in seconds and its resolution, for a track with an edit list; None for any other track."""
    for name, body in _boxes(path.read_bytes()):
        if name == b"moov":
            return _of_movie(body, track)
    return None


def _of_movie(movie: bytes, wanted: int) -> tuple[Fraction, Fraction] | None:
    ticks = 0
    for name, body in _boxes(movie):
        if name == b"mvhd":
            ticks = struct.unpack_from(">I", body, 20 if body[0] else 12)[0]
        if name != b"trak" or not ticks:
            continue
        parts = dict(_boxes(body))
        header = parts.get(b"tkhd", b"")
        number, lasts = struct.unpack_from(">I4xQ" if header[0] else ">I4xI", header, 20 if header[0] else 12)
        if number == wanted and b"edts" in parts and lasts:
            return Fraction(lasts, ticks), Fraction(1, ticks)
    return None


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        head = 8
        if length == 1 and at + 16 <= len(data):
            length, head = struct.unpack_from(">Q", data, at + 8)[0], 16
        length = length or len(data) - at
        if length < head:
            return
        yield name, data[at + head : at + length]
        at += length
