"""The boxes of MP4 and QuickTime files (ISO/IEC 14496-12, 4.2), read without trusting their sizes."""

import struct
from collections.abc import Container, Iterator
from dataclasses import dataclass
from typing import BinaryIO

#: The deepest nesting, and the most boxes, that :func:`walk` visits: a hostile file must not take hours.
_DEEPEST, _MOST = 16, 100_000


@dataclass(frozen=True, slots=True)
class Box:
    """Offsets of a box: ``start`` of its header, ``body`` of its content, and its ``end``.

    The end never lies after that of what holds the box; ``missing`` is by how many bytes its declared end does.
    """

    kind: bytes
    start: int
    body: int
    end: int
    missing: int = 0


def boxes(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """Yield the boxes between two offsets, in order, up to the first bytes that cannot be a box's header.

    Every box is at least 8 bytes long, so a damaged file ends the iteration or advances it.
    """
    while start + 8 <= end:
        file.seek(start)
        header = file.read(min(16, end - start))
        if len(header) < 8:
            return
        size, kind = struct.unpack_from(">I4s", header)
        body = start + 8
        if size == 1:  # the size is in 64 bits after the kind
            if len(header) < 16:
                return
            (size,) = struct.unpack_from(">Q", header, 8)
            body = start + 16
        elif size == 0:  # up to the end of what holds it
            size = end - start
        if size < body - start:
            return
        after = start + size
        yield Box(kind, start, body, min(after, end), max(0, after - end))
        start = after


def walk(file: BinaryIO, end: int, into: Container[bytes]) -> Iterator[Box]:
    """Yield the boxes of a file of ``end`` bytes, and those inside boxes of the kinds ``into``, in file order."""
    levels = [boxes(file, 0, end)]
    for _ in range(_MOST):
        box = next(levels[-1], None)
        if box is not None:
            yield box
            if box.kind in into and len(levels) < _DEEPEST:
                levels.append(boxes(file, box.body, box.end))
        elif len(levels) > 1:
            levels.pop()
        else:
            return


def tracked(file: BinaryIO, end: int, into: Container[bytes]) -> Iterator[tuple[int, Box]]:
    """Yield the boxes as :func:`walk`, each with the ID of the container track that it belongs to; 0: none yet."""
    track = 0
    for box in walk(file, end, into):
        if box.kind == b"tkhd":
            track = box_number(file, box, track)
        yield track, box


def box_number(file: BinaryIO, box: Box, otherwise: int) -> int:
    """The timescale of an ``mvhd`` box or the track ID of a ``tkhd`` box; ``otherwise`` if the box is too short."""
    file.seek(box.body)
    head = file.read(min(24, box.end - box.body))
    return struct.unpack_from(">I", head, 20 if head[0] == 1 else 12)[0] if len(head) == 24 else otherwise
