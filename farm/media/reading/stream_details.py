"""Details of a file's streams that libavformat does not report, such as the sample entries of container tracks."""

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from av.container import InputContainer
from av.stream import AttachmentStream, Discard

from farm.errors import SourceError
from farm.media.failing import reading
from farm.media.reading.boxes import Box, box_number, tracked
from farm.media.reading.metadata import has_coordinates
from farm.media.reading.opening import demuxed, open_source
from farm.media.reading.probe import codec_name

_HOLDERS = (b"moov", b"trak", b"edts", b"mdia", b"minf", b"stbl")
_TEXT_SUBTITLES = frozenset({"mov_text", "subrip", "srt", "ass", "ssa", "webvtt", "text", "microdvd"})
#: The first bytes of JPEG, PNG, GIF, BMP, TIFF, WebP and AVI, HEIC, AVIF and MP4, JPEG XL, JPEG 2000, Matroska.
_PICTURE = re.compile(
    rb"\xff\xd8\xff|\x89PNG|GIF8|BM....\0\0\0\0|II\*\0|MM\0\*|RIFF....(?:WEBP|AVI )|....ftyp|\xff\x0a"
    rb"|\0\0\0\x0c(?:JXL |jP  )|\x1a\x45\xdf\xa3",
    re.DOTALL,
)
_LONGEST_EDITS = 1 << 20


@dataclass(frozen=True, slots=True)
class StreamDetails:
    """Details of a source. Streams have libavformat's indices.

    ``chapters``: whether it has any. ``letters``: the sample entry (``gpmd``) of each MP4 container track. ``placing``:
    the subtitle streams and attachments whose text contains coordinates. ``pictures``: the attachments that are
    pictures or videos, whatever their declared type.
    """

    chapters: bool = False
    letters: Mapping[int, str] = field(default_factory=dict)
    placing: frozenset[int] = frozenset()
    pictures: frozenset[int] = frozenset()


def stream_details(source: InputContainer, path: Path, *, texts: bool) -> StreamDetails:
    """Read the details of an opened file, and with ``texts`` all of its subtitles.

    Raises SourceError if the file cannot be read.
    """
    attached = {s.index: bytes(s.data or b"") for s in source.streams if isinstance(s, AttachmentStream)}
    pictures = frozenset(index for index, content in attached.items() if _PICTURE.match(content))
    placing = frozenset[int]()
    if texts:  # attachments without a zero byte are text: a GPS track, for example
        written = {index: content.decode("utf-8", "replace") for index, content in attached.items() if 0 not in content}
        placing = _placing(path) | {index for index, text in written.items() if has_coordinates(text)}
    return StreamDetails(bool(source.chapters()), letters_of(source, path), placing, pictures)


def letters_of(source: InputContainer, path: Path) -> dict[int, str]:
    """The sample entry of each container track of an opened file, if it is MP4 or QuickTime. Raises SourceError."""
    letters = sample_entries(path) if source.format.name.startswith("mov") else {}
    return {s.index: letters[s.id] for s in source.streams if s.id in letters}


def sample_entries(path: Path) -> dict[int, str]:
    """The type of the first sample entry of each container track of an MP4 or QuickTime file, by track ID."""
    found: dict[int, str] = {}
    with reading(path, SourceError, "cannot be read"), path.open("rb") as file:
        for track, box in tracked(file, path.stat().st_size, _HOLDERS):
            if box.kind == b"stsd" and box.end - box.body >= 16:
                file.seek(box.body + 12)
                found.setdefault(track, file.read(4).decode("latin-1"))
    return found


@dataclass(frozen=True, slots=True)
class TrackEnd:
    """The declared end of a container track of an MP4 or QuickTime file: ``seconds``, a multiple of ``tick``."""

    seconds: Fraction
    tick: Fraction


def track_ends(path: Path) -> dict[int, TrackEnd]:
    """The end of each container track whose edit list states it, by track ID (ISO/IEC 14496-12, 8.6.6)."""
    found: dict[int, TrackEnd] = {}
    ticks = 0
    with reading(path, SourceError, "cannot be read"), path.open("rb") as file:
        for track, box in tracked(file, path.stat().st_size, _HOLDERS):
            if box.kind == b"mvhd":
                ticks = box_number(file, box, ticks)
            elif box.kind == b"elst" and ticks:
                lasts = [lasts for lasts, _ in edit_list(file, box)] or [0]
                if all(lasts):
                    found[track] = TrackEnd(Fraction(sum(lasts), ticks), Fraction(1, ticks))
    return found


def edit_list(file: BinaryIO, box: Box) -> list[tuple[int, int]]:
    """The edits of an ``elst`` box: how long each lasts, in ticks of the movie, and where it begins, in the track's.

    A beginning of -1 is an empty edit. No edits if the box is not as long as it says.
    """
    file.seek(box.body)
    content = file.read(min(box.end - box.body, _LONGEST_EDITS))
    if len(content) < 8:
        return []
    entry, size = (">Qq", 20) if content[0] == 1 else (">Ii", 12)
    (count,) = struct.unpack_from(">I", content, 4)
    if len(content) < 8 + count * size:
        return []
    return [struct.unpack_from(entry, content, 8 + at * size) for at in range(count)]


def _placing(path: Path) -> frozenset[int]:
    """The subtitle streams that contain coordinates; reads packet by packet, and skips other streams if it can."""
    with open_source(path) as source, reading(path, SourceError, "cannot be read"):
        texts = [s for s in source.streams.subtitles if codec_name(s) in _TEXT_SUBTITLES]
        found: set[int] = set()
        if texts:
            for stream in source.streams:
                stream.discard = Discard.default if stream in texts else Discard.all
            for packet in demuxed(source, texts):
                if packet.stream_index not in found and has_coordinates(bytes(packet).decode("utf-8", "replace")):
                    found.add(packet.stream_index)
                if len(found) == len(texts):
                    break
        return frozenset(found)
