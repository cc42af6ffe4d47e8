"""Limits on how many tags a file may hold, checked before libavformat reads them.

Its time for that grows with the square of their number: 16,000 tags take 8 s, 60,000 more than half a minute, each time
that the file is opened (measured, FFmpeg 8).
"""

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from av.container import InputContainer

from farm.errors import SourceError
from farm.media.failing import reading
from farm.media.reading.boxes import boxes, walk
from farm.media.reading.integrity import SEGMENT, UNKNOWN, element_at

MOST_TAGS = 4000
_LARGEST = 64 << 20  # bytes of tags
_TAGS, _SIMPLE_TAG = 0x1254C367, b"\x67\xc8"
_EBML = b"\x1a\x45\xdf\xa3"


def refuse_many_tags(path: Path) -> None:
    """Raise SourceError for a Matroska, MP4 or QuickTime file with more tags than :data:`MOST_TAGS`."""
    with reading(path, SourceError, "cannot be read"), path.open("rb") as file:
        matroska = file.read(4) == _EBML
        parts = _matroska(file) if matroska else _mp4(file)
        _check(path, sum(_tags(file, start, end, matroska=matroska) for start, end in parts))


def refuse_many_opened(path: Path, container: InputContainer) -> None:
    """The same for an opened file of any format."""
    _check(path, sum(len(owner.metadata) for owner in (container, *container.streams)))


def _check(path: Path, count: int) -> None:
    if count > MOST_TAGS:
        raise SourceError(
            f"{path}: holds {count} metadata tags; at most {MOST_TAGS} can be read",
            hint="remove them, for example: ffmpeg -i IN -map 0 -map_metadata -1 -c copy OUT",
        )


def _tags(file: BinaryIO, start: int, end: int, *, matroska: bool) -> int:
    if end - start > _LARGEST:
        return end - start
    file.seek(start)
    content = file.read(end - start)
    if matroska:
        return content.count(_SIMPLE_TAG)
    at = content.find(b"ilst")  # whether "meta" has a version before its boxes depends on who wrote it
    lists = boxes(io.BytesIO(content), max(at - 4, 0), len(content)) if at >= 0 else iter(())
    (inner, stop) = next(((box.body, box.end) for box in lists), (0, 0))
    return sum(1 for _ in boxes(io.BytesIO(content), inner, stop))


def _matroska(file: BinaryIO) -> Iterator[tuple[int, int]]:
    """The places of all tags, up to the first element of unknown size."""
    at, size = 0, os.fstat(file.fileno()).st_size
    while at < size and (header := element_at(file, at)):
        kind, body, length = header
        if kind == SEGMENT:
            at = body
            continue
        if length == UNKNOWN:
            return
        if kind == _TAGS:
            yield body, body + length
        at = body + length


def _mp4(file: BinaryIO) -> Iterator[tuple[int, int]]:
    for box in walk(file, os.fstat(file.fileno()).st_size, (b"moov", b"trak")):
        if box.kind in (b"udta", b"meta"):
            yield box.body, box.end
