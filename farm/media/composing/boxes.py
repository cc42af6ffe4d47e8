"""Writes an MP4 or QuickTime file's colours and HDR numbers where they belong: into the sample entry of its video.

The muxer leaves out what it was told of incompletely, and PyAV has no way to tell it of HDR. The index (``moov``)
lies behind the frames in the files this is for, so nothing that it points to moves. ISO/IEC 14496-12, 12.1.5.
"""

import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from farm.domain.manifest import Mastering, VideoStream
from farm.errors import VerificationError

#: Boxes from the file's top down to the list of sample entries.
_PATH = (b"trak", b"mdia", b"minf", b"stbl", b"stsd")
_ENTRY = 78  # bytes of a video's sample entry before the boxes in it, after its own header
_OURS = (b"colr", b"mdcv", b"clli")
_UNSPECIFIED = 2


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", len(body) + 8, kind) + body


def colour_boxes(video: VideoStream) -> list[bytes]:
    """The boxes ``colr`` (nclx), ``mdcv`` and ``clli`` for what is known of a video."""
    boxes: list[bytes] = []
    codes = (video.color_primaries, video.color_transfer, video.color_space)
    full = video.full_range
    if full or any(code != _UNSPECIFIED for code in codes):
        boxes.append(_box(b"colr", struct.pack(">4s3HB", b"nclx", *codes, 0x80 if full else 0)))
    if video.mastering is not None:
        boxes += _mastering(video.mastering)
    if video.light is not None:
        boxes.append(_box(b"clli", struct.pack(">2H", *video.light)))
    return boxes


def _mastering(display: Mastering) -> list[bytes]:
    if not (display.primaries and display.white and display.luminance):
        return []
    red, green, blue = (display.primaries[at : at + 2] for at in (0, 2, 4))
    return [_box(b"mdcv", struct.pack(">8H2I", *green, *blue, *red, *display.white, *display.luminance))]


def write_colours(path: Path, video: VideoStream) -> None:
    """Gives the one video track of a file at ``path`` the boxes of :func:`colour_boxes`, instead of such it has.

    Raises VerificationError when the file is not laid out as the muxer does it, OSError.
    """
    with path.open("r+b") as file:
        start = _find_index(file, path)
        file.seek(start)
        moov = file.read()
        changed = _within(moov, (b"moov", *_PATH), colour_boxes(video))
        if changed is None:
            raise VerificationError(f"{path}: has no video track to write colours into")
        if changed != moov:
            file.seek(start)
            file.write(changed)
            file.truncate()


def _find_index(file: BinaryIO, path: Path) -> int:
    """Where ``moov`` begins, the last box of the file."""
    end = file.seek(0, os.SEEK_END)
    at = 0
    while at + 8 <= end:
        file.seek(at)
        length, kind = struct.unpack(">I4s", file.read(8))
        if length == 1:
            (length,) = struct.unpack(">Q", file.read(8))
        if kind == b"moov" and at + length == end:
            return at
        if length < 8:
            break
        at += length
    raise VerificationError(f"{path}: its index is not at its end")


def _boxes(body: bytes, at: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, beginning and end of each box in ``body`` from ``at`` on."""
    while at + 8 <= len(body):
        length, kind = struct.unpack_from(">I4s", body, at)
        if length < 8 or at + length > len(body):
            return
        yield kind, at, at + length
        at += length


def _within(body: bytes, path: Sequence[bytes], boxes: list[bytes]) -> bytes | None:
    """``body`` with the first box at ``path`` changed, and the lengths of those around it; None where none is there."""
    for kind, start, end in _boxes(body, 0):
        if kind != path[0]:
            continue
        inner = body[start + 8 : end]
        if len(path) > 1:
            changed = _within(inner, path[1:], boxes)
            if changed is None:
                continue  # the track of something else
        else:
            changed = _described(inner, boxes)
        return body[:start] + _box(kind, changed) + body[end:]
    return None


def _described(stsd: bytes, boxes: list[bytes]) -> bytes:
    """The list of sample entries, which is after 8 bytes (version, flags, count), with ``boxes`` in its first."""
    entry = next(_boxes(stsd, 8), None)
    if entry is None:
        return stsd
    kind, start, end = entry
    head = start + 8 + _ENTRY
    inner = stsd[head:end]
    kept = [inner[a:b] for name, a, b in _boxes(inner, 0) if name not in _OURS]
    return stsd[:start] + _box(kind, stsd[start + 8 : head] + b"".join([*kept, *boxes])) + stsd[end:]
