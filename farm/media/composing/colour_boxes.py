"""Writes colours and HDR metadata into the video sample entry of an MP4 or QuickTime file.

The muxer omits colours that are not all specified, and PyAV cannot pass HDR metadata to it. In these files the index
(``moov``) follows the frames, so nothing that it points to moves. ISO/IEC 14496-12, 12.1.5.
"""

import os
import struct
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from farm.domain.manifest import VideoStream
from farm.errors import VerificationError
from farm.media.reading.boxes import Box, boxes

#: Boxes from the file's top down to the list of sample entries.
_PATH = (b"trak", b"mdia", b"minf", b"stbl", b"stsd")
_ENTRY = 78  # bytes of a video's sample entry before the boxes in it, after its own header
_OURS = (b"colr", b"mdcv", b"clli")
_UNSPECIFIED = 2


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body) + 8, kind) + body


def colour_boxes(video: VideoStream) -> list[bytes]:
    """The boxes ``colr`` (nclx), ``mdcv`` and ``clli`` for a video's known properties."""
    made: list[bytes] = []
    codes = (video.color_primaries, video.color_transfer, video.color_space)
    full = video.full_range
    if full or video.color_range or any(code != _UNSPECIFIED for code in codes):
        made.append(_box(b"colr", struct.pack(">4s3HB", b"nclx", *codes, 0x80 if full else 0)))
    display = video.mastering
    if display and display.primaries and display.white and display.luminance:
        red, green, blue = (display.primaries[at : at + 2] for at in (0, 2, 4))
        made.append(_box(b"mdcv", struct.pack(">8H2I", *green, *blue, *red, *display.white, *display.luminance)))
    if video.light is not None:
        made.append(_box(b"clli", struct.pack(">2H", *video.light)))
    return made


def write_colours(path: Path, video: VideoStream) -> None:
    """Replace the boxes of :func:`colour_boxes` in the only video track of the file at ``path``.

    Raises OSError, and VerificationError if the file is not laid out as the muxer does it.
    """
    with path.open("r+b") as file:
        size = file.seek(0, os.SEEK_END)
        indexes = (b.start for b in boxes(file, 0, size) if b.kind == b"moov" and b.end == size and not b.missing)
        start = next(indexes, None)
        if start is None:
            raise VerificationError(f"{path}: its index is not at its end")
        file.seek(start)
        moov = file.read()
        changed = _changed(moov, colour_boxes(video))
        if changed is None:
            raise VerificationError(f"{path}: has no video track to write colours into")
        if changed != moov:
            file.seek(start)
            file.write(changed)
            file.truncate()


def _changed(moov: bytes, colours: Sequence[bytes]) -> bytes | None:
    """The index with ``colours`` in its video's sample entry, all sizes corrected; None without such an entry."""
    file = BytesIO(moov)
    chain = _found(file, 0, len(moov), (b"moov", *_PATH)) or []
    # the list of sample entries begins with 8 bytes: version, flags, count
    entry = next(boxes(file, chain[-1].body + 8, chain[-1].end), None) if chain else None
    if entry is None or any(box.missing or box.body - box.start != 8 for box in (*chain, entry)):
        return None
    head = entry.body + _ENTRY
    if head > entry.end:
        return None
    kept = (moov[b.start : b.end] for b in boxes(file, head, entry.end) if b.kind not in _OURS and not b.missing)
    inner = b"".join((*kept, *colours))
    changed = bytearray(moov[:head] + inner + moov[entry.end :])
    for box in (*chain, entry):
        struct.pack_into(">I", changed, box.start, box.end - box.start + len(inner) - (entry.end - head))
    return bytes(changed)


def _found(file: BinaryIO, start: int, end: int, path: Sequence[bytes]) -> list[Box] | None:
    """The first chain of boxes of the kinds in ``path``, each inside the one before; None without one."""
    for box in boxes(file, start, end):
        if box.kind == path[0]:
            inner = _found(file, box.body, box.end, path[1:]) if len(path) > 1 else []
            if inner is not None:
                return [box, *inner]
    return None
