"""Checks that a file is complete, and the checksums that containers and codecs hold of their own content.

libavformat shows a truncated file as a shorter video; a redaction must not. So a file's length is compared with what
its outermost structure declares: ISO/IEC 14496-12 boxes, EBML (RFC 8794) elements, RIFF chunks, transport packets.

Checksums show damage that most decoders do not notice: of 60 flipped bits each, those of HEVC, VP8, VP9 and FFV1 let 59
or more pass (measured, FFmpeg 8).
"""

import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from farm.errors import SourceError
from farm.media.failing import reading
from farm.media.reading.boxes import boxes

#: The hint for a file that is cut off or damaged.
CUT_HINT = "copy or download it again; a recorder may be able to repair it"
SEGMENT = 0x18538067
_CLUSTER = 0x1F43B675
_EBML = 0x1A45DFA3
UNKNOWN = -1
_LONGEST = 12  # bytes of an element's header
_CRC = b"\xbf\x84"  # the element's ID and its size, four bytes
_PIECE = 1 << 20
_ONES = 0xFFFFFFFF
#: Bytes behind the last packet of an FLV file in which the header of another one would be.
_BEHIND = 64
_REVERSED = bytes(int(f"{n:08b}"[::-1], 2) for n in range(256))
#: Bytes after an FFV1 slice: its size alone, or also a status and a checksum.
_PLAIN, _CHECKED = 3, 8


def check_complete(path: Path, container: str) -> None:
    """Raise SourceError, with the place, if a file is cut off. ``container``: FFmpeg's name."""
    if missing := cut_off(path, container):
        raise SourceError(f"{path}: {missing}", hint=CUT_HINT)


def cut_off(path: Path, container: str) -> str | None:
    """Where a file is cut off, as text for the user; None if it is not. ``container``: FFmpeg's name."""
    check = _CHECKS.get(container.split(",", maxsplit=1)[0])
    if check is None:
        return None
    with reading(path, SourceError, "cannot be read"), path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        missing = check(file, size)
    return missing and f"is cut off: it ends {missing}"


def faults_of(path: Path, container: str) -> Iterator[str]:
    """What the structure of a file and its checksums show, in words. ``container``: FFmpeg's name."""
    if missing := cut_off(path, container):
        yield missing
    if (place := broken_checksum(path, container)) is not None:
        yield f"is damaged behind byte {place}: a checksum in it does not match"


def check_single(path: Path, container: str, end: int) -> None:
    """Raise SourceError for a file that was joined behind another, of which libavformat reads only the first.

    ``container``: FFmpeg's name; ``end``: the byte behind the last packet that was read.
    """
    family = container.split(",", maxsplit=1)[0]
    if family not in ("mov", "flv", "matroska"):
        return
    with reading(path, SourceError, "cannot be read"), path.open("rb") as file:
        if family == "mov":
            kinds = [box.kind for box in boxes(file, 0, os.fstat(file.fileno()).st_size)]
            joined = min(kinds.count(b"ftyp"), kinds.count(b"moov")) > 1 and b"moof" not in kinds
        elif family == "matroska":  # the second segment is read, and others are not
            joined = any(at > end for at in _headers(file))
        else:
            file.seek(end)
            joined = b"FLV\1" in file.read(_BEHIND)
    if joined:
        raise SourceError(
            f"{path}: another file is joined behind what is read of it",
            hint="join the files themselves: ffmpeg -f concat -safe 0 -i LIST -c copy OUT, LIST naming them",
        )


def check_begun(path: Path) -> None:
    """Raise SourceError for an MP4 file that cannot be opened because it is cut off: its index is at its end."""
    with reading(path, SourceError, "cannot be read"), path.open("rb") as file:
        begins = file.read(8)[4:]
    if begins == b"ftyp":
        check_complete(path, "mov")


def _boxes(file: BinaryIO, size: int) -> str | None:
    """MP4 and QuickTime: every top-level box ends inside the file."""
    for box in boxes(file, 0, size):
        if not box.kind.isascii():
            return None  # other data after the last box, as some cameras write
        if box.missing:
            return f"{box.missing} bytes before its box '{box.kind.decode()}' does"
    return None


def _elements(file: BinaryIO, size: int) -> str | None:
    """Matroska and WebM: the segment, or where its size is unknown each element in it, ends inside the file."""
    at, inside = 0, False
    while at < size:
        header = element_at(file, at)
        if header is None:
            return "inside an element's header" if at + _LONGEST > size else None
        element, body, length = header
        if element == SEGMENT and not inside:
            if length != UNKNOWN:
                short = body + length - size
                return f"{short} bytes before its segment does" if short > 0 else None
            at, inside = body, True
        elif length == UNKNOWN:
            at = body  # a live cluster: its blocks follow, which are elements too
        else:
            at = body + length
            if at > size:
                return f"{at - size} bytes before its last element does"
    return None


def element_at(file: BinaryIO, at: int) -> tuple[int, int, int] | None:
    """The ID of the EBML element at ``at``, the offset of its content and its length; None if there is none."""
    file.seek(at)
    head = file.read(_LONGEST)
    element, id_length = _vint(head, keep_marker=True)
    length, size_length = _vint(head[id_length:], keep_marker=False)
    return (element, at + id_length + size_length, length) if id_length and size_length else None


def _vint(head: bytes, *, keep_marker: bool) -> tuple[int, int]:
    """An EBML variable-size integer and its length in bytes: length 0 if there is none, value -1 for unknown sizes."""
    if not head or not head[0]:
        return 0, 0
    length = 9 - head[0].bit_length()
    if len(head) < length:
        return 0, 0
    value = int.from_bytes(head[:length], "big")
    if keep_marker:
        return value, length
    value &= (1 << 7 * length) - 1
    return (UNKNOWN if value == (1 << 7 * length) - 1 else value), length


def _riff(file: BinaryIO, size: int) -> str | None:
    """AVI: each RIFF list (an OpenDML file has several) ends inside the file; length 0 means it was not finished."""
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


def broken_checksum(path: Path, container: str) -> int | None:
    """The offset of the first cluster or page whose CRC-32 does not match its content; None if all match.

    Matroska and WebM (RFC 8794, 11.3.1) hold checksums where FFmpeg wrote them, Ogg always: libavformat leaves out its
    damaged pages without an error. ``container``: FFmpeg's name.
    """
    if not container.startswith(("matroska", "ogg")):
        return None
    with reading(path, SourceError, "cannot be read"), path.open("rb") as file:
        if container == "ogg":
            return _broken_page(file)
        for at, body, length in _clusters(file):
            file.seek(body)
            head = file.read(6)
            if length > 6 and head[:2] == _CRC and _crc(file, length - 6) != int.from_bytes(head[2:], "little"):
                return at
    return None


def _headers(file: BinaryIO) -> Iterator[int]:
    """The offset of each EBML header, up to the first segment of unknown size."""
    at = 0
    while header := element_at(file, at):
        element, body, length = header
        if element == _EBML:
            yield at
        if length < 0:
            return
        at = body + length


def _clusters(file: BinaryIO) -> Iterator[tuple[int, int, int]]:
    """Offset, offset of the content and length of each cluster, up to the first one of unknown size."""
    at = 0
    while header := element_at(file, at):
        element, body, length = header
        if element == SEGMENT:
            at = body
            continue
        if length < 0:
            return
        if element == _CLUSTER:
            yield at, body, length
        at = body + length


def _broken_page(file: BinaryIO) -> int | None:
    """The offset of the first damaged Ogg page (RFC 3533, 6): its CRC is computed with the field of the CRC zero.

    The polynomial is zlib's with the bits in the other order, from 0 on. Anything else in their place is damage, too.
    """
    at = 0
    while (head := file.read(27))[:4] == b"OggS" and len(head) == 27:
        sizes = file.read(head[26])
        body = head[:22] + bytes(4) + head[26:] + sizes + file.read(sum(sizes))
        value = zlib.crc32(body.translate(_REVERSED), _ONES) ^ _ONES
        if int(f"{value:032b}"[::-1], 2) != int.from_bytes(head[22:26], "little"):
            return at
        at += len(body)
    return at if head else None


def _crc(file: BinaryIO, length: int) -> int:
    value = 0
    while length > 0 and (piece := file.read(min(length, _PIECE))):
        value = zlib.crc32(piece, value)
        length -= len(piece)
    return value


def intact_slices(packet: bytes) -> bool:
    """Whether an FFV1 packet (version 3 or later) is a chain of slices whose checksums all match.

    FFmpeg's decoder logs a mismatch, conceals the slice and reports nothing, whatever ``err_detect`` is (measured with
    FFmpeg 8).

    A slice ends with its size, and where the encoder was asked for it a CRC-32 that makes the remainder of the whole
    slice 0 (RFC 9043, section 4.9; polynomial 0x04C11DB7, most significant bit first). zlib's is the same with bits
    reversed. Packets without checksums are intact if the sizes add up.
    """
    checked = _chain(packet, _CHECKED)
    return checked if checked is not None else _chain(packet, _PLAIN) is True


def _chain(packet: bytes, footer: int) -> bool | None:
    """Whether the slices are intact; None if the packet is not a chain of slices with such a footer."""
    end, intact = len(packet), True
    while end > 0:
        if end < footer:
            return None
        size = int.from_bytes(packet[end - footer : end - footer + 3], "big") + footer
        if size > end:
            return None
        if footer == _CHECKED:
            intact &= zlib.crc32(packet[end - size : end].translate(_REVERSED), 0xFFFFFFFF) == 0xFFFFFFFF
        end -= size
    return intact
