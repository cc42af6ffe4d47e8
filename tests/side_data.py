"""Frames with side data of any type, which PyAV cannot make: libavutil adds it."""

import ctypes
from functools import cache
from pathlib import Path

import av

#: Where PyAV's frame holds its AVFrame.
_AVFRAME = 24


@cache
def libavutil() -> ctypes.CDLL:
    """PyAV's own."""
    (path,) = (Path(av.__file__).parent.parent / "av.libs").glob("libavutil*")
    return ctypes.CDLL(str(path))


def with_side_data(number: int, content: bytes) -> av.VideoFrame:
    """A small frame with one side data, of the type ``number``."""
    frame = av.VideoFrame(64, 48, "yuv420p")
    new = libavutil().av_frame_new_side_data
    new.restype, new.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]
    made = new(ctypes.c_void_p.from_address(id(frame) + _AVFRAME).value, number, len(content))
    # AVFrameSideData: the type, then the address of the content
    assert ctypes.c_int.from_address(made).value == number
    ctypes.memmove(ctypes.c_void_p.from_address(made + 8).value, content, len(content))  # type: ignore[arg-type]
    return frame
