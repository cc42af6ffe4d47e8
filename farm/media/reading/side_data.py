"""The side data of decoded frames by FFmpeg's numbers, whether or not PyAV knows them.

PyAV reads the types into an enumeration, and fails for a frame with a type that its version lacks.
"""

from enum import IntEnum
from typing import Any, cast

from av.sidedata.sidedata import SideData, Type
from av.video.frame import VideoFrame


class Kind(IntEnum):
    """Numbers of AVFrameSideDataType; a test compares them with libavutil's names."""

    DISPLAY_MATRIX = 6
    MASTERING_DISPLAY = 11
    SPHERICAL = 13
    CONTENT_LIGHT = 14
    ICC_PROFILE = 15
    HDR10_PLUS = 17
    DOLBY_VISION = 24
    HDR_VIVID = 25
    AMBIENT_LIGHT = 26
    LCEVC = 28
    VIEW_ID = 29
    EXIF = 31


def _unnamed(kinds: type[Type], number: object) -> Type | None:
    if not isinstance(number, int):
        return None
    member: Any = object.__new__(kinds)
    member._name_, member._value_ = f"NUMBER_{number}", number
    known: dict[Any, Any] = kinds._value2member_map_
    return cast("Type", known.setdefault(number, member))


# enum calls this for a value without a member
Type._missing_ = classmethod(_unnamed)  # type: ignore[assignment]


def side_data_of(frame: VideoFrame) -> dict[int, bytes]:
    """The content of each side data of a frame by its number; of several of one type, the last."""
    return {cast("int", side.type.value): bytes(side) for side in frame.side_data if isinstance(side, SideData)}
