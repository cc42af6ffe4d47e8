"""A contact sheet: frames of a video above the same frames of its redacted copy, in one PNG."""

import secrets
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import av
import numpy as np
from numpy.typing import NDArray

from farm.errors import OutputError, SourceError

if TYPE_CHECKING:
    from av.container import InputContainer

Picture = NDArray[np.uint8]

CELL_WIDTH = 320
_GAP = 6
_PAPER = 24  # grey level of the background


def contact_sheet(before: Path, after: Path, out_png: Path, columns: int = 6) -> Path:
    """Write ``columns`` evenly spaced frames of ``before``, each above the frame of ``after`` at the same time.

    Return ``out_png``. Raises SourceError if a video has no pictures, and OutputError if the PNG cannot be written.
    """
    pairs = []
    with av.open(str(before)) as source, av.open(str(after)) as copy:
        start, end = _span(source)
        for column in range(columns):
            time, picture = _picture_at(source, start + (end - start) * (2 * column + 1) / (2 * columns))
            pairs.append((picture, _picture_at(copy, time)[1]))
    height = max(p.shape[0] for pair in pairs for p in pair)
    sheet = np.full((2 * height + 3 * _GAP, columns * (CELL_WIDTH + _GAP) + _GAP, 3), _PAPER, np.uint8)
    for column, pair in enumerate(pairs):
        x = _GAP + column * (CELL_WIDTH + _GAP)
        for row, picture in enumerate(pair):
            y = _GAP + row * (height + _GAP)
            sheet[y : y + picture.shape[0], x : x + CELL_WIDTH] = picture
    temporary = out_png.with_name(f".blurfarm-{secrets.token_hex(8)}.png")  # of one length: the name may be the longest
    try:
        av.VideoFrame.from_ndarray(sheet, format="rgb24").save(temporary)
        temporary.replace(out_png)
    except OSError as e:
        raise OutputError(f"cannot write {out_png}: {e.strerror or e}", hint="choose another folder") from e
    finally:
        temporary.unlink(missing_ok=True)
    return out_png


def _span(container: "InputContainer") -> tuple[Fraction, Fraction]:
    """Return the start and the end of the video in seconds."""
    if not container.streams.video:
        raise SourceError(f"{container.name} has no video stream")
    stream = container.streams.video[0]
    base = stream.time_base or Fraction(1, 1000)
    start = (stream.start_time or 0) * base
    if stream.duration:
        return start, start + stream.duration * base
    return start, start + Fraction(container.duration or 0, av.time_base)


def _picture_at(container: "InputContainer", time: Fraction) -> tuple[Fraction, Picture]:
    """Return the first frame at or after ``time``, or else the last one: time in seconds and small RGB picture."""
    stream = container.streams.video[0]
    base = stream.time_base or Fraction(1, 1000)
    container.seek(int(time / base), stream=stream)
    last: av.VideoFrame | None = None
    for frame in container.decode(stream):
        last = frame
        if frame.pts is not None and frame.pts * base >= time:
            break
    if last is None:
        raise SourceError(f"{container.name}: no picture at {float(time):.3f} s")
    aspect = Fraction(stream.sample_aspect_ratio or 1)
    height = max(2, round(CELL_WIDTH * last.height / (last.width * aspect)))
    small = last.reformat(width=CELL_WIDTH, height=height, format="rgb24", interpolation="AREA")
    return (last.pts or 0) * base, np.asarray(small.to_ndarray(), dtype=np.uint8)
