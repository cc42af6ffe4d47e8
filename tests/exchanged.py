"""Masks in files, as the farm writes and reads them for a made-up video."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

from farm.domain.manifest import VideoStream
from farm.domain.orientation import Matrix
from farm.domain.track import TrackedBox
from farm.exchange.base import About, Frames, ShownFrame
from farm.exchange.formats import FORMATS, read_masks, table_beside
from farm.exchange.table import write_frames
from farm.jobs.exchanging import _coded, _shown

ONE = 1 << 16
#: Display matrices by EXIF's numbers of orientations.
MATRICES: dict[int, Matrix | None] = {
    1: None,
    2: (-ONE, 0, 0, 0, ONE, 0, 0, 0, 1 << 30),
    3: (-ONE, 0, 0, 0, -ONE, 0, 0, 0, 1 << 30),
    6: (0, ONE, 0, -ONE, 0, 0, 0, 0, 1 << 30),
    8: (0, -ONE, 0, ONE, 0, 0, 0, 0, 1 << 30),
}
Masks = Sequence[Sequence[TrackedBox]]


def video_of(width: int = 640, height: int = 480, orientation: int = 1, aspect: Fraction | None = None) -> VideoStream:
    """A video stream that is shown so."""
    return VideoStream(
        0, "h264", width, height, "yuv420p", Fraction(1, 1000), Fraction(25), aspect, 2, 2, 2, 2,
        matrix=MATRICES[orientation],
    )  # fmt: skip


def about(video: VideoStream, frames: int) -> About:
    """What files say of a video of so many frames."""
    return About("clip & <b>.mp4", "a" * 64, *video.shown_size, frames, frames / 25, 25.0)


def frames_of(video: VideoStream, masks: Masks) -> Frames:
    """The frames of masks in coded pixels, of irregular length."""

    def frames() -> Iterator[ShownFrame]:
        for number, boxes in enumerate(masks):
            shown = tuple(_shown(video, b) for b in boxes)
            pts = 40 * number + number % 3
            yield ShownFrame(number, pts, pts / 1000, shown)

    return frames


def write(path: Path, form: str, masks: Masks, video: VideoStream | None = None) -> Path:
    """Write a file of a format, and its table; returns its path."""
    video = video or video_of()
    with path.open("w", encoding="utf-8", newline="") as out:
        FORMATS[form].write(out, about(video, len(masks)), frames_of(video, masks))
    if FORMATS[form].beside:
        with table_beside(path).open("w", encoding="utf-8", newline="") as out:
            write_frames(out, frames_of(video, masks))
    return path


def read(path: Path, frames: int, video: VideoStream | None = None, form: str | None = None) -> list[list[TrackedBox]]:
    """The boxes that a file has for each frame, in coded pixels."""
    video = video or video_of()
    known = FORMATS[form] if form else None
    found = read_masks(path, known, about(video, frames), frames_of(video, [()] * frames))
    return [[_coded(video, b) for b in boxes] for _, boxes in found]
