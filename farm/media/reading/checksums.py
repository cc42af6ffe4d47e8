"""Checksums that a container holds of its own contents: they show damage which decoders do not notice.

Most decoders do not: of 60 flipped bits each, HEVC's, VP8's, VP9's and FFV1's let 59 or more pass (measured, FFmpeg 8).
"""

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from farm.errors import SourceError
from farm.media.failing import reading
from farm.media.reading.integrity import vint

_SEGMENT = 0x18538067
_CLUSTER = 0x1F43B675
_CRC = b"\xbf\x84"  # the element's name and its size of four bytes
_PIECE = 1 << 20


def broken_checksum(path: Path, container: str) -> int | None:
    """The place of the first cluster whose CRC-32 is not that of its contents (RFC 8794, 11.3.1), None without one.

    Only Matroska and WebM have any, and not all: FFmpeg writes them. ``container``: FFmpeg's name.
    """
    if not container.startswith("matroska"):
        return None
    with reading(path, SourceError, "cannot be read"), path.open("rb") as file:
        for at, body, length in _clusters(file):
            file.seek(body)
            head = file.read(6)
            if length > 6 and head[:2] == _CRC and _crc(file, length - 6) != int.from_bytes(head[2:], "little"):
                return at
    return None


def _clusters(file: BinaryIO) -> Iterator[tuple[int, int, int]]:
    """Place, place of the contents and length of each cluster; where a size is unknown there is no telling."""
    at = 0
    while True:
        file.seek(at)
        head = file.read(12)
        element, id_length = vint(head, keep_marker=True)
        length, size_length = vint(head[id_length:], keep_marker=False)
        if not id_length or not size_length:
            return
        body = at + id_length + size_length
        if element == _SEGMENT:
            at = body
            continue
        if length < 0:
            return
        if element == _CLUSTER:
            yield at, body, length
        at = body + length


def _crc(file: BinaryIO, length: int) -> int:
    value = 0
    while length > 0 and (piece := file.read(min(length, _PIECE))):
        value = zlib.crc32(piece, value)
        length -= len(piece)
    return value
