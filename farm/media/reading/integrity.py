"""Whether a file ends where its own structure says, read from the outermost boxes only.

libavformat shows a truncated file as a shorter video; a redaction must not. Checked is what a container declares:
ISO/IEC 14496-12 boxes, EBML (RFC 8794) elements, RIFF chunks, MPEG-2 transport packets.
"""

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from farm.errors import SourceError
from farm.media.failing import reading

_HINT = "copy or download it again; a recorder may be able to repair it"
_SEGMENT = 0x18538067
_CLUSTER = 0x1F43B675
_UNKNOWN = -1


def check_complete(path: Path, container: str) -> None:
    """Raises SourceError, with the place, for a file that evidently ends early. ``container``: FFmpeg's name."""
    if missing := cut_off(path, container):
        raise SourceError(f"{path}: {missing}", hint=_HINT)


def cut_off(path: Path, container: str) -> str | None:
    """Where a file evidently ends early, for a person; None where it does not. ``container``: FFmpeg's name."""
    check = _CHECKS.get(container.split(",", maxsplit=1)[0])
    if check is None:
        return None
    with reading(path, SourceError, "cannot be read"), path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        missing = check(file, size)
    return missing and f"is cut off: it ends {missing}"


def check_begun(path: Path) -> None:
    """Raises SourceError for an MP4 file that cannot be opened because it is cut off: its index lies at the end."""
    with reading(path, SourceError, "cannot be read"), path.open("rb") as file:
        begins = file.read(8)[4:]
    if begins == b"ftyp":
        check_complete(path, "mov")


def _boxes(file: BinaryIO, size: int) -> str | None:
    """MP4 and QuickTime: every top-level box ends inside the file."""
    at = 0
    while at + 8 <= size:
        file.seek(at)
        length, name = struct.unpack(">I4s", file.read(8))
        if length == 1 and at + 16 <= size:
            (length,) = struct.unpack(">Q", file.read(8))
        if length == 0:  # "to the end of the file"
            return None
        if length < 8 or not name.isascii():
            return None  # something else behind the last box, as some cameras write
        at += length
        if at > size:
            return f"{at - size} bytes before its box '{name.decode()}' does"
    return None


def _elements(file: BinaryIO, size: int) -> str | None:
    """Matroska and WebM: the segment, or where its size is unknown each element in it, ends inside the file."""
    at, inside = 0, False
    while at < size:
        file.seek(at)
        head = file.read(12)
        element, id_length = vint(head, keep_marker=True)
        length, size_length = vint(head[id_length:], keep_marker=False)
        if not id_length or not size_length:
            return "inside an element's header" if len(head) < 12 else None
        body = at + id_length + size_length
        if element == _SEGMENT and not inside:
            if length != _UNKNOWN:
                short = body + length - size
                return f"{short} bytes before its segment does" if short > 0 else None
            at, inside = body, True
        elif length == _UNKNOWN:
            at = body  # a live cluster: its blocks follow, and are elements as well
        else:
            at = body + length
            if at > size:
                return f"{at - size} bytes before its last element does"
    return None


def vint(head: bytes, *, keep_marker: bool) -> tuple[int, int]:
    """An EBML variable-size integer and the bytes it takes; 0 bytes when there is none, -1 for an unknown size."""
    if not head or not head[0]:
        return 0, 0
    length = 9 - head[0].bit_length()
    if len(head) < length:
        return 0, 0
    value = int.from_bytes(head[:length], "big")
    if keep_marker:
        return value, length
    value &= (1 << 7 * length) - 1
    return (_UNKNOWN if value == (1 << 7 * length) - 1 else value), length


def _riff(file: BinaryIO, size: int) -> str | None:
    """AVI: each RIFF list (an OpenDML file has several) ends inside the file; a length of 0 was never finished."""
    at = 0
    while at + 12 <= size:
        file.seek(at)
        name, length = struct.unpack("<4sI", file.read(8))
        if name != b"RIFF":
            return None
        if length == 0:
            return "before its recorder finished it"
        at += 8 + length + length % 2
        if at > size + 1:
            return f"{at - size} bytes before its RIFF list does"
    return None


def _transport(file: BinaryIO, size: int) -> str | None:
    """MPEG transport stream: whole packets of 188 bytes (192 with a time code, 204 with parity)."""
    head = file.read(204 * 5)
    for packet, first in ((188, 0), (192, 4), (204, 0)):
        if all(head[i] == 0x47 for i in range(first, len(head), packet)):
            left = size % packet
            return f"inside a transport packet, after {left} of {packet} bytes" if left else None
    return None


_CHECKS: dict[str, Callable[[BinaryIO, int], str | None]] = {
    "mov": _boxes,
    "matroska": _elements,
    "avi": _riff,
    "mpegts": _transport,
}
