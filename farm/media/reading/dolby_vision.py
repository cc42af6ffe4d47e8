"""Dolby Vision: refuses it where other displays have no picture, and finds the layer that is none."""

import re
import struct
from dataclasses import dataclass
from pathlib import Path

from av.container import InputContainer
from av.video.frame import VideoFrame

from farm.errors import SourceError
from farm.media.failing import reading
from farm.media.reading.boxes import tracked
from farm.media.reading.side_data import Kind, side_data_of

_HOLDERS = (b"moov", b"trak", b"mdia", b"minf", b"stbl")
#: The configuration record in a sample entry: versions, profile and level, then how the base picture is compatible.
_RECORD = re.compile(rb"dv[cvw]C..(..)(.)", re.DOTALL)
_LONGEST = 1 << 16
#: AVDOVIMetadata: offsets of header, mapping and colours; then within these the fields that tell the profile.
_OFFSETS, _RPU_PROFILE, _FULL_RANGE, _COLOUR_SPACE = struct.Struct("=3Q"), 4, 10, 185
_ICTCP = 2
#: Without compatibility these have no base picture of their own (9: AVC, 10: AV1, 20: two views).
_DEPENDENT = frozenset({9, 10, 20})


def refuse_dolby_vision(path: Path, container: str, frame: VideoFrame) -> None:
    """Raise SourceError if the picture is in Dolby's own colours (profile 5, and 10 without compatibility).

    ``frame``: the first one. It tells by its metadata; MP4 and QuickTime (``container``, FFmpeg's name) by their
    header, too. Profiles 4, 7 and 8 have a base picture for other displays.
    """
    records = _records(path).values() if container.startswith("mov") else ()
    recorded = any(is_dependent(record.profile, record.compatibility) for record in records)
    if recorded or _in_own_colours(side_data_of(frame).get(Kind.DOLBY_VISION)):
        raise SourceError(
            f"{path}: is Dolby Vision without a picture for other displays (profile 5, or 10.0): they show it green "
            "and purple, and so would the output",
            hint="export it as HDR10, HLG or SDR with the camera's or the editor's own software first",
        )


def _in_own_colours(metadata: bytes | None) -> bool:
    """Whether the metadata of a frame (AVDOVIMetadata) says that it is coded in ICtCp."""
    if metadata is None or len(metadata) < _OFFSETS.size:
        return False
    header, _, colour = _OFFSETS.unpack_from(metadata)
    if max(header + _FULL_RANGE, colour + _COLOUR_SPACE) >= len(metadata):
        return False
    baseline = metadata[header + _RPU_PROFILE] == 0 and metadata[header + _FULL_RANGE] == 1
    return baseline or bool(metadata[colour + _COLOUR_SPACE] == _ICTCP)


@dataclass(frozen=True, slots=True)
class _Record:
    """The configuration record of a container track. ``based``: it has a base picture, or is one."""

    profile: int
    compatibility: int
    based: bool


def enhancement_layers(path: Path, container: InputContainer) -> frozenset[int]:
    """The indices of streams that are Dolby Vision's second layer, which shows no picture of its own."""
    found = _records(path) if container.format.name.startswith("mov") and len(container.streams.video) > 1 else {}
    return frozenset(s.index for s in container.streams.video if s.id in found and not found[s.id].based)


def _records(path: Path) -> dict[int, _Record]:
    """The records of an MP4 or QuickTime file, by track ID."""
    found: dict[int, _Record] = {}
    with reading(path, SourceError, "cannot be read"), path.open("rb") as file:
        for track, box in tracked(file, path.stat().st_size, _HOLDERS):
            if box.kind == b"stsd":
                file.seek(box.body)
                if record := _RECORD.search(file.read(min(box.end - box.body, _LONGEST))):
                    found[track] = _Record(record[1][0] >> 1, record[2][0] >> 4, bool(record[1][1] & 1))
    return found


def is_dependent(profile: int, compatibility: int) -> bool:
    """Whether Dolby Vision of a profile has no picture for other displays; ``compatibility`` of its base picture."""
    return profile == 5 or (profile in _DEPENDENT and compatibility == 0)
