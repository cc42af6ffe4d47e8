"""Refuses Dolby Vision whose base picture other displays show in wrong colours."""

import re
import struct
from pathlib import Path

from av.video.frame import VideoFrame

from farm.errors import SourceError
from farm.media.failing import reading
from farm.media.reading.boxes import walk
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
    if _in_own_colours(side_data_of(frame).get(Kind.DOLBY_VISION)) or (container.startswith("mov") and _recorded(path)):
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


def _recorded(path: Path) -> bool:
    """Whether the sample entry of a container track says so."""
    with reading(path, SourceError, "cannot be read"), path.open("rb") as file:
        for box in walk(file, path.stat().st_size, _HOLDERS):
            if box.kind == b"stsd":
                file.seek(box.body)
                record = _RECORD.search(file.read(min(box.end - box.body, _LONGEST)))
                if record and is_dependent(record[1][0] >> 1, record[2][0] >> 4):
                    return True
    return False


def is_dependent(profile: int, compatibility: int) -> bool:
    """Whether Dolby Vision of a profile has no picture for other displays; ``compatibility`` of its base picture."""
    return profile == 5 or (profile in _DEPENDENT and compatibility == 0)
